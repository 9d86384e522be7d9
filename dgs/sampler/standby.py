"""A stand-by: a second copy of a sampler partition, which reads and applies as the first does, and writes only what that does not.

What the first copy emits, the stand-by emits, too, under the same numbers. It follows the logs that both write to: an item that it
finds there is acknowledged, whoever wrote it. An item that nobody has written for a while shows that the first copy is gone: the
stand-by writes it, and from then on writes at once. When it meets items there that were written a second time, somebody else writes
again, and it steps back. Nobody has to decide who is the first: two that write at once do no harm, as readers drop what they have
seen.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dgs.bus.base import SAMPLES, Bus
from dgs.bus.outbox import Outbox, Pending
from dgs.codec.entries import BlockPack, decode_entry
from dgs.core.errors import CodecError, PositionError
from dgs.core.types import PartitionIndex, Position
from dgs.telemetry import logs

READ_BYTES = 1 << 20
WAIT_S = 60.0
AGAIN_S = 1.0

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in a log of what a sampler partition has written, before a position.

    Attributes:
        position: of the log.
        number: of the last item before it.
        note: the position that the last note before it tells; -1 before the first.
    """

    position: Position
    number: int
    note: int


@dataclass(frozen=True, slots=True)
class Standby:
    """What makes a worker a stand-by.

    Attributes:
        after_s: what nobody has written for so long it writes itself.
        standing: returns what stands in the log of a serving partition; waits until that is known.
    """

    after_s: float
    standing: Callable[[int], Awaitable[Standing]]


class StandbyOutbox(Outbox):
    """Channels that another copy of the machine writes to, too.

    Args:
        bus, topic, partitions, sent: see `Outbox`.
        after_s: see `Standby`.

    Attributes:
        active: whether it writes at once.
    """

    @property
    def stands_by(self) -> bool:  # type: ignore[override]  # of others it is always the same
        """Whether it leaves writing to another copy."""
        return not self.active

    def __init__(self, bus: Bus, topic: str, partitions: int, sent: Sequence[int], *, after_s: float) -> None:
        super().__init__(bus, topic, partitions, sent)
        self._after_s = after_s
        self._standing = list(sent)
        self._noted = [-1] * partitions
        self._taken_over = list(sent)
        self._judges_from = [math.inf] * partitions
        self.active = False

    def begin(self, destination: int, standing: Standing) -> None:
        """Take note of what is known to stand in a log."""
        self._standing[destination] = max(self._standing[destination], standing.number)
        self._noted[destination] = max(self._noted[destination], standing.note)
        self._filled[destination].set()

    def caught_up(self, destination: int) -> None:
        """Take note that all is found that stood in a log at first: what is missing from now on has not been written."""
        self._judges_from[destination] = asyncio.get_running_loop().time()
        self._filled[destination].set()

    def found(self, destination: int, pack: BlockPack) -> None:
        """Take note of what stands in a log, pack after pack. As for a reader, what follows a gap does not count yet."""
        standing, last = self._standing[destination], pack.first + len(pack.blocks) - 1
        if pack.first <= standing + 1:
            if self.active and len(pack.blocks) and self._taken_over[destination] < last <= standing:
                _log.info("somebody else writes again; standing by")
                self.active = False
            self._standing[destination] = max(standing, last)
            if last > standing and self._judges_from[destination] < math.inf:
                # It comes late, but it comes: somebody writes.
                self._judges_from[destination] = asyncio.get_running_loop().time()
        if pack.note is not None and pack.note.number <= self._standing[destination]:
            self._noted[destination] = max(self._noted[destination], pack.note.position)
        self._filled[destination].set()

    async def _next(self, destination: int) -> list[Pending]:
        queue, filled = self._queues[destination], self._filled[destination]
        while True:
            await self._drop_standing(destination)
            wait_s = None
            if queue:
                since = max(queue[0].at, self._judges_from[destination])
                wait_s = since + self._after_s - asyncio.get_running_loop().time()
                if not self.active and wait_s <= 0:
                    _log.warning("nobody else writes; taking over", after_s=self._after_s)
                    self.active, self._taken_over = True, list(self._standing)
                if self.active:
                    return self._taken(destination)
            filled.clear()
            try:
                async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                    await filled.wait()
            except TimeoutError:
                pass

    async def _drop_standing(self, destination: int) -> None:
        """Acknowledge entries that need not be written; one that writes at once writes all."""
        queue, dropped = self._queues[destination], list[Pending]()
        while queue and not self.active and self._stands(destination, queue[0]):
            dropped.append(queue.popleft())
        if dropped:
            await self._acknowledge(destination, dropped)

    def _stands(self, destination: int, entry: Pending) -> bool:
        return entry.last <= self._standing[destination] and entry.note <= self._noted[destination]


class Follower:
    """Reads in the logs that a sampler partition writes to what stands there of its channels.

    Args:
        partition: the sender.
        standby: tells where to begin.
        outbox: told what is found.
    """

    def __init__(self, bus: Bus, partition: PartitionIndex, destinations: int, standby: Standby, outbox: StandbyOutbox) -> None:
        self._bus = bus
        self._partition = partition
        self._destinations = destinations
        self._standby = standby
        self._outbox = outbox

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for destination in range(self._destinations):
                group.create_task(self._follow(destination))

    async def _follow(self, destination: int) -> None:
        while True:
            try:
                await self._follow_on(destination)
            except PositionError as e:
                _log.warning("the log was truncated before it was read; beginning again", destination=destination, cause=e)
            await asyncio.sleep(AGAIN_S)

    async def _follow_on(self, destination: int) -> None:
        """Follow from where others are; PositionError where the log was truncated before it was read."""
        standing = await self._standby.standing(destination)
        self._outbox.begin(destination, standing)
        position, end = standing.position, await self._bus.end(SAMPLES, PartitionIndex(destination))
        caught_up = False
        while True:
            if not caught_up and position >= end:
                caught_up = True
                self._outbox.caught_up(destination)
            entries = await self._bus.read(SAMPLES, PartitionIndex(destination), position, max_bytes=READ_BYTES, wait_s=WAIT_S)
            for entry in entries:
                try:
                    pack = decode_entry(entry.data)
                except CodecError:  # it shows where it has to be applied
                    continue
                if isinstance(pack, BlockPack) and pack.sender == self._partition:
                    self._outbox.found(destination, pack)
                position = entry.next
            await asyncio.sleep(0)
