"""Wrong requests and wrong plans through the real interfaces: each is refused with its reason, and the service goes on."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph, query_document
from tests.e2e.processes import run
from tests.e2e.service import Service


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/samples?vid=1&query=other", None, 404, "there is no query 'other'; installed are shop (id 0)"),
        ("GET", "/samples?vid=1&query=7", None, 404, "there is no query '7'"),
        ("GET", "/samples", None, 422, "vid is missing"),
        ("GET", "/samples?vid=seven", None, 422, "vid is an int64 in decimal, not 'seven'"),
        ("GET", "/samples?vid=1.0", None, 422, "vid is an int64 in decimal, not '1.0'"),
        ("GET", "/samples?vid=9223372036854775808", None, 422, "vid = 9223372036854775808 is beyond int64"),
        ("GET", "/samples?vid=-9223372036854775809", None, 422, "is beyond int64"),
        ("GET", "/samples?vid=" + "9" * 5000, None, 422, "vid is an int64 in decimal"),
        ("GET", "/samples?vid=x&fanout=3", None, 422, "unknown parameter 'fanout'"),
        ("POST", "/samples", b"", 422, "the body is empty"),
        ("POST", "/samples", b"{", 422, "the body is not JSON"),
        ("POST", "/samples", b"[1]", 422, "the body is an object"),
        ("POST", "/samples", b'{"vids": [1, true], "query": []}', 422, "vids[1] is an int64 number, not true"),
        ("POST", "/samples", b'{"vids": [1, 1e3]}', 422, "vids[1] is an int64 number"),
        ("POST", "/samples", b'{"vids": [9223372036854775808]}', 422, "beyond int64"),
        ("POST", "/samples", json.dumps({"vids": [1] * 1025}).encode(), 413, "1025 vids are more than the 1024 of one request"),
        ("POST", "/samples", b" " * (8 << 20), 413, "the body is larger than 1048576 bytes"),
        ("POST", "/queries", b"{}", 422, "query_plan"),
        ("POST", "/barriers/b", b'{"count": "many"}', 422, "count"),
        ("POST", "/dimensions", b'{"kind": "vertex", "type": 0, "attribute": 0, "dim": 3}', 422, "it has no dimension"),
        ("DELETE", "/samples", None, 405, "/samples takes GET and POST"),
        ("GET", "/nothing", None, 404, ""),
    ],
)
def test_a_wrong_request_gets_a_problem_document(
    loaded: Service, method: str, path: str, body: bytes | None, status: int, said: str
) -> None:
    reply = loaded.request(method, path, body)
    assert reply.status == status, reply.text
    document = reply.json()
    assert document["status"] == status
    assert said in document["detail"]
    assert document["type"].startswith("urn:dgs:problem:")


def test_every_int64_is_a_seed(loaded: Service) -> None:
    for vid in (0, -1, -(1 << 63), (1 << 63) - 1):
        answer = loaded.get(f"/samples?vid={vid}")
        assert answer.status == 200
        assert answer.json()["seed"]["id"] == vid
        shown = loaded.dgs("sample", vid, "--output", "json")
        assert (shown.code, json.loads(shown.out)["seed"]["id"]) == (0, vid)
    assert loaded.dgs("sample", 1 << 63).code == 2
    assert loaded.dgs("sample", "seven").code == 2


def test_no_seeds_are_no_samples(loaded: Service) -> None:
    assert loaded.request("POST", "/samples", b'{"vids": []}').json() == {"samples": []}


def test_after_all_that_answers_are_what_they_were(loaded: Service, graph: Graph) -> None:
    assert not wrong(loaded, graph, graph.oracle(), graph.seeds())
    assert "Traceback" not in loaded.said()


def bad_document() -> dict[str, Any]:
    document = copy.deepcopy(query_document(7))
    nodes = document["query_plan"]["plan_nodes"]
    nodes[1]["params"][0]["value"] = 9
    nodes[2]["params"] = [p for p in nodes[2]["params"] if p["key"] != "fanout"]
    nodes[4]["params"][2]["value"] = "best"
    return document


def test_dgs_up_lists_every_problem_of_a_wrong_plan_and_makes_nothing(graph: Graph, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(bad_document()))
    ended = run("dgs", "up", "--schema", graph.schema_file, "--query", bad, "--data-dir", "state", "--port", 0, cwd=tmp_path)
    assert ended.code == 2
    first, *problems = ended.err.splitlines()
    assert first == f"dgs: {len(problems)} problems"
    assert all(p.startswith(f"  - {bad}: ") for p in problems)
    for what in ("node 1: vtype 9", "node 2: fanout", "node 4: strategy 'best'"):
        assert any(what in p for p in problems), problems
    assert not (tmp_path / "state").exists()


def test_a_running_service_lists_every_problem_of_a_wrong_plan(loaded: Service) -> None:
    bad = loaded.folder / "bad.json"
    bad.write_text(json.dumps(bad_document()))
    ended = loaded.dgs("query", "install", bad)
    assert ended.code == 2
    for what in ("node 1: vtype 9", "node 2: fanout", "node 4: strategy 'best'"):
        assert what in ended.err
    assert loaded.dgs("query", "list").out == "0\tshop\n"


@pytest.mark.slow
def test_a_query_comes_too_late_once_a_loader_was_told_where_to_write(new_service: NewService, graph: Graph) -> None:
    service = new_service("--schema", graph.schema_file)
    service.start()
    nothing = service.get("/samples?vid=1")
    assert (nothing.status, "no query is installed yet" in nothing.text) == (404, True)
    early, late = service.folder / "early.json", service.folder / "late.json"
    early.write_text(json.dumps(query_document(3)))
    late.write_text(json.dumps(query_document(4, fanouts=(2, 2))))
    installed = service.dgs("query", "install", early)
    assert (installed.code, installed.out) == (0, "installed early (id 3)\n"), installed.err
    assert service.get("/admin/init-info/dataloader").status == 200
    refused = service.dgs("query", "install", late)
    assert refused.code == 1
    assert "query 'late' cannot be installed any more: a loader has begun" in refused.err
    assert "Install it into a new data directory (dgs up --query FILE) and load the data again" in refused.err
    assert service.dgs("query", "list").out == "3\tearly\n"
    # The same again is fine, for those who repeat what failed half way.
    assert service.dgs("query", "install", early).code == 0
    another = service.folder / "another.json"
    another.write_text(json.dumps(query_document(3, fanouts=(1, 1))))
    conflict = service.dgs("query", "install", another)
    assert conflict.code == 1
    assert "query id 3 is used by 'early', which has another plan" in conflict.err
    # Nor does a restart help; there, too, the same query is fine.
    assert service.terminate() == 0
    ended = run("dgs", "up", "--query", late, "--data-dir", service.data_dir, "--port", service.port, cwd=service.folder)
    assert ended.code == 1
    assert "query 'late' cannot be installed any more" in ended.err
    assert "Traceback" not in ended.err
    service.start("--query", early)
