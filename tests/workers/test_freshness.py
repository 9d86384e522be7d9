"""Freshness as serving workers measure it is what the test itself measures, by a wall clock that it turns by hand."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.dead_letters import DeadEntry
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import BlockPack, decode_entry, encode_blocks, encode_control, encode_records
from dgs.core.control import INSTALL, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.layout import Layouts
from dgs.core.records import EdgeRecords, RecordBatch
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.machine import SamplerMachine
from dgs.sampler.worker import REFUSED, UNREADABLE, SamplerWorker
from dgs.serving.worker import ServingWorker
from dgs.store.memory import MemoryStore
from dgs.telemetry.freshness import Freshness
from dgs.telemetry.metrics import Metrics
from dgs.telemetry.observation import Observation
from tests.waiting import until

HERE = Path(__file__).parent
SCHEMA = Schema.parse((HERE / "jodie.schema.json").read_text())
QUERY = ControlItem(1, INSTALL, {"id": 0, "name": "q", "plan": json.loads((HERE / "jodie.query.json").read_text())})
DEPLOYMENT = Deployment("log", 1, 1, 1, SCHEMA)
ZERO = PartitionIndex(0)
EDITS = SCHEMA.edge_names["edits"].id


class World:
    """One sampler partition, one serving partition, a bus, and a wall clock."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.now = 1_700_000_000.0
        self.observed: list[float] = []
        self.metrics = Metrics(clock=time.perf_counter)
        self.dead: list[DeadEntry] = []
        self._serial = 0

    def edge(self, *, src: int = 7, etype: int = EDITS) -> RecordBatch:
        """A record batch of one new edge, appended now."""
        self._serial += 1
        ids, serial = np.array([src], np.int64), np.array([self._serial], np.int64)
        width = Layouts(SCHEMA).edge[EDITS].width
        edges = EdgeRecords(etype, 0, 1, ids, serial, serial, np.zeros((1, width), np.uint8))
        return RecordBatch((edges,), [], int(self.now * 1000))

    async def append(self, *batches: RecordBatch) -> Position:
        return await self.bus.append(RECORDS, ZERO, [encode_records(b) for b in batches])

    def sampler(self) -> SamplerWorker:
        return SamplerWorker(
            DEPLOYMENT,
            ZERO,
            self.bus,
            MemoryStore(),
            clock=time.monotonic,
            commit_interval_s=0.01,
            dead_letters=self.dead.append,
        )

    def serving(self) -> ServingWorker:
        def observe(seconds: float) -> None:
            self.observed.append(round(seconds, 3))
            self.metrics.observe_freshness(seconds)

        freshness = Freshness(observe, clock=time.monotonic, wall_clock=lambda: self.now)
        return ServingWorker(
            DEPLOYMENT,
            ZERO,
            self.bus,
            clock=time.monotonic,
            slice_s=0.002,
            on_round=lambda *_: None,
            dead_letters=self.dead.append,
            on_reflected=freshness.reflected,
        )


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    await made.bus.ensure(RECORDS, 1)
    await made.bus.ensure(SAMPLES, 1)
    await made.bus.append(RECORDS, ZERO, [encode_control(QUERY)])
    yield made


@asynccontextmanager
async def running(*workers: SamplerWorker | ServingWorker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reflects(serving: ServingWorker, end: Position) -> None:
    await until(lambda: serving.caught_up and serving.reflected().positions[0] >= end)


async def test_it_is_the_time_from_the_append_to_the_reflection() -> None:
    async with world() as w:
        sampler, serving = w.sampler(), w.serving()
        measured: list[float] = []
        async with running(sampler, serving):
            await reflects(serving, await w.bus.end(RECORDS, ZERO))
            for way_s in (0.25, 1.5, 0.004, 40.0):
                began = w.now
                end = await w.append(w.edge())
                w.now += way_s  # before anybody had a turn to read it
                await reflects(serving, end)
                measured.append(round(w.now - began, 3))
                w.now += 100.0  # an idle time, which counts for nothing
            assert w.observed == measured == [0.25, 1.5, 0.004, 40.0]
        text = w.metrics.text(Observation([], [], 0, {}, 0)).decode().splitlines()
        for line in (
            'dgs_freshness_seconds_bucket{le="0.002"} 0.0',
            'dgs_freshness_seconds_bucket{le="0.005"} 1.0',
            'dgs_freshness_seconds_bucket{le="0.5"} 2.0',
            'dgs_freshness_seconds_bucket{le="20.0"} 3.0',
            'dgs_freshness_seconds_bucket{le="60.0"} 4.0',
            "dgs_freshness_seconds_count 4.0",
        ):
            assert line in text


async def test_of_entries_that_one_note_covers_the_oldest_counts() -> None:
    async with world() as w:
        sampler, serving = w.sampler(), w.serving()
        async with running(sampler, serving):
            await reflects(serving, await w.bus.end(RECORDS, ZERO))
            first = w.edge()
            w.now += 1
            end = await w.append(first, w.edge())
            w.now += 2
            await reflects(serving, end)
            assert w.observed == [3.0]


async def test_an_append_by_a_clock_that_goes_ahead_counts_as_0_and_none_tells_nothing() -> None:
    async with world() as w:
        sampler, serving = w.sampler(), w.serving()
        async with running(sampler, serving):
            await reflects(serving, await w.bus.end(RECORDS, ZERO))
            ahead, untold = w.edge(), w.edge()
            w.now -= 5
            await reflects(serving, await w.append(ahead))
            assert w.observed == [0.0]
            await reflects(serving, await w.append(RecordBatch(untold.groups, [])))
            assert w.observed == [0.0]


async def test_what_is_replayed_is_not_measured() -> None:
    async with world() as w:
        async with running(w.sampler(), before := w.serving()):
            await reflects(before, await w.append(w.edge()))
        count = len(w.observed)
        assert count == 1
        # A new serving worker reads the whole log again, a new sampler emits all of it again.
        w.now += 1000
        async with running(w.sampler(), after := w.serving()):
            await reflects(after, await w.bus.end(RECORDS, ZERO))
            await until(lambda: after.figures().duplicates > 0)
            assert len(w.observed) == count
            end = await w.append(w.edge())
            w.now += 0.125
            await reflects(after, end)
            assert w.observed[count:] == [0.125]


def test_no_machine_looks_at_it() -> None:
    """The same records appended at another time are the same blocks and the same state."""
    w = World()
    batch = w.edge()
    emitted: list[Sequence[bytes]] = []
    for appended_ms in (0, 1, 1 << 60):
        machine = SamplerMachine(DEPLOYMENT, ZERO, MemoryStore())
        machine.apply(QUERY, Position(1))
        found = machine.apply(decode_entry(encode_records(RecordBatch(batch.groups, [], appended_ms))), Position(2))
        cut = machine.cut()
        emitted.append([*(encode_blocks(BlockPack(1, 0, e.first, e.blocks)) for e in found), repr(cut).encode()])
    assert emitted[0] == emitted[1] == emitted[2]
    assert len(emitted[0]) == 2


async def test_a_sampler_tells_what_it_did() -> None:
    async with world() as w:
        sampler, serving = w.sampler(), w.serving()
        async with running(sampler, serving):
            await w.append(w.edge(), w.edge(), w.edge(etype=99))
            end = await w.bus.append(RECORDS, ZERO, [b"garbage"])
            await until(lambda: sampler.figures().committed >= end)
            await reflects(serving, end)
            figures = sampler.figures()
            assert end <= figures.committed <= figures.position
            assert (figures.records_applied, figures.rejected) == (2, {UNREADABLE: 1, REFUSED: 1})
            assert figures.state_bytes > 0
            assert (figures.duplicates, figures.gaps) == (0, 0)
            assert len(w.dead) == 2
            told = serving.figures()
            assert 0 < told.position <= await w.bus.end(SAMPLES, ZERO)
            assert told.vertices > 0
            assert told.state_bytes > 0
            assert told.seeds == 0
            query = serving.queries.query(0)
            assert query is not None
            serving.ego_graph(query, 7)
            serving.graph(query, np.array([7, 8], np.int64), np.array([0, 1], np.int32))
            assert serving.figures().seeds == 3
            await until(lambda: serving.figures().rows_pending == 0)
