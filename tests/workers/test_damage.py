"""An entry that cannot be read is passed over once, also where nothing follows it."""

import asyncio
import time
from pathlib import Path

from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.dead_letters import DeadEntry
from dgs.bus.memory import MemoryBus
from dgs.core.deployment import Deployment
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex
from dgs.sampler.worker import SamplerWorker
from dgs.store.memory import MemoryStore

SCHEMA = Schema.parse((Path(__file__).parent / "jodie.schema.json").read_text())


async def test_an_unreadable_entry_at_the_end_of_the_log_is_passed_over_once() -> None:
    bus, store, dead = MemoryBus(), MemoryStore(), list[DeadEntry]()
    await bus.ensure(RECORDS, 1)
    await bus.ensure(SAMPLES, 1)
    end = await bus.append(RECORDS, PartitionIndex(0), [b"garbage"])
    worker = SamplerWorker(
        Deployment("log", 1, 1, 1, SCHEMA),
        PartitionIndex(0),
        bus,
        store,
        clock=time.monotonic,
        commit_interval_s=0.01,
        dead_letters=dead.append,
    )
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(5):
        while store.committed() is None and not task.done() and len(dead) < 3:  # noqa: ASYNC110 - as users see it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    committed = store.committed()
    assert committed is not None
    assert committed[0] == end
    assert [letter.entry.data for letter in dead] == [b"garbage"]
