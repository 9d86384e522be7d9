"""The data plane: from seeds and a query to answers. The only place with that behaviour; HTTP (and later gRPC) translate.

It chooses the query and the partitions, waits for positions that a request names, and puts the answer together from what the
serving partitions give. It knows no transport.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from dgs.api.protocols import Body, Peers, QueryDirectory, ServingPartition
from dgs.api.request import WAIT_MS, Wanted
from dgs.codec.answers import AnswerHeader, answer_json, answers_json
from dgs.codec.messages import CATCHING_UP, samples_begin
from dgs.core.deployment import Deployment
from dgs.core.errors import ConflictError, DeadlineError, InputError, NotFoundError, NotReadyError, TooLargeError
from dgs.core.operators import InstalledQuery
from dgs.core.partition import partition_of, partitions_of
from dgs.core.query import NodeKind
from dgs.core.token import PositionToken
from dgs.core.types import Int32s, Int64s

SLICE_SEEDS = 16
"""After so many seeds of one request in JSON others get their turn, so that nobody waits for a thousand of them."""
GRAPH_SEEDS = 64
"""The same of seeds in one graph, which is some twenty times as fast."""
PENDING_PAUSE_S = 0.01
"""After an answer that could not be given as rows of it were pending."""
BUS_WAIT_S = 2.0
"""How long the bus may take to say how far the logs go."""
NO_QUERY = "no query is installed yet; install one with `dgs query install FILE`, or start with `dgs up --query FILE`"


class DataPlane:
    """Answers requests.

    Args:
        deployment: what is fixed.
        partitions: the serving partitions that are here.
        directory: which queries there are.
        peers: answer for the others.
        seeds_max: how many seeds one request may name.
    """

    def __init__(
        self,
        deployment: Deployment,
        partitions: Mapping[int, ServingPartition],
        directory: QueryDirectory,
        peers: Peers,
        *,
        seeds_max: int,
    ) -> None:
        self._deployment = deployment
        self._size = deployment.serving_partitions
        self._generation = deployment.generation
        self._partitions = partitions
        self._all_here = len(partitions) == self._size
        self._directory = directory
        self._peers = peers
        self._seeds_max = seeds_max
        self._begins: dict[int, tuple[InstalledQuery, bool, bytes]] = {}

    async def sample(self, vid: int, wanted: Wanted) -> bytes:
        """Return the JSON answer for one seed, any int64.

        Raises:
            NotFoundError: there is no such query, or none at all.
            InputError: the query is left out, and there are several; or the fanouts do not fit it.
            ConflictError: a position that this deployment can never reach.
            NotReadyError: the serving partition knows nothing yet since its start, or has not met the query.
            DeadlineError: the positions are not reflected in time.
        """
        chosen, deadline = self._admit(1, wanted)
        if wanted.after:
            await self._check_positions(wanted.after)
        partition = partition_of(vid, self._size)
        if partition not in self._partitions:
            return (await self._peers.answers(partition, [vid], wanted))[0]
        return await self._sample(vid, chosen, wanted, deadline)

    async def samples(self, vids: Sequence[int], wanted: Wanted) -> bytes:
        """Return the JSON answer for many seeds, in their order; for none, an empty list of samples.

        Every sample is of one instant; two samples of one answer may be of two.

        Raises:
            TooLargeError: more than `seeds_max` seeds.
            NotFoundError, InputError, ConflictError, NotReadyError, DeadlineError: as `sample`.
        """
        return answers_json(await self.answers(vids, wanted))

    async def answers(self, vids: Sequence[int], wanted: Wanted) -> list[bytes]:
        """Return the same one by one."""
        chosen, deadline = self._admit(len(vids), wanted)
        if wanted.after:
            await self._check_positions(wanted.after)
        answers = [b""] * len(vids)

        async def ask(partition: int, places: Sequence[int]) -> None:
            for place, answer in zip(places, await self._peers.answers(partition, [vids[i] for i in places], wanted), strict=True):
                answers[place] = answer

        elsewhere = self._elsewhere(np.array(vids, np.int64))
        async with _together(ask(partition, places.tolist()) for partition, places in elsewhere.items()):
            asked = {int(i) for places in elsewhere.values() for i in places}
            for i, vid in enumerate(vids):
                if i and i % SLICE_SEEDS == 0:
                    await self._give_way(deadline)
                if i not in asked:
                    answers[i] = await self._sample(vid, chosen, wanted, deadline)
        return answers

    async def message(self, vids: Sequence[int], wanted: Wanted, places: Sequence[int] | None = None) -> list[Body]:
        """Return the same as the parts of a `Samples` message; seeds of one serving partition share graphs, each of one instant.

        Args:
            vids: the seeds.
            wanted: the rest of the request.
            places: those of the seeds in the request, unless it is these in their order.

        Raises:
            TooLargeError, NotFoundError, InputError, ConflictError, NotReadyError, DeadlineError: as `samples`.
        """
        chosen, deadline = self._admit(len(vids), wanted)
        if wanted.after:
            await self._check_positions(wanted.after)
        begin = self._begin(chosen)
        seeds: Int64s = np.array(vids, np.int64)
        named = None if places is None else np.array(places, np.int32)
        if not self._all_here and (elsewhere := self._elsewhere(seeds)):
            return await self._split_message(seeds, named, elsewhere, chosen, wanted, deadline)
        if len(vids) == 1:  # most requests, and numpy would take as long as their answer
            shares = [(int(partition_of(vids[0], self._size)), _FIRST)]
        else:
            shares = self._shares(seeds, np.arange(len(seeds), dtype=np.int32))
        return await self._message(begin, seeds, named, shares, chosen, wanted, deadline)

    async def _message(
        self,
        begin: bytes,
        seeds: Int64s,
        named: Int32s | None,
        shares: Sequence[tuple[int, Int32s]],
        chosen: InstalledQuery,
        wanted: Wanted,
        deadline: float | None,
    ) -> list[Body]:
        """Return the parts of a message from partitions that are here."""
        behind = [index for index, _ in shares if not self._partitions[index].caught_up]
        if len(shares) == 1 and not wanted.after:  # nothing to wait for
            index, own = shares[0]
            partition, query = self._ready(index, chosen)
            asked, mine = own if named is None else named[own], seeds if own is _FIRST else seeds[own]
            parts = [partition.graph(query, mine, asked, fanouts=wanted.fanouts, scores=wanted.scores, before=begin)[0]]
        else:
            parts = [begin]
            for index, own in shares:
                if len(parts) > 1:
                    await self._give_way(deadline)
                asked = own if named is None else named[own]
                parts.append(await self._graph(index, seeds[own], asked, chosen, wanted, deadline))
        if behind:
            parts.append(CATCHING_UP)
        return parts

    # What is elsewhere ----------------------------------------------------------------------------------------------------------

    def _elsewhere(self, seeds: Int64s) -> dict[int, Int32s]:
        """Return by serving partition the places of the seeds whose partitions are not here."""
        if self._all_here:
            return {}
        owners = partitions_of(seeds, self._size)
        away = sorted(set(owners.tolist()) - self._partitions.keys())
        return {partition: np.flatnonzero(owners == partition).astype(np.int32) for partition in away}

    async def _split_message(
        self,
        seeds: Int64s,
        named: Int32s | None,
        elsewhere: dict[int, Int32s],
        chosen: InstalledQuery,
        wanted: Wanted,
        deadline: float | None,
    ) -> list[Body]:
        """Return a message some of which others write: their messages and ours, one behind the other, are one message."""
        parts: list[Body] = []

        async def ask(partition: int, own: Int32s) -> None:
            places = own if named is None else named[own]
            parts.append(await self._peers.message(partition, seeds[own].tolist(), places.tolist(), wanted))

        async with _together(ask(partition, own) for partition, own in elsewhere.items()):
            here = np.setdiff1d(np.arange(len(seeds), dtype=np.int32), np.concatenate(list(elsewhere.values())))
            if len(here):
                shares = self._shares(seeds, here)
                parts += await self._message(self._begin(chosen), seeds, named, shares, chosen, wanted, deadline)
        return parts

    # What is asked --------------------------------------------------------------------------------------------------------------

    def _admit(self, seeds: int, wanted: Wanted) -> tuple[InstalledQuery, float | None]:
        """Check a request for so many seeds, but for its positions; return its query, and when it has to be answered."""
        if seeds > self._seeds_max:
            raise TooLargeError(f"{seeds} vids are more than the {self._seeds_max} of one request (setting seeds_max)")
        return self._choose(wanted), self._deadline(wanted)

    def _choose(self, wanted: Wanted) -> InstalledQuery:
        operators = self._directory.operators
        installed = operators.queries
        if not installed:
            self._directory.check_complete()
            raise NotFoundError(NO_QUERY)
        if wanted.query is not None:
            chosen = operators.query(wanted.query)
            if chosen is None:
                self._directory.check_complete()
                raise NotFoundError(f"there is no query {wanted.query!r}; installed are {_names(installed)}")
        elif len(installed) > 1:
            raise InputError(f"the query is missing, and there are several: {_names(installed)}")
        else:
            chosen = installed[0]
        if wanted.fanouts is not None:
            _check_fanouts(chosen, wanted.fanouts)
        return chosen

    def _deadline(self, wanted: Wanted) -> float | None:
        """When the request has to be answered, on the loop's clock."""
        if wanted.timeout_ms is None and not wanted.after:
            return None
        wait_ms = WAIT_MS if wanted.timeout_ms is None else wanted.timeout_ms
        return asyncio.get_running_loop().time() + wait_ms / 1000

    def _begin(self, query: InstalledQuery) -> bytes:
        """What a query's messages begin with: the same for all requests, until another query has its id or it becomes ready."""
        ready = self._directory.is_active(query.id)
        kept = self._begins.get(query.id)
        if kept is None or kept[0] is not query or kept[1] is not ready:
            begin = samples_begin(query, self._deployment.schema, generation=self._generation, ready=ready)
            self._begins[query.id] = kept = (query, ready, begin)
        return kept[2]

    def _shares(self, seeds: Int64s, places: Int32s) -> list[tuple[int, Int32s]]:
        """Return the graphs that answer for the seeds at some places: partitions, and places, at most `GRAPH_SEEDS` in one."""
        shares = [(0, places)]
        if self._size > 1:
            owners = partitions_of(seeds[places], self._size)
            shares = [(index, places[owners == index]) for index in sorted(set(owners.tolist()))]
        return [(index, own[at : at + GRAPH_SEEDS]) for index, own in shares for at in range(0, len(own), GRAPH_SEEDS)]

    # Answers from one partition -------------------------------------------------------------------------------------------------

    async def _sample(self, vid: int, chosen: InstalledQuery, wanted: Wanted, deadline: float | None) -> bytes:
        index = partition_of(vid, self._size)
        while True:
            partition, query = self._ready(index, chosen)
            if reached := _reflects(partition, wanted.after):
                ego = partition.ego_graph(query, vid, wanted.fanouts)
                if not wanted.after or not ego.pending:
                    reflected, ready = partition.reflected(), self._directory.is_active(query.id)
                    header = AnswerHeader(
                        self._generation, reflected.positions, reflected.watermark, ready, caught_up=partition.caught_up
                    )
                    return answer_json(ego, query, partition.layouts, header, scores=wanted.scores)
            await self._next_move(partition, deadline, pause_s=PENDING_PAUSE_S if reached else 0)

    async def _graph(
        self,
        index: int,
        seeds: Int64s,
        asked: Int32s,
        chosen: InstalledQuery,
        wanted: Wanted,
        deadline: float | None,
    ) -> Body:
        while True:
            partition, query = self._ready(index, chosen)
            if reached := _reflects(partition, wanted.after):
                body, pending = partition.graph(query, seeds, asked, fanouts=wanted.fanouts, scores=wanted.scores)
                if not wanted.after or not pending:
                    return body
            await self._next_move(partition, deadline, pause_s=PENDING_PAUSE_S if reached else 0)

    def _ready(self, index: int, chosen: InstalledQuery) -> tuple[ServingPartition, InstalledQuery]:
        partition = self._partitions[index]
        if not partition.answers:
            raise NotReadyError(f"serving partition {index} is still reading what was there before its start; ask again")
        query = partition.queries.query(chosen.id)
        if query is None:
            raise NotReadyError(f"query {chosen.name!r} has not arrived at serving partition {index} yet; ask again")
        return partition, query

    # Waiting --------------------------------------------------------------------------------------------------------------------

    async def _check_positions(self, after: Sequence[PositionToken]) -> None:
        """Refuse positions that can never be reflected, as nobody should wait for them."""
        ends: Sequence[int] | None = None
        for token in after:
            if token.generation != self._generation:
                raise ConflictError(
                    f"min_position {token} is of generation {token.generation}, this deployment of {self._generation}: what was "
                    "written there has to be loaded here"
                )
            if token.partition >= self._deployment.partitions:
                raise InputError(f"min_position {token}: there are record partitions 0 to {self._deployment.partitions - 1}")
            if any(p.reflected().positions[token.partition] >= token.position for p in self._partitions.values()):
                continue
            if ends is None:
                try:
                    async with asyncio.timeout(BUS_WAIT_S):
                        ends = await self._directory.record_ends()
                except OSError:  # a time that has passed is one, too
                    raise NotReadyError("the bus does not say how far the logs go; ask again") from None
            if token.position > ends[token.partition]:
                raise ConflictError(
                    f"min_position {token} is beyond the end of record partition {token.partition} ({ends[token.partition]}): it "
                    "is of another deployment, or this one was put back to an older state; load the data again"
                )

    async def _next_move(self, partition: ServingPartition, deadline: float | None, *, pause_s: float) -> None:
        assert deadline is not None, "only requests that name positions wait, and they have a deadline"
        remaining_s, moved = deadline - asyncio.get_running_loop().time(), partition.moved()
        if remaining_s > pause_s:
            await asyncio.sleep(pause_s)  # what was in vain costs as much again: not at every entry that comes
            done, _ = await asyncio.wait([moved], timeout=remaining_s - pause_s)
            if done:
                return
        raise DeadlineError(
            "the positions asked for, or rows of the ego-graph that follow from them, have not arrived in time; ask again, or give "
            "a larger timeout_ms"
        )

    async def _give_way(self, deadline: float | None) -> None:
        """Let others have their turn."""
        await asyncio.sleep(0)
        if deadline is not None and asyncio.get_running_loop().time() >= deadline:
            raise DeadlineError(
                "the seeds could not all be looked up in time; ask for fewer at a time, or give a larger timeout_ms"
            )


_FIRST: Int32s = np.zeros(1, np.int32)


@asynccontextmanager
async def _together(others: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Do others' work beside that of a block, and end with both; the first error ends both."""
    try:
        async with asyncio.TaskGroup() as group:
            for other in others:
                group.create_task(other)
            yield
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _reflects(partition: ServingPartition, after: Sequence[PositionToken]) -> bool:
    if not after:
        return True
    positions = partition.reflected().positions
    return all(positions[t.partition] >= t.position for t in after)


def _check_fanouts(query: InstalledQuery, fanouts: Sequence[int]) -> None:
    nodes = [n for n in query.plan.nodes if n.kind is NodeKind.EDGE_SAMPLER]
    own = [n.fanout for n in nodes]
    if len(fanouts) != len(own):
        raise InputError(
            f"query {query.name!r} takes {len(own)} fanouts, one for each of its edge samplers (at most {own}), not {len(fanouts)}"
        )
    problems = [
        f"fanouts[{i}] = {given} is more than the {most} that query {query.name!r} keeps"
        for i, (given, most) in enumerate(zip(fanouts, own, strict=True))
        if given > most
    ]
    if problems:
        raise InputError(problems)


def _names(queries: Sequence[InstalledQuery]) -> str:
    return ", ".join(f"{q.name} (id {q.id})" for q in queries)
