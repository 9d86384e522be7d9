"""The sending end of a machine's channels: appends entries in the order of their numbers, and knows what was acknowledged.

One append a destination is under way at a time, and an append that fails is made again with the same entries before anything later,
so a channel never has a gap. Sampler and serving workers put entries in and go on; they wait for a slow log in `settled` and
`room` only.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from dgs.backoff import Backoff
from dgs.bus.base import Bus
from dgs.core.types import PartitionIndex
from dgs.telemetry import logs

_log = logs.get(__name__)

_RETRY_FIRST_S, _RETRY_MOST_S = 0.05, 2.0
_ENTRIES_MOST = 64


class Pending(NamedTuple):
    """An entry that is to be sent.

    Attributes:
        last: number of the last item on the channel up to and with this entry.
        data: the entry.
        note: position that a note in it tells; -1 without one.
        at: when it was put, on the loop's clock.
    """

    last: int
    data: bytes
    note: int
    at: float


class Outbox:
    """Channels from one machine to all partitions of a topic.

    Attributes:
        acknowledged: per destination, the last number that stands in the log.
        waiting_bytes: of entries that were put and are not acknowledged.
        stands_by: whether it leaves sending to another copy of the machine.
    """

    stands_by = False

    def __init__(self, bus: Bus, topic: str, partitions: int, sent: Sequence[int]) -> None:
        self._bus = bus
        self._topic = topic
        self._queues: list[deque[Pending]] = [deque() for _ in range(partitions)]
        self._filled = [asyncio.Event() for _ in range(partitions)]
        self._progress = asyncio.Condition()
        self.acknowledged = list(sent)
        self.waiting_bytes = 0

    def put(self, destination: int, last: int, data: bytes, note: int = -1) -> None:
        """Send an entry; arguments as `Pending` has them."""
        self._queues[destination].append(Pending(last, data, note, asyncio.get_running_loop().time()))
        self._filled[destination].set()
        self.waiting_bytes += len(data)

    async def settled(self, numbers: Sequence[int]) -> None:
        """Wait until every channel is acknowledged up to its number."""
        async with self._progress:
            await self._progress.wait_for(lambda: all(a >= n for a, n in zip(self.acknowledged, numbers, strict=True)))

    async def room(self, bytes_most: int) -> None:
        """Wait until no more than that is not acknowledged, so that memory stays bounded while the bus is away."""
        if self.waiting_bytes > bytes_most:
            async with self._progress:
                await self._progress.wait_for(lambda: self.waiting_bytes <= bytes_most)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            for destination in range(len(self._queues)):
                group.create_task(self._send(destination))

    async def _send(self, destination: int) -> None:
        while True:
            entries = await self._next(destination)
            await self._append(destination, [e.data for e in entries])
            await self._acknowledge(destination, entries)

    async def _next(self, destination: int) -> list[Pending]:
        """Wait until there is something to send; return it."""
        queue, filled = self._queues[destination], self._filled[destination]
        while not queue:
            filled.clear()
            await filled.wait()
        return self._taken(destination)

    def _taken(self, destination: int) -> list[Pending]:
        queue = self._queues[destination]
        return [queue.popleft() for _ in range(min(len(queue), _ENTRIES_MOST))]

    async def _acknowledge(self, destination: int, entries: Sequence[Pending]) -> None:
        """Take note that entries stand in the log."""
        async with self._progress:
            self.acknowledged[destination] = max(self.acknowledged[destination], entries[-1].last)
            self.waiting_bytes -= sum(len(e.data) for e in entries)
            self._progress.notify_all()

    async def _append(self, destination: int, entries: list[bytes]) -> None:
        backoff = Backoff(_RETRY_FIRST_S, _RETRY_MOST_S)
        while True:
            try:
                await self._bus.append(self._topic, PartitionIndex(destination), entries)
                return
            except OSError as e:
                pause_s = backoff.next()
                _log.debug("append failed", topic=self._topic, partition=destination, cause=e, again_in_s=pause_s)
                await asyncio.sleep(pause_s)


class GapReport:
    """Says in the log that a channel of a partition waits for items that are missing: at the first, and at every doubling."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._told = 0

    def tell(self, gaps: int) -> None:
        """Take note of how many items had to be ignored so far."""
        if gaps > 2 * self._told:
            self._told = gaps
            _log.error(
                "items ignored, as one before them is missing and awaited; if this repeats, the log has lost entries",
                log=self._where,
                items=gaps,
            )
