"""Limits of appends: those who have them are refused, clearly, until there is room; those who have none are not."""

from pathlib import Path

import pytest

from dgs.bus import open_bus
from dgs.bus.limits import AppendLimits
from dgs.bus.local import LocalBus
from dgs.core.errors import NoRoomError
from dgs.core.types import PartitionIndex, Position
from tests.disk import small_disk

TOPIC = "record-batches"
ZERO, ONE = PartitionIndex(0), PartitionIndex(1)


async def test_a_log_at_its_limit_refuses_whoever_has_the_limit(tmp_path: Path) -> None:
    loader = LocalBus(tmp_path, segment_bytes=400, limits=AppendLimits(log_bytes_max=1000))
    machine = LocalBus(tmp_path, segment_bytes=400)
    await machine.ensure(TOPIC, 2)
    while await machine.end(TOPIC, ZERO) < 1000:
        end = await loader.append(TOPIC, ZERO, [b"x" * 92])
    with pytest.raises(NoRoomError, match=rf"log record-batches/0 has {end} bytes, the limit is 1000 \(log_bytes_max\)") as e:
        await loader.append(TOPIC, ZERO, [b"x"])
    assert e.value.retriable
    assert await machine.end(TOPIC, ZERO) == end, "nothing was written"
    await loader.append(TOPIC, ONE, [b"x"])  # another partition has its own limit
    end = await machine.append(TOPIC, ZERO, [b"y" * 92])
    await machine.truncate(TOPIC, ZERO, end)
    assert await loader.append(TOPIC, ZERO, [b"x"]) > end, "what was given up does not count"
    await loader.close()
    await machine.close()


async def test_a_disk_with_too_little_room_refuses_whoever_has_the_limit(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        loader = open_bus(f"local://{disk.path}/log", limits=AppendLimits(disk_free_min_bytes=1 << 20))
        machine = open_bus(f"local://{disk.path}/log")
        await machine.ensure(TOPIC, 1)
        await loader.append(TOPIC, ZERO, [b"x"])
        disk.fill(leave=512 << 10)
        with pytest.raises(NoRoomError, match=r"1048576 have to stay free \(disk_free_min_bytes\): free some"):
            await loader.append(TOPIC, ZERO, [b"x"])
        await machine.append(TOPIC, ZERO, [b"y"])
        disk.free()
        await loader.append(TOPIC, ZERO, [b"z"])
        entries = await loader.read(TOPIC, ZERO, Position(0), max_bytes=1 << 20, wait_s=0)
        assert [e.data for e in entries] == [b"x", b"y", b"z"]
        await loader.close()
        await machine.close()
