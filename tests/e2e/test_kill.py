"""Kill -9 of any process, and of all, at random moments of a load: nothing acknowledged is lost, and answers equal the oracle."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph, write_graph
from tests.e2e.processes import FRONTEND, SAMPLER
from tests.e2e.service import Service
from tests.e2e.watcher import Watcher

LINES, BEFORE = 30_000, 4_000
KILLS = 3
LOAD_S = 3.0
"""How long the lines of a load are spread over, so that kills meet it at work."""

Kill = Callable[[Service, random.Random], None]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return write_graph(tmp_path_factory.mktemp("large"), LINES, users=150, items=600, seed=2)


@pytest.fixture
def service(new_service: NewService, large: Graph) -> Service:
    """A service of three kinds of processes and two samplers, with the first lines loaded and servable."""
    service = new_service(*large.start_flags, "--samplers", 2)
    service.start()
    service.load_lines(large.pattern_file, large.lines[:BEFORE], "before")
    return service


def kill_the_frontend(service: Service, rnd: random.Random) -> None:
    service.kill(FRONTEND)


def kill_a_sampler(service: Service, rnd: random.Random) -> None:
    service.kill(SAMPLER, rnd.randrange(len(service.pids(SAMPLER)) or 1))


def kill_the_supervisor(service: Service, rnd: random.Random) -> None:
    service.kill_supervisor()
    service.start(ready=False)


def kill_the_whole_group(service: Service, rnd: random.Random) -> None:
    service.kill_all()
    service.start(ready=False)


KINDS: tuple[Kill, ...] = (kill_the_frontend, kill_a_sampler, kill_the_supervisor, kill_the_whole_group)


def kill_any(service: Service, rnd: random.Random) -> None:
    """Kill one after the other, in an order of its own; who died last is still starting when the next one dies."""
    for kill in rnd.sample(KINDS, 2):
        kill(service, rnd)


def moments(rnd: random.Random) -> Iterator[None]:
    """Come back at random moments of a load."""
    for _ in range(KILLS):
        time.sleep(rnd.uniform(0.1, 2 * LOAD_S / KILLS - 0.2))
        yield


@contextmanager
def nothing_goes_back(service: Service, graph: Graph) -> Iterator[None]:
    """Look at answers all the time: what they reflect only grows, whoever was killed meanwhile."""
    with Watcher(service, graph.seeds()) as watcher:
        yield
    assert not watcher.backward
    assert watcher.seen > 10


def assert_complete(service: Service, graph: Graph, barrier: str) -> None:
    service.wait(barrier)
    # A killed process is started again by itself, and what was servable once is servable again.
    service.until_ready()
    assert service.dgs("barrier", "status", "before").out == "READY\n"
    rnd = random.Random(0)
    seeds = graph.seeds()
    assert not wrong(service, graph, graph.oracle(), rnd.sample(seeds, min(len(seeds), 120)))


@pytest.mark.slow
@pytest.mark.parametrize("kill", [*KINDS, kill_any], ids=lambda k: k.__name__)
def test_a_load_during_which_the_service_is_killed_is_complete_in_the_end(service: Service, large: Graph, kill: Kill) -> None:
    # The loader lives through it and sends nothing twice that was acknowledged: what the service lost would be missing.
    rnd = random.Random(kill.__name__)
    with nothing_goes_back(service, large):
        loader = service.begin_load(large.pattern_file, "--barrier", "after")
        loader.feed(large.lines[BEFORE:], LOAD_S)
        for _ in moments(rnd):
            kill(service, rnd)
        ended = loader.finish()
        assert ended.code == 0, ended.err
        assert f"{LINES - BEFORE} lines, {LINES - BEFORE} records" in ended.err
        assert_complete(service, large, "after")


@pytest.mark.slow
def test_a_killed_loader_leaves_nothing_that_loading_again_does_not_complete(service: Service, large: Graph) -> None:
    rnd = random.Random("the loader")
    with nothing_goes_back(service, large):
        for _ in range(KILLS):
            loader = service.begin_load(large.pattern_file, "--barrier", "after")
            loader.feed(large.lines[BEFORE:], 1.5)
            time.sleep(rnd.uniform(0.2, 1.4))
            loader.kill()
        assert service.dgs("barrier", "status", "after").out == "NOT_SET\n"
        finish(service, large, "after", large.lines[BEFORE:])
        assert_complete(service, large, "after")


@pytest.mark.slow
def test_loader_and_service_killed_at_once_go_on_when_both_are_started_again(service: Service, large: Graph) -> None:
    rnd = random.Random("everything")
    with nothing_goes_back(service, large):
        for _ in range(2):
            loader = service.begin_load(large.pattern_file, "--barrier", "after")
            loader.feed(large.lines[BEFORE:], 1.5)
            time.sleep(rnd.uniform(0.3, 1.4))
            service.kill_all()
            loader.kill()
            service.start()
        finish(service, large, "after", large.lines[BEFORE:])
        assert_complete(service, large, "after")


@pytest.mark.slow
def test_what_a_loader_was_told_is_kept_when_everything_is_killed_in_the_next_moment(service: Service, large: Graph) -> None:
    # Each part is acknowledged as a whole, and no line is ever loaded again.
    lines, parts = large.lines[BEFORE:], 2
    size = len(lines) // parts + 1
    for part in range(parts):
        finish(service, large, f"part {part}", lines[part * size : (part + 1) * size])
        service.kill_all()
        service.start(ready=False)
    for part in range(parts):
        service.wait(f"part {part}")
    assert_complete(service, large, "before")


def finish(service: Service, graph: Graph, barrier: str, lines: Sequence[str]) -> None:
    data = service.folder / "rest.data"
    data.write_text("".join(lines))
    ended = service.load(graph.pattern_file, data, "--barrier", barrier)
    assert ended.code == 0, ended.err
