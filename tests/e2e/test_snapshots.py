"""Snapshots of real serving partitions: after kill -9 the newest one and the log behind it are read; a damaged one is left out."""

from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import write_graph
from tests.e2e.processes import until
from tests.e2e.service import Service

LINES = 60_000


def snapshots(service: Service) -> list[Path]:
    """The snapshots that count, oldest first."""
    return sorted((service.data_dir / "serving" / "0").glob("*.snapshot"))


def starts(service: Service) -> list[str]:
    """What each frontend has said of where its serving partition starts."""
    return [line for line in service.log.read_text(errors="replace").splitlines() if "serving partition starts" in line]


@pytest.mark.slow
def test_a_killed_service_starts_from_its_newest_snapshot_that_is_whole(new_service: NewService, tmp_path: Path) -> None:
    graph = write_graph(tmp_path, LINES, users=6000, items=30_000)
    service = new_service(*graph.start_flags, "--serving-partitions", 1, "--snapshot-interval-s", 0.05)
    service.start()
    for part in range(3):
        # Every part moves the log by more than the least that a snapshot is made for.
        before = snapshots(service)
        service.load_lines(graph.pattern_file, graph.lines[part * LINES // 3 : (part + 1) * LINES // 3], f"part-{part}")
        until("there is a new snapshot", lambda: snapshots(service)[-1:] != before[-1:])  # noqa: B023 - called at once
    until("two are kept", lambda: len(snapshots(service)) == 2)
    service.kill_all()
    oracle, seeds = graph.oracle(), graph.seeds()[::20]
    older, newest = snapshots(service)
    assert "position=0 " in starts(service)[0]

    service.start("--snapshot-interval-s", 0)
    assert f"position={int(newest.stem)} " in starts(service)[1]
    assert not wrong(service, graph, oracle, seeds)
    assert service.dgs("barrier", "status", "part-2").out == "READY\n"
    service.kill_all()

    data_bytes = bytearray(newest.read_bytes())
    data_bytes[len(data_bytes) // 2] ^= 16
    newest.write_bytes(data_bytes)
    service.start("--snapshot-interval-s", 0)
    assert f"position={int(older.stem)} " in starts(service)[2]
    assert str(newest) in service.said()
    assert "snapshot is damaged; it is set aside" in service.said()
    assert snapshots(service) == [older]
    assert newest.with_name(f"{newest.name}.damaged").exists()
    assert not wrong(service, graph, oracle, seeds)
