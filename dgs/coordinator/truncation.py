"""Truncation: the one place that decides how much of the logs nobody needs any more.

A log is needed from the oldest position on that a partition's own state or a kept checkpoint would read on from. Without a
checkpoint `record-batches` is all that a lost sampler partition could be made of again, so nothing of it goes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.core.deployment import Deployment
from dgs.core.types import PartitionIndex, Position
from dgs.store.manifest import SAMPLER, SERVING, Manifest


class Truncation:
    """Truncates the logs of one deployment.

    Args:
        committed: returns the position of a sampler partition's last commit that is known; None for none.
    """

    def __init__(self, bus: Bus, deployment: Deployment, committed: Callable[[PartitionIndex], int | None]) -> None:
        self._bus = bus
        self._deployment = deployment
        self._committed = committed
        self._snapshots: dict[PartitionIndex, Position] = {}
        self._checkpoints: Sequence[Manifest] | None = None
        self._holds = 0

    async def snapshots_kept(self, partition: PartitionIndex, oldest: Position) -> None:
        """Take note of the oldest position that a serving partition's snapshots reflect, and truncate its log.

        Raises:
            OSError: the system refuses.
        """
        self._snapshots[partition] = oldest
        await self._truncate(SAMPLES, partition, self._samples_needed(partition))

    async def checkpoints_kept(self, checkpoints: Sequence[Manifest]) -> None:
        """Take note of the checkpoints of this deployment that are kept, and truncate; before that, nothing is truncated.

        Raises:
            OSError: the system refuses.
        """
        self._checkpoints = checkpoints
        for p in map(PartitionIndex, range(self._deployment.partitions)):
            await self._truncate(RECORDS, p, self._records_needed(p))
        for s in map(PartitionIndex, range(self._deployment.serving_partitions)):
            await self._truncate(SAMPLES, s, self._samples_needed(s))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Truncate nothing for the length of a block, as a checkpoint is being created from what stands there."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def _records_needed(self, partition: PartitionIndex) -> int | None:
        committed = self._committed(partition)
        if not self._checkpoints or committed is None:
            return None
        return min(committed, *(m.part(SAMPLER, partition).position for m in self._checkpoints))

    def _samples_needed(self, partition: PartitionIndex) -> int | None:
        oldest = self._snapshots.get(partition)
        if self._checkpoints is None or oldest is None:
            return None
        return min([oldest, *(m.part(SERVING, partition).position for m in self._checkpoints)])

    async def _truncate(self, topic: str, partition: PartitionIndex, needed: int | None) -> None:
        if needed and not self._holds:
            await self._bus.truncate(topic, partition, Position(needed))
