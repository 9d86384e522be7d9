"""What a user does on the first day: start, load, ask; every answer equals the one recomputed from the raw file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgs.cli.examples import example
from tests.e2e.answers import wrong
from tests.e2e.inputs import Graph, of_files
from tests.e2e.processes import run
from tests.e2e.service import Service

BARRIER = "u2i_finished"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The made-up shop, made by the command."""
    folder = tmp_path_factory.mktemp("shop")
    ended = run(
        "dgs", "generate", "u2i", "--user-num", 60, "--item-num", 300, "--streaming-epoch", 400, "--output-dir", "u2i", cwd=folder
    )
    assert ended.code == 0, ended.err
    assert ended.out == "6205 lines to load in u2i/streaming, tables to train on in u2i/training\n"
    query = folder / "u2i.json"
    query.write_bytes((example("u2i") / "query.json").read_bytes())
    streaming = folder / "u2i" / "streaming"
    return of_files(example("u2i") / "schema.json", query, streaming / "u2i.pattern", streaming / "u2i.streaming", "i2i")


@pytest.fixture(scope="module")
def service(shop: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the shop in it."""
    service = Service(tmp_path_factory.mktemp("service"), *shop.start_flags)
    try:
        service.start()
        loaded = service.load(shop.pattern_file, shop.data_file, "--reversed-edges", "i2i", "--barrier", BARRIER)
        assert loaded.code == 0, loaded.err
        assert "6205 lines, 9550 records" in loaded.err
        assert not list(service.folder.glob("*.dead-letters"))
        service.wait(BARRIER)
        yield service
    finally:
        service.stop()


def test_every_user_gets_the_ego_graph_that_follows_from_the_raw_file(service: Service, shop: Graph) -> None:
    seeds = shop.seeds()
    assert len(seeds) == 61
    assert not wrong(service, shop, shop.oracle(), seeds)


def test_an_item_that_is_asked_as_if_it_were_a_user_is_an_empty_ego_graph(service: Service) -> None:
    answer = service.get("/samples?vid=299").json()
    assert answer["seed"] == {"type": "user", "id": 299, "known": False}
    assert not any(edges["src"] for edges in answer["edges"])


def test_dgs_sample_shows_what_samples_answers(service: Service) -> None:
    as_json = service.dgs("sample", 7, "--output", "json")
    assert as_json.code == 0, as_json.err
    answer = json.loads(as_json.out)
    assert answer == service.get("/samples?vid=7").json() == service.samples([7])[0]
    table = service.dgs("sample", 7, "--query", "u2i", "--rows", 0)
    assert table.code == 0, table.err
    assert table.out.startswith("user 7 (known), query u2i\n")
    for edges in answer["edges"]:
        for t in edges["timestamp"]:
            assert str(t) in table.out


def test_queries_are_listed_and_shown_as_they_were_installed(service: Service, shop: Graph) -> None:
    listed = service.dgs("query", "list")
    assert (listed.code, listed.out) == (0, "0\tu2i\n")
    for name in ("u2i", "0"):
        shown = service.dgs("query", "show", name)
        assert shown.code == 0, shown.err
        document = json.loads(shown.out)
        assert document == json.loads(shop.query_file.read_bytes())
        assert service.get(f"/queries/{name}").json() == {"id": 0, "name": "u2i", "ready": True, "document": document}
    missing = service.dgs("query", "show", "other")
    assert missing.code == 1
    assert "there is no query 'other'" in missing.err


def test_barriers_tell_how_far_they_are(service: Service) -> None:
    status = service.dgs("barrier", "status", BARRIER)
    assert (status.code, status.out) == (0, "READY\n")
    status = service.dgs("barrier", "status", "nobody")
    assert (status.code, status.out) == (0, "NOT_SET\n")
    late = service.dgs("barrier", "wait", "nobody", "--timeout", 0.3)
    assert late.code == 4
    assert "barrier nobody is NOT_SET after 0.3 s, not READY" in late.err
    assert service.dgs("barrier", "set", "by hand").code == 0
    waited = service.dgs("barrier", "wait", "by hand", "--timeout", 20)
    assert (waited.code, waited.out) == (0, "READY\n")


def test_commands_without_a_service_end_with_3(tmp_path: Path, service: Service) -> None:
    for command in (("sample", 1), ("query", "list"), ("barrier", "status", "x"), ("barrier", "wait", "x", "--retry-timeout", 0)):
        ended = run("dgs", *command, "--server", "127.0.0.1:9", cwd=tmp_path)
        assert ended.code == 3, ended
        assert "no usable answer from 127.0.0.1:9" in ended.err or "127.0.0.1:9 was away" in ended.err


def test_the_demo_prints_an_ego_graph_and_ends_with_0(tmp_path: Path) -> None:
    ended = run("dgs", "demo", cwd=tmp_path)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == "user 42 (known), query u2i"
    assert any(line.split() == ["user:", "1", "vertex"] for line in lines)
    assert "hop 1, u2i: 10 edges" in ended.out
    assert "hop 2, i2i: " in ended.out
    assert "loading 17545 lines" in ended.err
    assert not list(tmp_path.iterdir())
