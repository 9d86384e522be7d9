"""The data plane: from seeds and a query to answers. The only place with that behaviour; HTTP (and later gRPC) translate.

It chooses the query and the partition, and puts the answer together from what the serving partition gives. It never waits for
anything, and knows no transport.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from dgs.codec.answers import AnswerHeader, answer_json, answers_json
from dgs.core.egograph import EgoGraph, Reflected
from dgs.core.errors import InputError, NotFoundError, NotReadyError, TooLargeError
from dgs.core.layout import Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.partition import partition_of

SLICE_SEEDS = 16
"""After so many seeds of one request others get their turn, so that nobody waits for a thousand of them."""
NO_QUERY = "no query is installed yet; install one with `dgs query install FILE`, or start with `dgs up --query FILE`"


class ServingPartition(Protocol):
    """A serving partition, as the data plane uses it. Everything answers from its present state, without waiting."""

    def ego_graph(self, query: InstalledQuery, seed: int) -> EgoGraph:
        """Return a seed's ego-graph; of a seed that nothing is known of, an empty one."""

    def reflected(self) -> Reflected:
        """Return what ego-graphs reflect now."""

    @property
    def layouts(self) -> Layouts:
        """The layouts of the payloads in ego-graphs."""

    @property
    def queries(self) -> OperatorSet:
        """The queries that it can answer."""

    @property
    def caught_up(self) -> bool:
        """Whether it has applied all that stood in its log when it started. Until then it knows less than it once did."""


class QueryDirectory(Protocol):
    """Who knows which queries there are: the coordinator."""

    @property
    def operators(self) -> OperatorSet:
        """All queries that were ordered."""

    def is_active(self, query_id: int) -> bool:
        """Whether a query stands in all record partitions."""


class DataPlane:
    """Answers requests.

    Args:
        partitions: all serving partitions, in order.
        directory: which queries there are.
        generation: of the deployment.
        seeds_max: how many seeds one request may name.
    """

    def __init__(
        self, partitions: Sequence[ServingPartition], directory: QueryDirectory, *, generation: int, seeds_max: int
    ) -> None:
        self._partitions = partitions
        self._directory = directory
        self._generation = generation
        self._seeds_max = seeds_max

    def samples(self, vid: int, query: int | str | None) -> bytes:
        """Return the JSON answer for one seed, any int64.

        Args:
            vid: the seed.
            query: name or id of the query; None while exactly one is installed.

        Raises:
            NotFoundError: there is no such query, or none at all.
            InputError: the query is left out, and there are several.
            NotReadyError: the serving partition has not caught up since its start, or has not met the query yet.
        """
        return self._answer(vid, self._choose(query))

    async def many(self, vids: Sequence[int], query: int | str | None) -> bytes:
        """Return the JSON answer for many seeds, in their order; for none, an empty list of samples.

        Every sample is of one instant; two samples of one answer may be of two.

        Raises:
            TooLargeError: more than `seeds_max` seeds.
            NotFoundError, InputError, NotReadyError: as `samples`.
        """
        if len(vids) > self._seeds_max:
            raise TooLargeError(f"{len(vids)} vids are more than the {self._seeds_max} of one request (setting seeds_max)")
        chosen = self._choose(query)
        answers = []
        for start in range(0, len(vids), SLICE_SEEDS):
            if start:
                await asyncio.sleep(0)
            answers += [self._answer(vid, chosen) for vid in vids[start : start + SLICE_SEEDS]]
        return answers_json(answers)

    def _choose(self, key: int | str | None) -> InstalledQuery:
        operators = self._directory.operators
        installed = operators.queries
        if not installed:
            raise NotFoundError(NO_QUERY)
        if key is None:
            if len(installed) > 1:
                raise InputError(f"the query is missing, and there are several: {_names(installed)}")
            return installed[0]
        found = operators.query(key)
        if found is None:
            raise NotFoundError(f"there is no query {key!r}; installed are {_names(installed)}")
        return found

    def _answer(self, vid: int, chosen: InstalledQuery) -> bytes:
        index = partition_of(vid, len(self._partitions))
        partition = self._partitions[index]
        if not partition.caught_up:
            raise NotReadyError(f"serving partition {index} is still reading what was there before its start; ask again")
        query = partition.queries.query(chosen.id)
        if query is None:
            raise NotReadyError(f"query {chosen.name!r} has not arrived at serving partition {index} yet; ask again")
        reflected = partition.reflected()
        header = AnswerHeader(self._generation, reflected.positions, reflected.watermark, self._directory.is_active(query.id))
        return answer_json(partition.ego_graph(query, vid), query, partition.layouts, header)


def _names(queries: Sequence[InstalledQuery]) -> str:
    return ", ".join(f"{q.name} (id {q.id})" for q in queries)
