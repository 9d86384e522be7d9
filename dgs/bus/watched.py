"""A bus whose refused appends are taken note of: `Troubles` hears when a log takes nothing, and when it takes something again.

It changes nothing else and tries nothing again: that is for those who append. The composition root puts it around the bus of every
process that appends.
"""

from collections.abc import Sequence

from dgs.bus.base import Bus, Entry
from dgs.core.types import PartitionIndex, Position
from dgs.troubles import Troubles


class WatchedBus:
    """See `dgs.bus.base.Bus`. Closing it closes the bus inside."""

    def __init__(self, bus: Bus, troubles: Troubles) -> None:
        self._bus = bus
        self._troubles = troubles

    async def ensure(self, topic: str, partitions: int, log_id: str = "") -> None:
        """See `Bus.ensure`."""
        await self._bus.ensure(topic, partitions, log_id)

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        """See `Bus.append`."""
        what = f"the log {topic}/{partition}"
        try:
            end = await self._bus.append(topic, partition, entries)
        except OSError as e:
            self._troubles.begin(what, e)
            raise
        self._troubles.end(what)
        return end

    async def read(
        self, topic: str, partition: PartitionIndex, position: Position, *, max_bytes: int, wait_s: float
    ) -> list[Entry]:
        """See `Bus.read`."""
        return await self._bus.read(topic, partition, position, max_bytes=max_bytes, wait_s=wait_s)

    def processed(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """See `Bus.processed`."""
        self._bus.processed(topic, partition, position)

    async def end(self, topic: str, partition: PartitionIndex) -> Position:
        """See `Bus.end`."""
        return await self._bus.end(topic, partition)

    async def ends(self, topics: Sequence[str]) -> dict[str, list[Position]]:
        """See `Bus.ends`."""
        return await self._bus.ends(topics)

    async def truncate(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """See `Bus.truncate`."""
        await self._bus.truncate(topic, partition, position)

    async def close(self) -> None:
        """See `Bus.close`."""
        await self._bus.close()
