"""A bus in the memory of one process: for tests, the simulator and `memory://`.

It never writes a file and forgets everything when the process ends. Its positions grow like byte offsets, so code that takes
positions for dense numbers fails here first; it truncates exactly, so code that reads what it gave up fails here first too.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence

from dgs.bus.base import Entry
from dgs.bus.wakeup import Wakeup
from dgs.core.errors import CodecError, InputError, NotFoundError, PositionError, StateError
from dgs.core.types import PartitionIndex, Position

_OVERHEAD = 8
"""What an entry takes besides its bytes. Empty entries need it, too: two entries never share a position."""


class MemoryLog:
    """One partition: entries with their positions, and where the next one will stand. Errors as those of `Bus`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self.positions: list[int] = []
        self.first = Position(0)
        self.end = Position(0)
        self.grown = Wakeup()

    def append(self, entries: Sequence[bytes]) -> Position:
        """Append entries; return where the log ends now."""
        for data in entries:
            following = Position(self.end + _OVERHEAD + len(data))
            self.entries.append(Entry(self.end, following, bytes(data)))
            self.positions.append(self.end)
            self.end = following
        return self.end

    def check(self, position: Position) -> None:
        """Refuse a position beyond the end."""
        if position > self.end:
            raise PositionError(
                f"{self.name}: position {position} is beyond the end of the log ({self.end}): whoever kept this position"
                " read another log, and the two do not belong together; start both anew"
            )

    def read(self, position: Position, max_bytes: int) -> list[Entry]:
        """Return what there is now."""
        self.check(position)
        if position < self.first:
            raise PositionError(f"{self.name}: position {position} is before the first kept entry ({self.first})")
        start = bisect_left(self.positions, position)
        if start == len(self.positions):
            return []
        if self.positions[start] != position:
            raise CodecError(f"{self.name}: no entry starts at position {position}")
        stop = start + 1
        while stop < len(self.entries) and self.entries[stop].next - position <= max_bytes:
            stop += 1
        return self.entries[start:stop]

    def truncate(self, position: Position) -> None:
        """Forget exactly the entries before a position."""
        self.check(position)
        kept = bisect_left(self.positions, position)
        del self.entries[:kept], self.positions[:kept]
        self.first = max(self.first, self.entries[0].position if self.entries else self.end)


class MemoryBus:
    """See `dgs.bus.base.Bus`. One event loop; every instance is a world of its own."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._topics: dict[str, list[MemoryLog]] = {}
        self._closed = False

    async def ensure(self, topic: str, partitions: int, log_id: str = "") -> None:
        """See `Bus.ensure`; at least one partition, else InputError."""
        self._check_open()
        if partitions < 1:
            raise InputError(f"topic {topic} needs at least one partition, not {partitions}")
        logs = self._topics.setdefault(topic, [MemoryLog(f"{topic}/{index}") for index in range(partitions)])
        owner = self._owners.setdefault(topic, log_id)
        if owner != log_id and owner and log_id:
            raise StateError(f"topic {topic} belongs to another deployment ({owner}, not {log_id})")
        if len(logs) != partitions:
            raise StateError(f"topic {topic} has {len(logs)} partitions, not {partitions}; their number is fixed")

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        """Append entries and wake who waits; NotFoundError without `ensure`."""
        log = self._log(topic, partition)
        await asyncio.sleep(0)  # a writer in a loop leaves others their turn, as it does on a bus with real waiting
        self._check_open()
        end = log.append(entries)
        log.grown.ring()
        return end

    async def read(
        self, topic: str, partition: PartitionIndex, position: Position, *, max_bytes: int, wait_s: float
    ) -> list[Entry]:
        """Return entries from `position` on, waiting up to `wait_s` for the first; errors as in `Bus.read`."""
        log = self._log(topic, partition)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + wait_s
        await asyncio.sleep(0)
        while not self._closed:
            ring = log.grown.next_ring()
            entries = log.read(position, max_bytes)
            remaining_s = deadline_s - loop.time()
            if entries or remaining_s <= 0:
                return entries
            await asyncio.wait([ring], timeout=remaining_s)
        return []

    def processed(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """See `Bus.processed`; nobody asks."""

    async def end(self, topic: str, partition: PartitionIndex) -> Position:
        """Return the position after the last entry."""
        return self._log(topic, partition).end

    async def ends(self, topics: Sequence[str]) -> dict[str, list[Position]]:
        """See `Bus.ends`."""
        return {topic: [log.end for log in self._logs(topic)] for topic in topics}

    async def truncate(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """Forget exactly the entries before `position`; PositionError if it is beyond the end."""
        self._log(topic, partition).truncate(position)

    async def close(self) -> None:
        """End waiting reads; every later call is a StateError."""
        self._closed = True
        for logs in self._topics.values():
            for log in logs:
                log.grown.ring()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("this bus was closed")

    def _logs(self, topic: str) -> list[MemoryLog]:
        self._check_open()
        logs = self._topics.get(topic)
        if logs is None:
            raise NotFoundError(f"no topic {topic}: `ensure` makes it")
        return logs

    def _log(self, topic: str, partition: PartitionIndex) -> MemoryLog:
        logs = self._logs(topic)
        if not 0 <= partition < len(logs):
            raise NotFoundError(f"topic {topic} has partitions 0 to {len(logs) - 1}, no {partition}")
        return logs[partition]
