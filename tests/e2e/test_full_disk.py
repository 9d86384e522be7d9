"""A disk that fills up under a running service: it stays up and readable, says so, loses nothing, and goes on later."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk import SmallDisk, small_disk
from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph, write_graph
from tests.e2e.processes import SAMPLER, SUPERVISOR, paused, until
from tests.e2e.service import Service

LINES, BEFORE = 12_000, 3_000


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return write_graph(tmp_path_factory.mktemp("graph"), LINES, users=150, items=600, seed=4)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 64 << 20) as disk:
        yield disk


def started(new_service: NewService, graph: Graph, disk: SmallDisk, *flags: object) -> Service:
    """Start a service on the disk, with the first lines loaded and servable."""
    service = new_service(*graph.start_flags, "--samplers", 2, *flags)
    service.data_dir = disk.path / "state"
    service.start()
    service.load_lines(graph.pattern_file, graph.lines[:BEFORE], "before")
    return service


def storage(service: Service) -> str:
    """What /readyz says about the storage; it has to be ready."""
    reply = service.get("/readyz")
    assert reply.status == 200, reply.text
    body = reply.json()
    assert body["ready"] is True
    assert body["degraded"] == (body["checks"]["storage"] != "ok")
    return str(body["checks"]["storage"])


@pytest.mark.slow
def test_the_service_outlives_a_full_disk(new_service: NewService, graph: Graph, disk: SmallDisk) -> None:
    service = started(new_service, graph, disk, "--disk-free-min-bytes", 0)
    seeds, before = graph.seeds(), service.members()
    assert storage(service) == "ok"
    disk.fill(leave=256 << 10)
    loader = service.begin_load(graph.pattern_file, "--barrier", "all")
    # Samplers that keep up would have nothing left to write where it is the loader that finds the disk full.
    with paused(service.pids(SAMPLER)):
        loader.feed(graph.lines, 0.5)
        until("the disk is full", lambda: "takes nothing" in loader.log.read_text())
        disk.fill()
    until("sampler processes say so", lambda: re.search(r"no room for (the log sample-batches|the state of)", storage(service)))
    assert service.get(f"/samples?vid={seeds[0]}").status == 200, "reading goes on"
    said = service.log.read_text()
    # A sampler that is killed now cannot even open its state; it waits for room, too.
    service.kill(SAMPLER)
    until("it runs again", lambda: len(service.pids(SAMPLER)) == 2)
    until("it says that it waits", lambda: "the state of sampler partition" in storage(service))
    assert service.get(f"/samples?vid={seeds[0]}").status == 200
    assert loader.running
    disk.free()
    ended = loader.finish()
    assert ended.code == 0, ended.err
    assert "takes nothing" in ended.err
    assert "takes records again" in ended.err
    service.wait("all")
    until("all is well again", lambda: storage(service) == "ok")
    assert not wrong(service, graph, graph.oracle(), seeds)
    after = service.members()
    kept = {pid for pid, role in before.items() if pid in after}
    assert len(kept) == len(before) - 1, "only the sampler that was killed is another"
    assert SUPERVISOR in [after[pid] for pid in kept]
    refusals = re.findall(r"storage refuses a write; it is tried again what=(\S+)", said)
    assert refusals
    assert len(said) < 100_000, "once a change of state, not once an attempt"
    # And what the full disk has left behind survives a crash.
    service.kill_all()
    service.start()
    assert not wrong(service, graph, graph.oracle(), seeds)


@pytest.mark.slow
def test_loaders_stop_before_the_disk_is_full(new_service: NewService, graph: Graph, disk: SmallDisk) -> None:
    reserve = 24 << 20
    service = started(new_service, graph, disk, "--disk-free-min-bytes", reserve)
    disk.fill(leave=reserve - (1 << 20))
    assert "disk_free_min_bytes" in storage(service)
    loader = service.begin_load(graph.pattern_file, "--barrier", "all")
    loader.feed(graph.lines, 0.1)
    until("the loader waits", lambda: "disk_free_min_bytes" in loader.log.read_text())
    assert service.dgs("barrier", "set", "meanwhile").code == 0, "machines go on"
    service.wait("meanwhile")
    disk.free()
    ended = loader.finish()
    assert ended.code == 0, ended.err
    service.wait("all")
    assert storage(service) == "ok"
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
    assert "refuses a write" not in service.log.read_text()
