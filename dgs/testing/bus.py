"""The logs of a simulated deployment, and the bus as one of its processes sees them.

Appends fail: with nothing, all, or a part of the entries in the log. What is appended may wait to be synced, as with `fsync batch`:
nobody reads it before, and a power loss takes it away. Nothing is deleted that an oracle could want: `journal` keeps all.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dgs.bus.archive import partition_directory
from dgs.bus.base import Entry
from dgs.bus.frames import encode
from dgs.bus.memory import MemoryLog
from dgs.bus.segments import segment_path
from dgs.core.errors import StateError
from dgs.core.types import PartitionIndex, Position
from dgs.testing.process import APPEND, Life

NOTHING, EVERYTHING, PARTS = "nothing", "everything", "parts"
"""What stands in the log after an append that fails."""
FAILURES = (None, None, NOTHING, EVERYTHING, PARTS, PARTS)
"""As often as each happens while appends fail."""
Place = tuple[str, int]
"""Topic and partition."""


class SimLogs:
    """All logs of a deployment.

    Args:
        synced: whether an append is durable, and can be read, only once it is synced; else at once.
        on_entry: told of every entry, with its writer's name, when it can be read.

    Attributes:
        journal: every entry that ever could be read.
        pinned: logs that are not truncated, as a copy of their reader still needs them.
        files: where checkpoints find the logs as files; written when they ask for the ends, as nobody else does.
    """

    def __init__(self, *, synced: bool, on_entry: Callable[[Place, Entry], None]) -> None:
        self.journal: dict[Place, list[Entry]] = {}
        self.pinned: set[Place] = set()
        self.files: Path | None = None
        self._synced = synced
        self._on_entry = on_entry
        self._logs: dict[Place, MemoryLog] = {}
        self._unsynced: dict[Place, list[bytes]] = defaultdict(list)

    def ensure(self, topic: str, partitions: int) -> None:
        """Make a topic, or check that it is just so; StateError as `Bus.ensure`."""
        for p in range(partitions):
            self._logs.setdefault((topic, p), MemoryLog(f"{topic}/{p}"))
            self.journal.setdefault((topic, p), [])
        if (topic, partitions) in self._logs:
            raise StateError(f"topic {topic} has more than {partitions} partitions")

    def log(self, place: Place) -> MemoryLog:
        """Return a log."""
        return self._logs[place]

    def end(self, place: Place) -> Position:
        """Return where a log ends."""
        return self._logs[place].end

    def ends(self, topic: str) -> list[Position]:
        """Return where all logs of a topic end."""
        return [log.end for (name, _), log in sorted(self._logs.items(), key=lambda item: item[0]) if name == topic]

    def write_files(self) -> None:
        """Write what is new in the logs to their files, as a local bus would have done: positions are the same."""
        if self.files is None:
            return
        for (topic, p), entries in self.journal.items():
            directory = partition_directory(self.files, topic, PartitionIndex(p))
            directory.mkdir(parents=True, exist_ok=True)
            with segment_path(directory, Position(0)).open("ab") as file:
                at = file.tell()
                file.write(b"".join(encode([entry.data for entry in entries if entry.position >= at])))

    def go_back(self, ranges: Mapping[Place, tuple[Position, Position]], files: Path) -> None:
        """Be what a checkpoint has: each log from a position up to an end, as if nothing had come later. The files are others."""
        self._unsynced.clear()
        self.pinned.clear()
        self.files = files
        for place, (begin, end) in ranges.items():
            self.journal[place] = [entry for entry in self.journal[place] if entry.position < end]
            log = self._logs[place] = MemoryLog(self._logs[place].name)
            log.append([entry.data for entry in self.journal[place]])
            log.truncate(begin)

    def write(self, place: Place, entries: Sequence[bytes]) -> None:
        """Append entries; where they have to be synced, they can be read after `sync`."""
        self._unsynced[place] += entries
        if not self._synced:
            self.sync(place)

    def sync(self, place: Place) -> Position:
        """Make durable what was appended, whoever did it; return the end of the log."""
        log, entries = self._logs[place], self._unsynced.pop(place, None)
        if entries:
            before = len(log.entries)
            log.append(entries)
            new = log.entries[before:]
            self.journal[place] += new
            for entry in new:
                self._on_entry(place, entry)
            log.grown.ring()
        return log.end

    def lose_power(self, rnd: random.Random) -> None:
        """Lose what is not synced; of each log a part from its beginning may be left."""
        for place, entries in sorted(self._unsynced.items()):
            del entries[rnd.randrange(len(entries) + 1) :]
            self.sync(place)


class SimBus:
    """The bus of one process; see `dgs.bus.base.Bus`.

    Args:
        logs: where entries stand.
        life: whose bus it is.
        on_read: told with the place whenever the process asks for more.
    """

    def __init__(self, logs: SimLogs, life: Life, on_read: Callable[[Place], None] = lambda _: None) -> None:
        self._logs = logs
        self._life = life
        self._on_read = on_read

    async def ensure(self, topic: str, partitions: int, log_id: str = "") -> None:
        """See `Bus.ensure`."""
        await self._life.point()
        self._logs.ensure(topic, partitions)

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        """See `Bus.append`; OSError where a fault wants it."""
        process, place = self._life.process, (topic, int(partition))
        await self._life.point()
        fails = asyncio.get_running_loop().time() < process.appends_fail_until_s
        fault = process.random.choice(FAILURES) if fails else None
        if process.append_s:
            await asyncio.sleep(process.random.random() * process.append_s)
        self._life.touch(APPEND)
        if fault != NOTHING:
            stand = entries if fault != PARTS else [e for e in entries if process.random.random() < 0.5]
            self._logs.write(place, stand)
            self._life.touch(APPEND)
            await self._life.point()
            end = self._logs.sync(place)
        if fault is not None:
            await self._life.point()
            raise OSError(f"a fault of the simulation: {fault} of the append stands")
        return end

    async def read(
        self, topic: str, partition: PartitionIndex, position: Position, *, max_bytes: int, wait_s: float
    ) -> list[Entry]:
        """See `Bus.read`; now and then it returns less than it could."""
        place = (topic, int(partition))
        self._on_read(place)
        await self._life.point()
        loop, log = asyncio.get_running_loop(), self._logs.log(place)
        deadline_s = loop.time() + wait_s
        limit = min(max_bytes, self._life.process.random.choice((1, 2000, max_bytes)))
        while True:
            ring = log.grown.next_ring()
            entries = log.read(position, limit)
            remaining_s = deadline_s - loop.time()
            if entries or remaining_s <= 0:
                return entries
            await asyncio.wait([ring], timeout=remaining_s)

    def processed(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """See `Bus.processed`; nobody asks."""

    async def end(self, topic: str, partition: PartitionIndex) -> Position:
        """See `Bus.end`."""
        await self._life.point()
        return self._logs.end((topic, int(partition)))

    async def ends(self, topics: Sequence[str]) -> dict[str, list[Position]]:
        """See `Bus.ends`."""
        await self._life.point()
        self._logs.write_files()
        return {topic: self._logs.ends(topic) for topic in topics}

    async def truncate(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """See `Bus.truncate`."""
        await self._life.point()
        place = (topic, int(partition))
        if place not in self._logs.pinned:
            self._logs.log(place).truncate(position)

    async def close(self) -> None:
        """There is nothing to release."""
