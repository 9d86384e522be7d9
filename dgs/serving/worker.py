"""Drives one serving partition: reads its log, lets the machine apply in slices, sends its requests, and answers lookups.

State lives in memory. It starts from the newest snapshot, or empty, and is made anew by replaying the log from there. Requests of
a replay wait until it is done, as the log itself tells which of them have been answered; the few that are sent again are duplicates
to the sampler partitions. Small entries are gathered and applied together, a large one is applied in pieces, so that the event loop
is never held for much longer than a slice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from dgs.bus.base import RECORDS, SAMPLES, Bus, Entry
from dgs.bus.dead_letters import DeadEntries, DeadEntry, DeadLetters
from dgs.bus.outbox import GapReport, Outbox
from dgs.bus.wakeup import Wakeup
from dgs.codec.entries import BlockPack, RequestPack, decode_entry, encode_requests
from dgs.core.deployment import Deployment
from dgs.core.egograph import EgoGraph, Reflected
from dgs.core.errors import CodecError
from dgs.core.layout import Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.types import Int32s, Int64s, PartitionIndex, Position
from dgs.serving.effects import Emission, RoundDone
from dgs.serving.lookup import Lookup
from dgs.serving.machine import ServingMachine
from dgs.serving.pace import Pace
from dgs.serving.snapshots import Snapshots
from dgs.telemetry import logs
from dgs.telemetry.figures import ServingFigures

_log = logs.get(__name__)

READ_BYTES = 1 << 20
GATHER_S = 0.01
"""Reading goes on no sooner after it began the last time, so that small entries that come one by one are applied together: each
costs its own fixed part of a millisecond. What comes after a pause is applied at once."""
IDLE_WAIT_S = 60.0
UNSENT_BYTES_MOST = 32 << 20
PACK_REQUESTS = 4096
"""An entry of requests holds no more."""

OnReflected = Callable[[int], None]
"""Told when an answer reflects an entry for the first time, with its `appended_ms`; of several at once, the oldest one's."""

OnRound = Callable[[PartitionIndex, RoundDone], None]
"""Told when this partition has finished a round of a barrier; after a restart it may be told again."""


async def _all_reported() -> None:
    """Nobody who is told of rounds makes them durable."""


class ServingWorker:
    """One serving partition and the loop around it.

    Args:
        slice_s: how long entries are applied before others have their turn.
        rounds_reported: waits until all that `on_round` was told is durable where it belongs.
        snapshots: None for none.

    Attributes:
        caught_up: whether everything that stood in the log at the start has been applied.
        answers: whether it may be asked: it has caught up, or has started from a snapshot.
    """

    def __init__(
        self,
        deployment: Deployment,
        partition: PartitionIndex,
        bus: Bus,
        *,
        clock: Callable[[], float],
        slice_s: float,
        on_round: OnRound,
        dead_letters: DeadLetters,
        on_reflected: OnReflected = lambda _: None,
        rounds_reported: Callable[[], Awaitable[None]] = _all_reported,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._deployment = deployment
        self._partition = partition
        self._bus = bus
        self._clock = clock
        self._slice_s = slice_s
        self._on_round = on_round
        self._dead = DeadEntries(dead_letters)
        self._on_reflected = on_reflected
        self._rounds_reported = rounds_reported
        self._snapshots = snapshots
        self._pace = Pace(slice_s)
        self._slice_end = 0.0
        self._seeds = 0
        self.machine = ServingMachine(deployment, partition)
        self._lookup = Lookup(self.machine.state)
        self._outbox = Outbox(bus, RECORDS, deployment.partitions, self.machine.state.sent)
        self._put = list(self.machine.state.sent)
        self._waiting: dict[int, list[Emission]] = {p: [] for p in range(deployment.partitions)}
        self._position = Position(0)
        self._gaps = GapReport(f"{SAMPLES}/{partition}")
        self._moved = Wakeup()
        self.caught_up = False
        self.answers = False
        self._end_at_start = Position(0)

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            DivergedError: a row is not what its sampler says that it is.
            StateError: snapshots and log do not belong together, or not to this partition; or nothing is left to start from.
            CodecError: the log itself is damaged.
        """
        await self._restore()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._loop(group))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def ego_graph(self, query: InstalledQuery, seed: int, fanouts: tuple[int, ...] | None = None) -> EgoGraph:
        """Return a seed's ego-graph as it is now, see `Lookup.ego_graph`."""
        self._seeds += 1
        return self._lookup.ego_graph(query, seed, fanouts)

    def graph(
        self,
        query: InstalledQuery,
        seeds: Int64s,
        asked: Int32s,
        *,
        fanouts: tuple[int, ...] | None = None,
        scores: bool = False,
        before: bytes = b"",
    ) -> tuple[bytes | memoryview, int]:
        """Return seeds' merged ego-graphs as a message, see `Lookup.graph`."""
        self._seeds += len(seeds)
        return self._lookup.graph(query, seeds, asked, fanouts=fanouts, scores=scores, before=before)

    def reflected(self) -> Reflected:
        """Return what answers reflect now."""
        return Reflected(list(self.machine.state.positions), self.machine.state.watermark)

    def moved(self) -> "asyncio.Future[None]":
        """Return what is done when an entry has been applied; all who wait share it, so nobody may cancel it."""
        return self._moved.next_ring()

    @property
    def layouts(self) -> Layouts:
        """Layouts of what ego-graphs hold."""
        return self.machine.state.catalog.layouts

    @property
    def queries(self) -> OperatorSet:
        """Queries that this partition serves."""
        return self.machine.state.catalog.operators

    @property
    def position(self) -> Position:
        """The next entry to read from the log."""
        return self._position

    @property
    def barrier(self) -> int:
        """The id of the newest barrier before which everything is servable here; 0 before the first."""
        return self.machine.state.barrier

    @property
    def behind_bytes(self) -> int:
        """How much of what stood in the log at the start is not applied yet."""
        return 0 if self.caught_up else max(0, self._end_at_start - self._position)

    @property
    def snapshot_position(self) -> Position | None:
        """The position that the newest durable snapshot reflects; None before the first."""
        newest = self._snapshots and self._snapshots.newest
        return newest.position if newest else None

    @property
    def snapshot_at(self) -> float | None:
        """When that was written, in seconds since 1970."""
        newest = self._snapshots and self._snapshots.newest
        return newest.written_at if newest else None

    def figures(self) -> ServingFigures:
        """Return what there is to tell about this partition at this moment."""
        machine = self.machine
        return ServingFigures(
            self._position,
            self._seeds,
            machine.duplicates,
            machine.gaps,
            machine.ignored,
            machine.state.rows_pending,
            sum(index.used - 1 for index in machine.state.vertices.values()),
            machine.state.nbytes,
            self.snapshot_position,
            self.snapshot_at,
        )

    async def _restore(self) -> None:
        found = await self._snapshots.restored() if self._snapshots is not None else None
        if found is None:
            return
        state, self._position = found
        self.machine = ServingMachine(self._deployment, self._partition, state)
        self._lookup = Lookup(state)
        self._put = list(state.sent)
        self._outbox.acknowledged[:] = state.sent  # a snapshot counts only then

    async def _loop(self, group: asyncio.TaskGroup) -> None:
        end = self._end_at_start = await self._bus.end(SAMPLES, self._partition)
        # An empty state would give answers that are nearly empty; one of a snapshot gives those of some time ago.
        self.answers = self._position > 0
        behind = end - self._position
        _log.info("serving partition starts", partition=self._partition, position=self._position, behind=behind)
        self._slice_end = self._clock() + self._slice_s
        while True:
            self.caught_up = self.caught_up or self._position >= end
            self.answers = self.answers or self.caught_up
            self._send_requests()
            wait_s = self._begin_snapshot(group)
            self._bus.processed(SAMPLES, self._partition, self._position)
            entries = await self._bus.read(SAMPLES, self._partition, self._position, max_bytes=READ_BYTES, wait_s=wait_s)
            read_at = self._clock()
            nbytes = sum(len(entry.data) for entry in entries)
            if self._snapshots is not None:
                self._snapshots.moved(nbytes)
            for some in self._pace.groups(entries):
                await self._apply(some)
                self._position = some[-1].next
            await self._outbox.room(UNSENT_BYTES_MOST)
            if self.caught_up and nbytes < self._pace.piece_bytes:
                await asyncio.sleep(max(0.0, read_at + GATHER_S - self._clock()))

    async def _take_turns(self, next_s: float) -> None:
        """Let others have their turn if this slice would be over before what comes next is done."""
        if self._clock() + next_s >= self._slice_end:
            self._send_requests()
            await asyncio.sleep(0)
            self._slice_end = self._clock() + self._slice_s

    async def _apply(self, entries: Sequence[Entry]) -> None:
        """Apply one large entry, or several that make one piece."""
        await self._take_turns(self._pace.expected_s(sum(len(entry.data) for entry in entries)))
        began = self._clock()
        packs = [pack for entry in entries if (pack := self._decoded(entry)) is not None]
        pieces = [[piece] for piece in self._pace.pieces(packs[0])] if len(packs) == 1 else [packs]
        for i, piece in enumerate(pieces):
            nbytes = sum(pack.blocks.nbytes for pack in piece)
            if i:
                await self._take_turns(self._pace.expected_s(nbytes))
                began = self._clock()
            self._apply_piece(piece)
            self._pace.took(nbytes, self._clock() - began)
        self._moved.ring()
        self._gaps.tell(self.machine.gaps)

    def _decoded(self, entry: Entry) -> BlockPack | None:
        """Return what an entry holds; one that cannot be applied is kept as a dead letter."""
        try:
            return self.machine.checked(decode_entry(entry.data))
        except CodecError as e:
            self._dead.add(DeadEntry(SAMPLES, self._partition, entry, str(e)))
            _log.error("entry passed over", topic=SAMPLES, partition=self._partition, position=entry.position, cause=e)
            return None

    def _apply_piece(self, piece: Sequence[BlockPack]) -> None:
        effects = self.machine.apply(piece)
        for emission in effects.emissions:
            self._waiting[emission.destination].append(emission)
        for done in effects.rounds_done:
            self._on_round(self._partition, done)
        for note in effects.news:
            if self.caught_up and note.appended_ms:
                self._on_reflected(note.appended_ms)

    def _begin_snapshot(self, group: asyncio.TaskGroup) -> float:
        """Begin a snapshot if one is due; return for how long none will be.

        Called between entries, when all that was emitted has been given to the outbox; while catching up it has not.
        """
        state, snapshots = self.machine.state, self._snapshots
        if snapshots is None or not self.caught_up:
            return IDLE_WAIT_S
        due_s = snapshots.due_in_s(state.applied)
        if due_s == 0:
            numbers = list(self._put)
            if (image := snapshots.cut(state, self._position)) is not None:
                group.create_task(snapshots.write(image, lambda: self._settled(numbers)))
        return min(due_s or IDLE_WAIT_S, IDLE_WAIT_S)

    async def _settled(self, numbers: list[int]) -> None:
        """Wait until what was sent up to these numbers, told and passed over is safe; OSError where it cannot be made so."""
        await self._outbox.settled(numbers)
        await self._rounds_reported()
        self._dead.flush()

    def _send_requests(self) -> None:
        """Send what has been asked for; during the replay only forget what has been answered."""
        for destination, waiting in self._waiting.items():
            if waiting and waiting[0].first <= self.machine.answered[destination]:
                answered = self.machine.answered[destination]
                waiting[:] = [e for e in waiting if e.first + len(e.requests) > answered + 1]
            if waiting and self.caught_up:
                first, requests = waiting[0].first, np.concatenate([e.requests for e in waiting])
                for at in range(0, len(requests), PACK_REQUESTS):
                    piece = requests[at : at + PACK_REQUESTS]
                    pack = RequestPack(self._deployment.generation, self._partition, first + at, piece)
                    self._put[destination] = first + at + len(piece) - 1
                    self._outbox.put(destination, self._put[destination], encode_requests(pack))
                waiting.clear()
