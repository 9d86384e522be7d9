"""A whole deployment in one event loop on the memory bus: coordinator, workers, and the loader's pipeline, all real."""

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.pipeline import Pipeline
from dgs_loader.progress import Progress
from dgs_loader.reader import Reader
from dgs_loader.sender import Sender

from dgs.bus.dead_letters import DeadEntry
from dgs.bus.memory import MemoryBus
from dgs.coordinator.barriers import BarrierState
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.layout import Dimension, Layouts
from dgs.core.partition import partition_of
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex
from dgs.sampler.worker import SamplerWorker
from dgs.serving.effects import RoundDone
from dgs.serving.worker import ServingWorker
from dgs.store.memory import MemoryStore
from dgs.testing.oracle import Expected
from dgs.testing.plain import plain

P, S = 3, 2


class Running:
    """A running deployment with one query."""

    def __init__(self, schema: Schema, folder: Path) -> None:
        self.folder = folder
        self.deployment = Deployment("log", 1, P, S, schema, idle_items=500)
        self.bus = MemoryBus()
        self.coordinator = Coordinator(
            self.deployment, self.bus, StateFile(folder / "state.json", self.deployment), bus_url="memory://"
        )
        self.dead: list[DeadEntry] = []
        self.serving = [
            ServingWorker(
                self.deployment,
                PartitionIndex(s),
                self.bus,
                clock=time.monotonic,
                slice_s=0.002,
                on_round=self._report,
                dead_letters=self.dead.append,
            )
            for s in range(S)
        ]
        self.samplers = [
            SamplerWorker(
                self.deployment,
                PartitionIndex(p),
                self.bus,
                MemoryStore(),
                clock=time.monotonic,
                commit_interval_s=0.02,
                dead_letters=self.dead.append,
            )
            for p in range(P)
        ]
        self._reports: set[asyncio.Task[None]] = set()

    def _report(self, partition: PartitionIndex, done: RoundDone) -> None:
        task = asyncio.ensure_future(self.coordinator.report(partition, done.barrier, done.round))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def load(self, pattern: str, lines: Sequence[str], *, reversed_edges: Collection[int] = (), barrier: str) -> None:
        """Load lines as `dgs-loader` does, and wait until the barrier behind them is READY."""
        layouts = Layouts.from_json(self.deployment.schema, (await self.coordinator.init_info())["dimensions"])
        parser = Parser(PatternFile.parse(pattern, self.deployment.schema, ","), layouts, reversed_edges=reversed_edges)
        loop = asyncio.get_running_loop()

        class Dimensions:
            def confirm(_, dimension: Dimension) -> Layouts:
                proposal = self.coordinator.propose_dimension(dimension.kind, dimension.type, dimension.attribute, dimension.dim)
                return Layouts.from_json(self.deployment.schema, asyncio.run_coroutine_threadsafe(proposal, loop).result(20))

        data = self.folder / f"{barrier}.data"
        data.write_text("\n".join(lines) + "\n")
        letters = DeadLetterFile(self.folder / "letters")
        sender = Sender(self.bus, Partitioner(P, list(range(P))))
        fd = os.open(data, os.O_RDONLY)
        try:
            await Pipeline(parser, Dimensions(), sender, letters, Progress(io.StringIO(), None)).load(Reader(fd))
        finally:
            os.close(fd)
        assert letters.count == 0
        await self.coordinator.set_barrier(barrier)
        await self.coordinator.wait_barrier(barrier, BarrierState.READY, 60)

    def answer(self, seed: int) -> Expected:
        """Return a seed's ego-graph as plain values."""
        worker = self.serving[partition_of(seed, S)]
        query = worker.queries.query(0)
        assert query is not None
        ego = worker.ego_graph(query, seed)
        assert ego.pending == 0, "nothing before a READY barrier is pending"
        return plain(ego, worker.layouts)


@asynccontextmanager
async def running(schema: Schema, query: str, folder: Path) -> AsyncIterator[Running]:
    """Run a deployment with one query for the length of a block."""
    deployment = Running(schema, folder)
    await deployment.coordinator.start()
    await deployment.coordinator.install(query)
    deployment.coordinator.accept_loaders.set()
    runs = [*(w.run() for w in deployment.serving), *(w.run() for w in deployment.samplers)]
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        yield deployment
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await deployment.coordinator.close()
    assert not deployment.dead
