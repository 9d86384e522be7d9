"""`dgs sample` against a stand-in service."""

import json
from typing import Any

import pytest

from .conftest import Dgs, FakeService, as_json, problem

ANSWER: dict[str, Any] = {
    "query": {"id": 0, "name": "u2i", "ready": True},
    "seed": {"type": "user", "id": 42, "known": True},
    "generation": 1,
    "positions": [1201, 1187],
    "watermark": 1715000000,
    "pending": 0,
    "history": "full",
    "vertices": {
        "user": {"ids": [42], "known": [True], "attrs": {"timestamp": [1714000000], "name": ["[red]x"], "vec": [[0.1, 0.25]]}},
        "item": {"ids": [7, -9], "known": [True, False], "attrs": {"vec": [[k / 8 for k in range(64)], None]}},
    },
    "edges": [
        {
            "operator": 4, "alias": "i2i", "hop": 2, "type": "i2i", "src_type": "item", "dst_type": "item",
            "src": [0], "dst": [1], "timestamp": [5], "attrs": {"weight": [None]},
        },
        {
            "operator": 2, "alias": "u2i", "hop": 1, "type": "u2i", "src_type": "user", "dst_type": "item",
            "src": [0, 0], "dst": [0, 1], "timestamp": [1715000000, 1714990000], "attrs": {"weight": [1.0, 0.5]},
        },
    ],
}  # fmt: skip


def lines(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def test_the_table_shows_vertices_by_type_and_edges_by_hop(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /samples", as_json(ANSWER))
    result = dgs("sample", 42, "--query", "u2i", "--server", service.url)
    assert result.exit_code == 0
    assert service.asked[0][1] == "/samples?vid=42&query=u2i"
    assert result.output.startswith("user 42 (known), query u2i\nwatermark 1715000000; positions 1201, 1187\n")
    shown = lines(result.output)
    assert ["42", "yes", "1714000000", "[red]x", "0.1,", "0.25"] in shown
    assert ["-9", "no", "–"] in shown
    assert any(row[:2] == ["7", "yes"] and row[-1] == "(64)" for row in shown)
    assert ["42", "7", "1715000000", "1"] in shown
    assert ["42", "-9", "1714990000", "0.5"] in shown
    assert ["7", "-9", "5", "–"] in shown
    assert result.output.index("hop 1, u2i: 2 edges") < result.output.index("hop 2, i2i: 1 edge")


def test_long_tables_say_what_is_left_out(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /samples", as_json(ANSWER))
    assert "and 1 more; --rows 0 shows all" in dgs("sample", 42, "--rows", 1, "--server", service.url).output
    assert "more" not in dgs("sample", 42, "--rows", 0, "--server", service.url).output


def test_an_unknown_seed_is_shown_as_such(dgs: Dgs, service: FakeService) -> None:
    empty = ANSWER | {
        "seed": {"type": "user", "id": 1, "known": False},
        "watermark": None,
        "pending": 2,
        "caught_up": False,
        "vertices": {"user": {"ids": [1], "known": [False], "attrs": {}}},
        "edges": [],
        "query": {"id": 0, "name": "u2i", "ready": False},
    }
    service.on("GET /samples", as_json(empty))
    output = dgs("sample", 1, "--server", service.url).output
    assert "user 1 (not known), query u2i (not ready yet)" in output
    assert "2 rows still pending; the service is catching up after its start" in output


def test_json_is_passed_on_as_it_came(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /samples", as_json(ANSWER))
    result = dgs("sample", 42, "--output", "json", "--server", service.url)
    assert json.loads(result.output) == ANSWER


def test_negative_ids_are_ids(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /samples", as_json(ANSWER))
    assert dgs("sample", "-5", "--server", service.url).exit_code == 0
    assert service.asked[0][1] == "/samples?vid=-5"


@pytest.mark.parametrize("arguments", [["x"], [1 << 63], [], ["1", "2"], ["1", "--colour"], ["1", "--output", "xml"]])
def test_wrong_usage(dgs: Dgs, arguments: list[object]) -> None:
    assert dgs("sample", *arguments).exit_code == 2


def test_what_the_service_says_is_told(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /samples", problem(404, detail="no query 'x'; there is u2i"))
    result = dgs("sample", 1, "--query", "x", "--server", service.url)
    assert (result.exit_code, result.stderr) == (1, "dgs: no query 'x'; there is u2i\n")
