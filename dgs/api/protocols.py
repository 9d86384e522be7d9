"""What the data plane asks of others: serving partitions here, frontends elsewhere, and who knows the queries."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from dgs.api.request import Wanted
from dgs.core.egograph import EgoGraph, Reflected
from dgs.core.layout import Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.types import Int32s, Int64s

Body = bytes | memoryview


class ServingPartition(Protocol):
    """A serving partition, as the data plane uses it. Everything answers from its present state, without waiting."""

    def ego_graph(self, query: InstalledQuery, seed: int, fanouts: tuple[int, ...] | None = None) -> EgoGraph:
        """Return a seed's ego-graph; of a seed that nothing is known of, an empty one."""

    def graph(
        self,
        query: InstalledQuery,
        seeds: Int64s,
        asked: Int32s,
        *,
        fanouts: tuple[int, ...] | None = None,
        scores: bool = False,
        before: bytes = b"",
    ) -> tuple[Body, int]:
        """Return seeds' merged ego-graphs as a `Samples` message behind `before`, and how many of its rows are pending.

        Args:
            query: what is asked.
            seeds: int64 [s].
            asked: int32 [s], their places in the request.
            fanouts: see `Wanted`.
            scores: see `Wanted`.
            before: the beginning of the message.
        """

    def reflected(self) -> Reflected:
        """Return what ego-graphs reflect now."""

    def moved(self) -> "asyncio.Future[None]":
        """Return what is done when the partition has applied something. All who wait share it: nobody may cancel it."""

    @property
    def layouts(self) -> Layouts:
        """The layouts of the payloads in ego-graphs."""

    @property
    def queries(self) -> OperatorSet:
        """The queries that it can answer."""

    @property
    def answers(self) -> bool:
        """Whether it may be asked: it has caught up, or started from a state that was right once, if longer ago."""

    @property
    def caught_up(self) -> bool:
        """Whether it has applied all that stood in its log when it started. Until then it knows less than it once did."""

    @property
    def behind_bytes(self) -> int:
        """How much of that it has not applied yet."""


class QueryDirectory(Protocol):
    """Who knows which queries there are and how far the logs go: the coordinator."""

    @property
    def operators(self) -> OperatorSet:
        """All queries that were ordered."""

    def is_active(self, query_id: int) -> bool:
        """Whether a query stands in all record partitions."""

    def check_complete(self) -> None:
        """Check that all queries are known here.

        Raises:
            NotReadyError: one may be missing.
        """

    async def record_ends(self) -> Sequence[int]:
        """Return the end of every record partition's log."""


class Peers(Protocol):
    """Others who answer for serving partitions; they raise what they would answer a client, NotReadyError where none answers."""

    async def answers(self, partition: int, vids: Sequence[int], wanted: Wanted) -> list[bytes]:
        """Return the JSON answers for seeds of a serving partition, in their order."""

    async def message(self, partition: int, vids: Sequence[int], places: Sequence[int], wanted: Wanted) -> Body:
        """Return the same as a `Samples` message, whose graphs name these places of the request."""
