"""Workers while the disk takes nothing: they stay, keep their order, acknowledge nothing too early, and go on by themselves."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from dgs.bus.base import RECORDS, SAMPLES, Entry
from dgs.bus.dead_letters import DeadEntry
from dgs.bus.memory import MemoryBus
from dgs.bus.watched import WatchedBus
from dgs.codec.entries import BlockPack, decode_entry, encode_control, encode_records
from dgs.core.control import INSTALL, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.layout import Layouts
from dgs.core.types import PartitionIndex, Position
from dgs.sampler import worker as module
from dgs.sampler.worker import SamplerWorker
from dgs.store.base import Batch
from dgs.store.memory import MemoryStore
from dgs.testing import graph
from dgs.troubles import Troubles
from tests.waiting import until

ZERO = PartitionIndex(0)
PLAN = {
    "priority": 0,
    "query_id": 0,
    "query_plan": {
        "plan_nodes": [
            {"id": 0, "kind": "SOURCE", "type": "VERTEX", "params": [{"key": "vtype", "value": 0}], "links": [{"node": 1}]},
            {
                "id": 1,
                "kind": "EDGE_SAMPLER",
                "type": "EDGE",
                "params": [{"key": k, "value": v} for k, v in {"vtype": 0, "etype": 0, "strategy": 0, "fanout": 3}.items()],
                "links": [],
            },
        ]
    },
}


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullStore(MemoryStore):
    """Refuses batches while told to."""

    full = False
    refused = 0

    def write(self, batch: Batch) -> None:
        if self.full:
            self.refused += 1
            raise full()
        super().write(batch)


class FullBus(MemoryBus):
    """Refuses appends to `sample-batches` while told to."""

    full = False
    refused = 0

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        if self.full and topic == SAMPLES:
            self.refused += 1
            raise full()
        return await super().append(topic, partition, entries)


class World:
    """One sampler partition, its log, and what it sends."""

    def __init__(self) -> None:
        self.bus, self.store, self.troubles = FullBus(), FullStore(), Troubles()
        self.dead: list[DeadEntry] = []
        self.dead_full = False
        self.deployment = Deployment("log", 1, 1, 1, graph.SCHEMA)
        self.time = 0

    def worker(self) -> SamplerWorker:
        return SamplerWorker(
            self.deployment,
            ZERO,
            WatchedBus(self.bus, self.troubles),
            self.store,
            clock=time.monotonic,
            commit_interval_s=0.001,
            dead_letters=self.keep,
            troubles=self.troubles,
        )

    def keep(self, dead: DeadEntry) -> None:
        if self.dead_full:
            raise full()
        self.dead.append(dead)

    async def start(self) -> None:
        """Make the logs, and install a query."""
        await self.bus.ensure(RECORDS, 1)
        await self.bus.ensure(SAMPLES, 1)
        order = ControlItem(1, INSTALL, {"id": 0, "name": "q", "plan": PLAN})
        await self.bus.append(RECORDS, ZERO, [encode_control(order)])

    async def load(self, count: int = 1) -> int:
        """Append edges, an entry each; return the end of the log."""
        for _ in range(count):
            self.time += 1
            edge = graph.Edge(0, 0, 1, 1, self.time, self.time, 1.0)
            end = await self.bus.append(RECORDS, ZERO, [encode_records(graph.batch_of([edge], Layouts(graph.SCHEMA)))])
        return int(end)

    def committed(self) -> int:
        found = self.store.committed()
        return 0 if found is None else int(found[0])

    async def numbers(self) -> list[int]:
        """The numbers of the items that stand in the log of samples."""
        found: list[int] = []
        entries: list[Entry] = await self.bus.read(SAMPLES, ZERO, Position(0), max_bytes=1 << 30, wait_s=0)
        for entry in entries:
            pack = decode_entry(entry.data)
            assert isinstance(pack, BlockPack)
            found += range(pack.first, pack.first + len(pack.blocks))
        return found


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.001)
    made = World()
    await made.start()
    return made


@asynccontextmanager
async def running(worker: SamplerWorker) -> AsyncIterator[None]:
    """Run a worker for the length of a block; that it still runs at the end is checked."""
    task = asyncio.create_task(worker.run())
    yield
    assert not task.done(), task.exception()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_commits_that_the_disk_refuses_are_made_once_it_takes_them(world: World) -> None:
    async with running(world.worker()):
        end = await world.load(3)
        await until(lambda: world.committed() == end)
        world.store.full = True
        await world.load()
        await until(lambda: world.store.refused > 2)
        later = await world.load(5)
        worker_position = len(await world.numbers())
        await until(lambda: bool(world.troubles.found))
        assert world.committed() == end, "nothing is taken for committed"
        assert world.troubles.found[0].startswith("no room for the state of sampler partition 0")
        world.store.full = False
        await until(lambda: world.committed() == later)
        assert world.troubles.found == []
    numbers = await world.numbers()
    assert numbers == list(range(1, len(numbers) + 1)), "each once, and in order"
    assert len(numbers) == 1 + 9
    assert worker_position <= len(numbers)


async def test_a_restart_while_the_disk_is_full_emits_the_same_again(world: World) -> None:
    async with running(world.worker()):
        end = await world.load(3)
        await until(lambda: world.committed() == end)
        world.store.full = True
        await world.load(4)
        await until(lambda: world.store.refused > 2)
    async with running(world.worker()):
        world.store.full = False
        later = await world.load(2)
        await until(lambda: world.committed() == later)
    numbers = await world.numbers()
    again = numbers.index(5, numbers.index(5) + 1)
    assert numbers[:again] == list(range(1, again + 1))
    assert numbers[again:] == list(range(5, 1 + 3 + 4 + 2 + 1)), "from the last commit on, with the same numbers"


async def test_nothing_is_committed_before_the_log_has_taken_what_was_emitted(world: World) -> None:
    async with running(world.worker()):
        end = await world.load(3)
        await until(lambda: world.committed() == end)
        world.bus.full = True
        later = await world.load(5)
        await until(lambda: world.bus.refused > 2)
        assert world.committed() == end
        assert world.troubles.found == [
            "no room for the log sample-batches/0 (No space left on device): free some; it is tried again"
        ]
        world.bus.full = False
        await until(lambda: world.committed() == later)
        assert world.troubles.found == []
    numbers = await world.numbers()
    assert numbers == list(range(1, 1 + 8 + 1))


async def test_reading_pauses_while_too_much_is_not_committed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNCOMMITTED_BYTES_MOST", 2000)
    monkeypatch.setattr(module, "READ_BYTES", 1)
    worker = world.worker()
    async with running(worker):
        end = await world.load(3)
        await until(lambda: world.committed() == end)
        world.store.full = True
        later = await world.load(100)
        await until(lambda: worker.machine.state.position - world.committed() > 2000)
        refused = world.store.refused
        await until(lambda: world.store.refused > refused + 2)
        assert worker.machine.state.position < later
        world.store.full = False
        await until(lambda: world.committed() == later)


async def test_an_entry_that_was_passed_over_is_kept_before_the_position_moves_past_it(world: World) -> None:
    async with running(world.worker()):
        end = await world.load(1)
        await until(lambda: world.committed() == end)
        world.dead_full = True
        await world.bus.append(RECORDS, ZERO, [b"garbage"])
        later = await world.load(2)
        await until(lambda: bool(world.troubles.found))
        assert world.committed() == end
        world.dead_full = False
        await until(lambda: world.committed() == later)
    assert [d.entry.data for d in world.dead] == [b"garbage"]
