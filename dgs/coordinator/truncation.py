"""Truncation: the one place that decides how much of the logs nobody needs any more.

A log is needed from the oldest position on that a copy of its partition or a kept checkpoint would read on from. Without a
checkpoint `record-batches` is all that a lost sampler partition could be made of again, so nothing of it goes.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.core.deployment import Deployment
from dgs.core.errors import PositionError
from dgs.core.types import PartitionIndex, Position
from dgs.store.manifest import SAMPLER, SERVING, Manifest
from dgs.telemetry import logs

INTERVAL_S = 2.0
START_S = 10.0
"""After the start: by then all copies that are up have told what they need, those whose first words were lost, too."""

_log = logs.get(__name__)


class Needs(Protocol):
    """Who knows from where on partitions need their logs: the membership."""

    def records_needed(self, partition: int) -> int | None:
        """Return from where on sampler partitions need their log; None while that is not known."""

    def samples_needed(self, partition: int) -> int | None:
        """Return from where on serving partitions need their log; None for all of it, or while that is not known."""


class Truncation:
    """Truncates the logs of one deployment."""

    def __init__(self, bus: Bus, deployment: Deployment, needs: Needs) -> None:
        self._bus = bus
        self._deployment = deployment
        self._needs = needs
        self._checkpoints: Sequence[Manifest] | None = None
        self._truncated: dict[tuple[str, int], int] = {}
        self._holds = 0

    async def run(self) -> None:
        """Truncate now and then what is not needed any more, until cancelled; what the system refuses is tried again."""
        told = ""
        await asyncio.sleep(START_S)
        while True:
            try:
                await self.truncate()
                told = ""
            except (OSError, PositionError) as e:  # a log that lacks a position is for those to tell who read there
                if str(e) != told:
                    _log.warning("a log is not truncated; it is tried again", cause=e)
                told = str(e)
            await asyncio.sleep(INTERVAL_S)

    def checkpoints_kept(self, checkpoints: Sequence[Manifest]) -> None:
        """Take note of the checkpoints of this deployment that are kept; before that, nothing is truncated."""
        self._checkpoints = checkpoints

    @contextmanager
    def held(self) -> Iterator[None]:
        """Truncate nothing for the length of a block, as a checkpoint is being created from what stands there."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    async def truncate(self) -> None:
        """Truncate what is not needed now.

        Raises:
            OSError: the system refuses.
        """
        for p in range(self._deployment.partitions):
            await self._truncate(RECORDS, p, self._records_needed(p))
        for s in range(self._deployment.serving_partitions):
            await self._truncate(SAMPLES, s, self._samples_needed(s))

    def _records_needed(self, partition: int) -> int | None:
        committed = self._needs.records_needed(partition)
        if not self._checkpoints or committed is None:
            return None
        return min(committed, *(m.part(SAMPLER, partition).position for m in self._checkpoints))

    def _samples_needed(self, partition: int) -> int | None:
        oldest = self._needs.samples_needed(partition)
        if self._checkpoints is None or oldest is None:
            return None
        return min([oldest, *(m.part(SERVING, partition).position for m in self._checkpoints)])

    async def _truncate(self, topic: str, partition: int, needed: int | None) -> None:
        if needed and not self._holds and needed > self._truncated.get((topic, partition), 0):
            await self._bus.truncate(topic, PartitionIndex(partition), Position(needed))
            self._truncated[topic, partition] = needed
