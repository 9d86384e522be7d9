"""A loader whose log or disk is full: it waits, says so, goes on by itself, and gives up in time with the reason."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dgs.bus.base import RECORDS
from dgs.core.types import PartitionIndex
from tests.disk import small_disk
from tests.loader.world import P, World


@contextmanager
def loading_into(folder: Path) -> Iterator[World]:
    world = World(folder)
    world.coordinator.start()
    try:
        yield world
    finally:
        world.coordinator.stop()
        asyncio.run(world.bus.close())


def test_it_waits_for_room_on_the_disk_and_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk, loading_into(disk.path) as world:
        world.coordinator.more = {"disk_free_min_bytes": 1 << 20}
        disk.fill(leave=512 << 10)
        process = world.start("--retry-timeout", "60")
        assert process.stderr is not None
        killer = threading.Timer(60, process.kill)
        killer.start()
        try:
            said = process.stderr.readline()
            assert "takes nothing" in said
            assert "have to stay free (disk_free_min_bytes): free some; trying for 60 s" in said
            assert world.ends() == {f"4:{p}:0" for p in range(P)}
            disk.free()
            rest = process.stderr.read()
            assert process.wait() == 0, rest
        finally:
            killer.cancel()
            process.kill()
            process.communicate()
        assert "takes records again" in rest
        assert len(world.records()) == 4


def test_it_gives_up_with_the_reason_when_a_log_stays_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with loading_into(tmp_path) as world:
        for p in range(P):
            asyncio.run(world.bus.append(RECORDS, PartitionIndex(p), [b"x" * 92]))
        before = world.ends()
        world.coordinator.more = {"log_bytes_max": 100}
        result = world.run("--retry-timeout", "0.3")
        assert result.exit_code == 1
        assert "has 100 bytes, the limit is 100 (log_bytes_max)" in result.stderr
        assert "Repair that and load the same input again" in result.stderr
        assert world.ends() == before
        world.coordinator.more = {"log_bytes_max": 1 << 20}
        assert world.run("--retry-timeout", "0.3").exit_code == 0
