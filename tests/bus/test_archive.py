"""Logs as files: the segments of a range, and a log that is made of them somewhere else."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from dgs.bus.archive import partition_directory, segments, write_end
from dgs.bus.base import RECORDS, Entry
from dgs.bus.local import LocalBus
from dgs.core.errors import PositionError
from dgs.core.types import PartitionIndex, Position

ZERO = PartitionIndex(0)
SEGMENT_BYTES = 200


async def written(root: Path, count: int) -> list[Entry]:
    """Write entries, a few to a segment; return them."""
    bus = LocalBus(root, segment_bytes=SEGMENT_BYTES)
    await bus.ensure(RECORDS, 1)
    for i in range(count):
        await bus.append(RECORDS, ZERO, [b"%d" % i * 20])
    entries = await read(bus, Position(0))
    await bus.close()
    return entries


async def read(bus: LocalBus, position: Position) -> list[Entry]:
    entries: list[Entry] = []
    while found := await bus.read(RECORDS, ZERO, position, max_bytes=1000, wait_s=0):
        entries += found
        position = found[-1].next
    return entries


async def copied(source: Path, target: Path, begin: Position, end: Position) -> LocalBus:
    """Make a bus that has a range of another one's log."""
    bus = LocalBus(target, segment_bytes=SEGMENT_BYTES)
    await bus.ensure(RECORDS, 1)
    folder = partition_directory(target, RECORDS, ZERO)
    for segment in segments(partition_directory(source, RECORDS, ZERO), begin, end):
        (folder / segment.path.name).write_bytes(segment.path.read_bytes()[: segment.nbytes])
    write_end(folder, end)
    return bus


async def test_every_range_of_a_log_reads_and_goes_on_elsewhere(tmp_path: Path) -> None:
    entries = await written(tmp_path / "log", 30)
    ends = [Position(0), *(e.next for e in entries)]
    assert len(segments(partition_directory(tmp_path / "log", RECORDS, ZERO), ends[0], ends[-1])) > 4
    for first in range(0, 31, 5):
        for last in range(first, 31, 5):
            bus = await copied(tmp_path / "log", tmp_path / f"{first}-{last}", ends[first], ends[last])
            assert await read(bus, ends[first]) == entries[first:last]
            assert await bus.end(RECORDS, ZERO) == ends[last]
            await bus.append(RECORDS, ZERO, [b"more"])
            assert [e.data for e in await read(bus, ends[first])] == [*(e.data for e in entries[first:last]), b"more"]
            await bus.close()


async def test_only_segments_of_the_range_are_named(tmp_path: Path) -> None:
    entries = await written(tmp_path, 30)
    folder = partition_directory(tmp_path, RECORDS, ZERO)
    found = segments(folder, entries[10].position, entries[20].position)
    assert found[0].base <= entries[10].position < found[1].base
    assert found[-1].base < entries[20].position == found[-1].base + found[-1].nbytes
    assert all(a.base + a.nbytes == b.base for a, b in pairwise(found))
    assert segments(folder, entries[10].position, entries[10].position) == []


async def test_a_range_whose_beginning_is_gone_is_refused(tmp_path: Path) -> None:
    entries = await written(tmp_path, 30)
    folder = partition_directory(tmp_path, RECORDS, ZERO)
    min(folder.glob("*.log")).unlink()
    with pytest.raises(PositionError, match="position 0 is before the first kept entry"):
        segments(folder, Position(0), entries[-1].next)
    shutil.rmtree(folder)
    with pytest.raises(PositionError):
        segments(folder, Position(0), entries[-1].next)
