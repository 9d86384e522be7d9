"""Drives one serving partition: reads its log, lets the machine apply in slices, sends its requests, and answers lookups.

State lives in memory and is rebuilt by replaying the log from its start. Requests of a replay wait until it is done, as the log
itself tells which of them have been answered; the few that are sent again are duplicates to the sampler partitions.
"""

import asyncio
from collections.abc import Callable

import numpy as np

from dgs.bus.base import RECORDS, SAMPLES, Bus, Entry
from dgs.bus.dead_letters import DeadEntry, DeadLetters
from dgs.bus.outbox import GapReport, Outbox
from dgs.codec.entries import RequestPack, decode_entry, encode_requests
from dgs.core.deployment import Deployment
from dgs.core.egograph import EgoGraph, Reflected
from dgs.core.errors import CodecError
from dgs.core.layout import Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.types import PartitionIndex, Position
from dgs.serving.effects import Effects, Emission, RoundDone
from dgs.serving.lookup import Lookup
from dgs.serving.machine import ServingMachine
from dgs.telemetry import logs

_log = logs.get(__name__)

READ_BYTES = 1 << 20
IDLE_WAIT_S = 60.0
UNSENT_BYTES_MOST = 32 << 20
PACK_REQUESTS = 4096
"""An entry of requests holds no more."""

OnRound = Callable[[PartitionIndex, RoundDone], None]
"""Told when this partition has finished a round of a barrier; after a restart it may be told again."""


class ServingWorker:
    """One serving partition and the loop around it.

    Attributes:
        caught_up: whether everything that stood in the log at the start has been applied.
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
    ) -> None:
        self._deployment = deployment
        self._partition = partition
        self._bus = bus
        self._clock = clock
        self._slice_s = slice_s
        self._on_round = on_round
        self._dead_letters = dead_letters
        self.machine = ServingMachine(deployment, partition)
        self._lookup = Lookup(self.machine.state)
        self._outbox = Outbox(bus, RECORDS, deployment.partitions, self.machine.state.sent)
        self._waiting: dict[int, list[Emission]] = {p: [] for p in range(deployment.partitions)}
        self._position = Position(0)
        self._gaps = GapReport(f"{SAMPLES}/{partition}")
        self.caught_up = False

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            DivergedError: a row is not what its sampler says that it is.
            CodecError: the log itself is damaged.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._loop())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def ego_graph(self, query: InstalledQuery, seed: int) -> EgoGraph:
        """Return a seed's ego-graph as it is now."""
        return self._lookup.ego_graph(query, seed)

    def reflected(self) -> Reflected:
        """Return what answers reflect now."""
        state = self.machine.state
        watermarks = [w for w in state.watermarks if w is not None]
        return Reflected(list(state.positions), min(watermarks, default=None))

    @property
    def layouts(self) -> Layouts:
        """Layouts of what ego-graphs hold."""
        return self.machine.state.catalog.layouts

    @property
    def queries(self) -> OperatorSet:
        """Queries that this partition serves."""
        return self.machine.state.catalog.operators

    async def _loop(self) -> None:
        end = await self._bus.end(SAMPLES, self._partition)
        slice_end = self._clock() + self._slice_s
        while True:
            self.caught_up = self.caught_up or self._position >= end
            self._send_requests()
            entries = await self._bus.read(SAMPLES, self._partition, self._position, max_bytes=READ_BYTES, wait_s=IDLE_WAIT_S)
            for entry in entries:
                self._apply(entry)
                self._position = entry.next
                if self._clock() >= slice_end:
                    self._send_requests()
                    await asyncio.sleep(0)  # requests have their turn
                    slice_end = self._clock() + self._slice_s
            await self._outbox.room(UNSENT_BYTES_MOST)

    def _apply(self, entry: Entry) -> None:
        try:
            effects: Effects = self.machine.apply(decode_entry(entry.data))
        except CodecError as e:
            self._dead_letters(DeadEntry(SAMPLES, self._partition, entry, str(e)))
            _log.error("entry passed over", topic=SAMPLES, partition=self._partition, position=entry.position, cause=e)
            return
        self._gaps.tell(self.machine.gaps)
        for emission in effects.emissions:
            self._waiting[emission.destination].append(emission)
        for done in effects.rounds_done:
            self._on_round(self._partition, done)

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
                    self._outbox.put(destination, first + at + len(piece) - 1, encode_requests(pack))
                waiting.clear()
