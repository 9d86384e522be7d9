"""Sends record batches to the service's logs and remembers how far it came.

It is the part of the loader that files and, later, programs that add records one by one have in common. An append that fails is
sent again, the same entries in the same order: records that arrive twice change nothing.
"""

import asyncio
from collections.abc import Sequence

from dgs.bus.base import RECORDS, Bus
from dgs.core.errors import DgsError
from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from dgs.core.types import PartitionIndex, Position
from dgs_loader.partitioning import Partitioner

_FIRST_PAUSE_S = 0.05
_PAUSE_S_MAX = 2.0


class AppendError(DgsError):
    """The bus did not take entries for as long as the caller was ready to wait."""


class Sender:
    """Appends batches to `record-batches`, one batch at a time.

    Args:
        bus: where to.
        partitioner: says which entries go into which partition.
        retry_timeout_s: how long one append is tried again.

    Attributes:
        records: how many records the bus has acknowledged.
        positions: the position after the last of them, by partition.
    """

    def __init__(self, bus: Bus, partitioner: Partitioner, *, retry_timeout_s: float = 60.0) -> None:
        self.records = 0
        self.positions: dict[PartitionIndex, Position] = {}
        self._bus = bus
        self._partitioner = partitioner
        self._retry_timeout_s = retry_timeout_s

    async def send(self, batch: RecordBatch, layouts: Layouts) -> None:
        """Append all records of a batch; returns when the bus has acknowledged them.

        Raises:
            AppendError: a partition could not be appended to for `retry_timeout_s`; some of the records may stand in the log.
        """
        entries = self._partitioner.entries(batch, layouts)
        appends = (self._append(partition, own) for partition, own in entries.items())
        for failure in await asyncio.gather(*appends, return_exceptions=True):
            if isinstance(failure, BaseException):
                raise failure
        self.records += len(batch)

    async def _append(self, partition: PartitionIndex, entries: Sequence[bytes]) -> None:
        clock = asyncio.get_running_loop().time
        give_up_s: float | None = None
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self.positions[partition] = await self._bus.append(RECORDS, partition, entries)
                return
            except OSError as e:
                now_s = clock()
                give_up_s = now_s + self._retry_timeout_s if give_up_s is None else give_up_s
                if now_s >= give_up_s:
                    raise AppendError(
                        f"partition {partition} of {RECORDS} took nothing for {self._retry_timeout_s:g} s: {e}."
                        " Repair that and load the same input again: records that arrive twice change nothing"
                    ) from e
                await asyncio.sleep(min(pause_s, give_up_s - now_s))
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)
