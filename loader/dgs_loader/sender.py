"""Sends record batches to the service's logs and remembers how far it came.

It is the part of the loader that files and, later, programs that add records one by one have in common. An append that fails is
sent again, the same entries in the same order: records that arrive twice change nothing.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from dgs.backoff import Backoff
from dgs.bus.base import RECORDS, Bus
from dgs.core.errors import DgsError, NoRoomError
from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from dgs.core.types import PartitionIndex, Position
from dgs_loader.back_pressure import BackPressure
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
        back_pressure: asked for leave before every batch.
        tell: told once when a partition takes nothing, and when it does again.
        wall_clock: seconds since 1970, which entries carry.

    Attributes:
        records: how many records the bus has acknowledged.
        positions: the position after the last of them, by partition.
    """

    def __init__(
        self,
        bus: Bus,
        partitioner: Partitioner,
        *,
        back_pressure: BackPressure | None = None,
        retry_timeout_s: float = 60.0,
        tell: Callable[[str], None] = lambda _: None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.records = 0
        self.positions: dict[PartitionIndex, Position] = {}
        self._bus = bus
        self._partitioner = partitioner
        self._retry_timeout_s = retry_timeout_s
        self._tell = tell
        self._back_pressure = back_pressure
        self._wall_clock = wall_clock

    async def send(self, batch: RecordBatch, layouts: Layouts) -> None:
        """Append all records of a batch; returns when the bus has acknowledged them.

        Raises:
            AppendError: a partition could not be appended to for `retry_timeout_s`; some of the records may stand in the log.
        """
        entries = self._entries(batch, layouts)
        if self._back_pressure is not None and await self._back_pressure.room(entries):
            entries = self._entries(batch, layouts)  # they carry the time of their append, which the pause is no part of
        appends = (self._append(partition, own) for partition, own in entries.items())
        for failure in await asyncio.gather(*appends, return_exceptions=True):
            if isinstance(failure, BaseException):
                raise failure
        self.records += len(batch)

    def _entries(self, batch: RecordBatch, layouts: Layouts) -> dict[PartitionIndex, list[bytes]]:
        return self._partitioner.entries(replace(batch, appended_ms=int(self._wall_clock() * 1000)), layouts)

    async def _append(self, partition: PartitionIndex, entries: Sequence[bytes]) -> None:
        clock = asyncio.get_running_loop().time
        give_up_s: float | None = None
        backoff = Backoff(_FIRST_PAUSE_S, _PAUSE_S_MAX)
        while True:
            try:
                self.positions[partition] = await self._bus.append(RECORDS, partition, entries)
                if give_up_s is not None:
                    self._tell(f"partition {partition} of {RECORDS} takes records again")
                return
            except (OSError, NoRoomError) as e:
                now_s = clock()
                if give_up_s is None:
                    give_up_s = now_s + self._retry_timeout_s
                    self._tell(f"partition {partition} of {RECORDS} takes nothing: {e}; trying for {self._retry_timeout_s:g} s")
                if now_s >= give_up_s:
                    raise AppendError(
                        f"partition {partition} of {RECORDS} took nothing for {self._retry_timeout_s:g} s: {e}."
                        " Repair that and load the same input again: records that arrive twice change nothing"
                    ) from e
                await asyncio.sleep(min(backoff.next(), give_up_s - now_s))
