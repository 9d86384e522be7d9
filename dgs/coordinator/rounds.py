"""Barrier rounds that serving partitions have completed, on their way to the coordinator, which may wait for its disk."""

import asyncio
from collections.abc import Awaitable, Callable

from dgs.core.types import PartitionIndex
from dgs.insist import insist


class Rounds:
    """The rounds that the serving partitions of one process have completed.

    Args:
        report: `Coordinator.report`, or what leads to it.
    """

    def __init__(self, report: Callable[[int, int, int], Awaitable[None]]) -> None:
        self._report = report
        self._waiting: asyncio.Queue[tuple[int, int, int]] = asyncio.Queue()

    def done(self, partition: PartitionIndex, barrier: int, round_number: int) -> None:
        """Take note that a partition has completed a round."""
        self._waiting.put_nowait((partition, barrier, round_number))

    async def report_all(self) -> None:
        """Report one after the other until cancelled."""
        while True:
            await insist("report a barrier's round", self._report, *await self._waiting.get())
            self._waiting.task_done()

    async def all_reported(self) -> None:
        """Wait until the coordinator has all rounds, durably."""
        await self._waiting.join()
