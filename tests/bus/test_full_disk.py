"""The local log on a disk that fills up: an append that is refused leaves nothing, and the next one with room goes on."""

import errno
from pathlib import Path
from typing import Literal

import pytest

from dgs.bus.local import LocalBus
from dgs.bus.watched import WatchedBus
from dgs.core.types import PartitionIndex, Position
from dgs.troubles import Troubles
from tests.disk import small_disk

ZERO = PartitionIndex(0)


@pytest.mark.parametrize("fsync", ["never", "batch"])
async def test_refused_appends_leave_nothing_and_are_told_until_one_goes_well(
    tmp_path: Path, fsync: Literal["never", "batch"]
) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        troubles = Troubles()
        local = LocalBus(disk.path / "log", fsync=fsync, segment_bytes=100_000)
        bus = WatchedBus(local, troubles)
        await bus.ensure("topic", 1)
        sent: list[bytes] = []
        refused: OSError | None = None
        while refused is None:
            entries = [b"%d" % len(sent), b"x" * 60_000]
            try:
                await bus.append("topic", ZERO, entries)
                sent += entries
            except OSError as e:
                refused = e
        assert refused.errno == errno.ENOSPC
        assert len(sent) > 6
        (told,) = troubles.found
        assert told.startswith("no room for the log topic/0")
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                await bus.append("topic", ZERO, entries)
        disk.resize(2 << 20)
        await bus.append("topic", ZERO, entries)
        assert troubles.found == []
        found, position = [], Position(0)
        while read := await bus.read("topic", ZERO, position, max_bytes=1 << 20, wait_s=0):
            found += [e.data for e in read]
            position = read[-1].next
        assert found == sent + entries
        await bus.close()
