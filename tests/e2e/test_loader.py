"""The loader and the service as two processes: bad lines, barriers of several loaders, and a service that is not there (yet)."""

import json
import time
from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.service import Service

BAD = [
    "user,x,1,1:2:3\n",
    "user,1\n",
    "robot,1,2\n",
    "u2i,1,2,,1.0,\n",
    "u2i,1,2,3,nan,\n",
    "u2i,1,2,3,-1,\n",
    "user,9223372036854775808,1,1:2:3\n",
    "user,1,999999,1:2\n",
    "\n",
]


def test_bad_lines_go_to_the_dead_letters_and_everything_else_is_loaded(new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags)
    service.start()
    good = graph.lines
    lines = list(good)
    for i, bad in enumerate(BAD):
        lines.insert(100 * (i + 1), bad)
    data = service.folder / "some.data"
    data.write_text("".join(lines))
    ended = service.load(graph.pattern_file, data, "--barrier", "b")
    assert ended.code == 5, ended.err
    assert f"{len(good)} records" in ended.err
    assert "8 dead letters in some.data.dead-letters" in ended.err
    letters = [json.loads(line) for line in (service.folder / "some.data.dead-letters").read_text().splitlines()]
    assert [letter["text"] + "\n" for letter in letters] == BAD[:-1]
    assert [lines[letter["line"] - 1] for letter in letters] == BAD[:-1]
    assert all(letter["reason"] for letter in letters)
    service.wait("b")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


@pytest.mark.slow
def test_a_loader_that_starts_before_the_service_waits_for_it(new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags)
    loader = service.begin_load(graph.pattern_file, "--barrier", "b")
    loader.feed(graph.lines, 0.5)
    time.sleep(1.5)
    assert loader.running
    service.start()
    ended = loader.finish()
    assert ended.code == 0, ended.err
    service.wait("b")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


@pytest.mark.slow
def test_a_loader_lives_through_a_service_that_is_away_for_a_while(new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags)
    service.start()
    # The first vertices come while the service is away: their lists' lengths must be agreed on first.
    edges = [line for line in graph.lines if "2i," in line]
    vertices = [line for line in graph.lines if "2i," not in line]
    loader = service.begin_load(graph.pattern_file, "--barrier", "b")
    loader.feed(edges + vertices, 2.0)
    time.sleep(0.8)
    assert service.terminate() == 0
    time.sleep(1.0)
    assert loader.running
    service.start()
    ended = loader.finish()
    assert ended.code == 0, ended.err
    service.wait("b")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


def test_a_loader_without_a_service_gives_up_in_the_end(new_service: NewService, graph: Graph) -> None:
    service = new_service()
    ended = service.load(graph.pattern_file, graph.data_file, "--retry-timeout", 0.5)
    assert ended.code == 3
    assert "is `dgs up` running there?" in ended.err


def test_a_barrier_that_is_used_twice_does_not_cover_the_second_load(loaded: Service, graph: Graph) -> None:
    again = loaded.load(graph.pattern_file, graph.data_file, "--barrier", "loaded")
    assert again.code == 1
    assert "barrier 'loaded' was set before (it is READY), so it would not cover this load" in again.err
    assert "choose a new name" in again.err
    assert loaded.dgs("barrier", "set", "loaded").code == 0
    other_count = loaded.dgs("barrier", "set", "loaded", "--count", 2)
    assert other_count.code == 1
    assert "Barrier loaded Already Set." in other_count.err


def test_a_barrier_of_two_loaders_is_set_by_the_second(loaded: Service, graph: Graph, tmp_path: Path) -> None:
    halves = [tmp_path / "0.data", tmp_path / "1.data"]
    for i, half in enumerate(halves):
        half.write_text("".join(graph.lines[i::2]))
    flags = ["--barrier", "both", "--barrier-count", 2, "--loader-id"]
    assert loaded.load(graph.pattern_file, halves[0], *flags, 0).code == 0
    assert loaded.dgs("barrier", "status", "both").out == "NOT_SET\n"
    late = loaded.dgs("barrier", "wait", "both", "--timeout", 0.5)
    assert late.code == 4
    assert loaded.load(graph.pattern_file, halves[1], *flags, 1).code == 0
    loaded.wait("both")
    assert not wrong(loaded, graph, graph.oracle(), graph.seeds())
