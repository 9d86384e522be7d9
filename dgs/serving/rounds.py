"""Barrier rounds that serving partitions have completed, on their way to the coordinator, which may wait for its disk."""

import asyncio
from collections.abc import Awaitable, Callable

from dgs.core.types import PartitionIndex
from dgs.serving.effects import RoundDone


class Rounds:
    """Rounds that are not reported yet.

    Args:
        report: reports one: the serving partition, the barrier, the round; returns when that is durable.
    """

    def __init__(self, report: Callable[[int, int, int], Awaitable[None]]) -> None:
        self._report = report
        self._waiting: asyncio.Queue[tuple[int, int, int]] = asyncio.Queue()

    def done(self, partition: PartitionIndex, done: RoundDone) -> None:
        """Take note that a partition has completed a round."""
        self._waiting.put_nowait((partition, done.barrier, done.round))

    async def report_all(self) -> None:
        """Report one after the other until cancelled."""
        while True:
            await self._report(*await self._waiting.get())
            self._waiting.task_done()

    async def all_reported(self) -> None:
        """Wait until all rounds are durable where they belong."""
        await self._waiting.join()
