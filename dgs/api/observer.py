"""Observes the deployment for `/metrics`, `/cluster` and `/lag`: asks coordinator, serving partitions, bus and membership.

It changes nothing, and is the one place where a lag is computed. A bus that does not answer within `BUS_WAIT_S` makes ends and lags
None.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from dgs.api.health import state_shown
from dgs.api.parts import Parts, SeenPartition
from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.codec.entries import appended_ms_of
from dgs.coordinator.barriers import BarrierState
from dgs.core.types import PartitionIndex, Position
from dgs.membership.heartbeat import SamplerReport
from dgs.telemetry.observation import CheckpointSeen, Observation, RecordPartition, ServingPartitionSeen

BUS_WAIT_S = 2.0
"""How long the bus is waited for."""
_LOOK_BYTES = 1 << 16
"""How far into a lag its first record batch is looked for: control items and requests of serving partitions tell no time."""


class Observer:
    """Observes the deployment that these parts are of."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._telemetry = parts.telemetry
        self._deployment = parts.coordinator.deployment

    def reflected(self) -> list[int]:
        """Return, per record partition, the position that all serving partitions reflect."""
        return [min(column) for column in zip(*(p.reflected().positions for p in self._parts.partitions), strict=True)]

    async def lags(self) -> list[int] | None:
        """Return, per record partition, how much of its log is not reflected; None when the bus does not answer."""
        ends = await self._ends(RECORDS, self._deployment.partitions)
        lags = [max(0, end - position) for end, position in zip(ends, self.reflected(), strict=True) if end is not None]
        return lags if len(lags) == len(ends) else None

    async def observe(self) -> Observation:
        """Return what there is to see now."""
        ends = await self._ends(RECORDS, self._deployment.partitions)
        sample_ends = await self._ends(SAMPLES, self._deployment.serving_partitions)
        reflected = self.reflected()
        now = self._telemetry.wall_clock()
        serving = [serving_seen(s, self._parts.partitions[s], end, now) for s, end in enumerate(sample_ends)]
        barriers = Counter(str(state_shown(b, self._parts.partitions)) for b in self._parts.coordinator.barriers())
        return Observation(
            records=[await self._record(p, at, ends[p]) for p, at in enumerate(reflected)],
            serving=serving,
            queries=len(self._parts.coordinator.operators.queries),
            barriers={str(state): barriers[str(state)] for state in BarrierState},
            dead_letters=self._parts.membership.dead_letters(),
            checkpoint=self._checkpoint(),
            counts_entries=self._telemetry.counts_entries,
        )

    async def _record(self, partition: int, reflected: int, end: int | None) -> RecordPartition:
        copies = self._parts.membership.samplers(partition)
        lag = None if end is None else max(0, end - reflected)
        lag_seconds = 0.0 if lag == 0 else None
        if lag:
            appended_ms = await self._first_append_ms(partition, reflected)
            lag_seconds = max(0.0, self._telemetry.wall_clock() - appended_ms / 1000) if appended_ms else None
        best = copies[0] if copies else None
        return RecordPartition(
            partition,
            best is not None and best.up,
            None if best is None else best.report.figures,
            member=None if best is None else best.member.member,
            pid=None if best is None else best.member.pid,
            records_per_second=None if best is None else best.records_per_second,
            reported_s_ago=None if best is None else round(best.age_s, 3),
            reflected=reflected,
            end=end,
            lag=lag,
            lag_seconds=lag_seconds,
        )

    async def _ends(self, topic: str, partitions: int) -> Sequence[int | None]:
        return await ends_of(self._telemetry.bus, topic, range(partitions))

    async def _first_append_ms(self, partition: int, position: int) -> int:
        """Return when the first record batch from a position on was appended; 0 if nothing near tells."""
        try:
            async with asyncio.timeout(BUS_WAIT_S):
                entries = await self._telemetry.bus.read(
                    RECORDS, PartitionIndex(partition), Position(position), max_bytes=_LOOK_BYTES, wait_s=0
                )
            return next((ms for entry in entries if (ms := appended_ms_of(entry.data))), 0)
        except Exception:  # damage shows in the worker that has to read on from here
            return 0

    def _checkpoint(self) -> CheckpointSeen | None:
        newest = None if self._parts.checkpoints is None else self._parts.checkpoints.newest
        if newest is None:
            return None
        return CheckpointSeen(newest.age_s(self._telemetry.wall_clock()), newest.duration_s, newest.nbytes, newest.sent_bytes)


async def ends_of(bus: Bus, topic: str, partitions: Sequence[int]) -> Sequence[int | None]:
    """Return the ends of some logs; None for all where the bus does not answer."""
    try:
        async with asyncio.timeout(BUS_WAIT_S):
            return await asyncio.gather(*(bus.end(topic, PartitionIndex(p)) for p in partitions))
    except Exception:  # a bus that fails shows in what it is needed for; this only reports
        return [None] * len(partitions)


def sampler_seen(report: SamplerReport) -> RecordPartition:
    """Return what a process sees of a sampler partition that it runs itself: not what serving partitions make of it."""
    return RecordPartition(report.partition, True, report.figures)


def serving_seen(partition: int, seen: SeenPartition, end: int | None, now: float) -> ServingPartitionSeen:
    """Return what there is to see of a serving partition whose log ends there, at a time in seconds since 1970."""
    figures, reflected = seen.figures(), seen.reflected()
    written_at = figures.snapshot_at
    return ServingPartitionSeen(
        partition,
        seen.answers,
        seen.caught_up,
        list(reflected.positions),
        reflected.watermark,
        figures,
        end,
        None if end is None else max(0, end - figures.position),
        None if written_at is None else max(0.0, now - written_at),
    )
