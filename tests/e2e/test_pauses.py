"""Processes that stand still for a while under load, and a service that is told to stop under load: nothing is lost of it."""

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import FRONTEND, SAMPLER, Loader, paused, until
from tests.e2e.service import Service

LOAD_S = 2.0


@pytest.fixture
def service(new_service: NewService, graph: Graph) -> Service:
    service = new_service(*graph.start_flags, "--samplers", 2)
    service.start()
    return service


def begin(service: Service, graph: Graph, lines: list[str], barrier: str) -> Loader:
    """Begin to load lines, and return when the first records have gone through the samplers."""
    before = sum(service.get("/cluster").json()["positions"])
    loader = service.begin_load(graph.pattern_file, "--barrier", barrier)
    loader.feed(lines, LOAD_S)
    until("records arrive", lambda: sum(service.get("/cluster").json()["positions"]) > before)
    return loader


def finish(service: Service, loader: Loader, barrier: str) -> None:
    ended = loader.finish()
    assert ended.code == 0, ended.err
    service.wait(barrier)


@pytest.mark.slow
def test_a_process_that_stands_still_under_load_goes_on_where_it_was(service: Service, graph: Graph) -> None:
    before, half = service.members(), len(graph.lines) // 2
    loader = begin(service, graph, graph.lines[:half], "sampler")
    with paused(service.pids(SAMPLER)[:1]):
        until("all is fed", lambda: loader.fed)
        assert service.get(f"/samples?vid={graph.seeds()[0]}").status == 200, "reading goes on"
        # The other sampler's partitions go on; what belongs to this one is not shown as servable.
        assert loader.finish().code == 0
        assert service.dgs("barrier", "status", "sampler").out == "PRODUCED\n"
    service.wait("sampler")
    assert not wrong(service, graph, graph.oracle(graph.lines[:half]), graph.seeds())

    loader = begin(service, graph, graph.lines[half:], "frontend")
    with paused(service.pids(FRONTEND)):
        until("all is fed", lambda: loader.fed)
        assert not service.answers("/livez")
    finish(service, loader, "frontend")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
    assert service.members() == before, "nobody was started again"


@pytest.mark.slow
def test_sigterm_under_load_ends_with_0_and_the_loader_goes_on_with_the_next_start(service: Service, graph: Graph) -> None:
    loader = begin(service, graph, graph.lines, "all")
    assert service.terminate() == 0
    assert "killing" not in service.said()
    assert "Traceback" not in service.said()
    assert loader.running
    service.start("--samplers", 1)
    finish(service, loader, "all")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
