"""What a process without a coordinator knows of queries: from its own serving partitions, and from what the heart has heard."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from dgs.bus.base import RECORDS, Bus
from dgs.core.errors import NotReadyError
from dgs.core.operators import OperatorSet
from dgs.core.types import PartitionIndex
from dgs.membership.heart import Heart


class KnowsQueries(Protocol):
    """A serving partition."""

    @property
    def queries(self) -> OperatorSet:
        """The queries that have arrived there."""

    @property
    def answers(self) -> bool:
        """Whether it may be asked: until then it may not know all."""


class HeardQueries:
    """See `dgs.api.protocols.QueryDirectory`.

    Args:
        partitions: the serving partitions that are here.
        heart: has heard which queries stand in all record partitions.
        bus: tells how far the logs go.
        record_partitions: how many there are.
    """

    def __init__(self, partitions: Mapping[int, KnowsQueries], heart: Heart, bus: Bus, record_partitions: int) -> None:
        self._partitions = list(partitions.values())
        self._heart = heart
        self._bus = bus
        self._records = [PartitionIndex(p) for p in range(record_partitions)]

    @property
    def operators(self) -> OperatorSet:
        """The queries of the partition that knows most."""
        return max((p.queries for p in self._partitions), key=lambda known: len(known.queries))

    def is_active(self, query_id: int) -> bool:
        """Whether a query stands in all record partitions; while no coordinator was heard yet, whether all of these know it."""
        if self._heart.heard:
            return query_id in self._heart.news.active
        return all(p.queries.query(query_id) is not None for p in self._partitions)

    def check_complete(self) -> None:
        """Check that all queries are known here.

        Raises:
            NotReadyError: a partition is still starting, or a query that stands everywhere has not arrived yet.
        """
        known = self.operators
        if not all(p.answers for p in self._partitions) or any(known.query(i) is None for i in self._heart.news.active):
            raise NotReadyError("not all queries are known here yet; ask again")

    async def record_ends(self) -> Sequence[int]:
        """Return the end of every record partition's log."""
        return await asyncio.gather(*(self._bus.end(RECORDS, p) for p in self._records))
