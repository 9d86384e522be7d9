"""A disk that loses power or turns read-only under a service: synced logs keep what was acknowledged, others are refused.

The disk is an ext4 of its own. Mounted again, it has what was synced, and nothing that was only written, as after a power loss: the
states in RocksDB go back to older commits, and the logs bring back the rest.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dgs.datadir import DataDir
from tests.disk import FailingDisk, failing_disk, small_disk
from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import Loader, free_port, run, until
from tests.e2e.service import Service

BEFORE = 2500


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FailingDisk]:
    with failing_disk(tmp_path / "failing", 256 << 20) as disk:
        yield disk


@pytest.fixture
def service(new_service: NewService, graph: Graph, disk: FailingDisk) -> Iterator[Service]:
    """A service with synced logs on the disk, with the first lines loaded, which nobody loads again."""
    service = loaded(new_service, graph, disk, "batch")
    yield service
    service.stop()  # while the disk is still there


@pytest.fixture
def unsynced_service(new_service: NewService, graph: Graph, disk: FailingDisk) -> Iterator[Service]:
    """The same with logs that nobody syncs."""
    service = loaded(new_service, graph, disk, "never")
    yield service
    service.stop()


def loaded(new_service: NewService, graph: Graph, disk: FailingDisk, fsync: str) -> Service:
    service = new_service(*graph.start_flags, "--fsync", fsync, "--disk-free-min-bytes", 0)
    service.data_dir = disk.path / "state"
    service.start()
    service.load_lines(graph.pattern_file, graph.lines[:BEFORE], "before")
    return service


def begin(service: Service, graph: Graph) -> Loader:
    """Begin to load the rest, and return when some of it stands in the logs."""
    before = sum(service.get("/cluster").json()["positions"])
    loader = service.begin_load(graph.pattern_file)
    loader.feed(graph.lines[BEFORE:], 3.0)
    until("records arrive", lambda: sum(service.get("/cluster").json()["positions"]) > before)
    return loader


def assert_goes_on(service: Service, graph: Graph, disk: FailingDisk) -> None:
    """Mount the disk again and start the service; load what no loader was told to be there."""
    disk.mount_again()
    service.start()
    assert service.dgs("barrier", "status", "before").out == "READY\n"
    service.load_lines(graph.pattern_file, graph.lines[BEFORE:], "rest")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


@pytest.mark.slow
def test_what_a_loader_was_told_survives_a_power_loss(service: Service, graph: Graph, disk: FailingDisk) -> None:
    loader = begin(service, graph)
    disk.lose_power()
    service.kill_all()
    loader.kill()
    assert_goes_on(service, graph, disk)


@pytest.mark.slow
def test_logs_that_have_lost_what_was_confirmed_are_refused(
    unsynced_service: Service, graph: Graph, disk: FailingDisk, tmp_path: Path
) -> None:
    disk.lose_power()
    unsynced_service.kill_all()
    disk.mount_again()
    flags = (*graph.start_flags, "--data-dir", unsynced_service.data_dir, "--port", free_port())
    ended = run("dgs", "up", *flags, cwd=tmp_path)
    assert ended.code == 1
    assert "entries are lost (a power loss with fsync=never?)" in ended.err
    assert "`dgs checkpoint restore --data-dir NEW`" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_a_disk_that_turns_read_only_leaves_a_service_that_answers_and_says_so(
    service: Service, graph: Graph, disk: FailingDisk
) -> None:
    loader = begin(service, graph)
    disk.turn_read_only()
    until("it says so", lambda: "make the disk writable" in service.get("/readyz").json()["checks"]["storage"])
    assert service.get("/readyz").json()["degraded"] is True
    assert service.get(f"/samples?vid={graph.seeds()[0]}").status == 200, "reading goes on"
    assert loader.running
    loader.kill()
    assert service.terminate() == 0
    assert "Traceback" not in service.said()
    assert_goes_on(service, graph, disk)


def test_a_read_only_data_directory_is_refused(graph: Graph, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1 << 20) as disk:
        made = disk.path / "made"
        made.mkdir()
        DataDir(made).make()
        disk.make_read_only()
        for data_dir in (made, disk.path / "new"):
            ended = run("dgs", "up", *graph.start_flags, "--data-dir", data_dir, "--port", free_port(), cwd=tmp_path)
            assert ended.code == 1
            assert f"the data directory {data_dir} cannot be written (Read-only file system" in ended.err
            assert "make it writable, or give another --data-dir" in ended.err
            assert "Traceback" not in ended.err
