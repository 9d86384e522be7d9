"""One serving partition over one log and one folder of snapshots, worker after worker: what tests of snapshots work with."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from dgs.bus.base import RECORDS, SAMPLES, Entry
from dgs.bus.dead_letters import DeadEntry
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import BlockPack, decode_entry
from dgs.core.types import PartitionIndex, Position
from dgs.serving.snapshots import Snapshots
from dgs.serving.worker import ServingWorker
from dgs.store.snapshots import SnapshotFolder
from dgs.testing.oracle import Expected
from dgs.testing.plain import plain
from dgs.troubles import Troubles
from tests.machines.world import World
from tests.waiting import until

S0 = PartitionIndex(0)


class Bus(MemoryBus):
    """A bus that knows what was read from where, and can refuse requests."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []
        self.refuses = False
        self.open = asyncio.Event()
        """Reading goes on once it is set."""
        self.open.set()

    async def read(
        self, topic: str, partition: PartitionIndex, position: Position, *, max_bytes: int, wait_s: float
    ) -> list[Entry]:
        if topic == SAMPLES and max_bytes > 1:
            self.reads.append(position)
            await self.open.wait()
        return await super().read(topic, partition, position, max_bytes=max_bytes, wait_s=wait_s)

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        if topic == RECORDS and self.refuses:
            raise OSError(errno.ENOSPC, "full")
        return await super().append(topic, partition, entries)


async def all_reported() -> None:
    """Nothing was told."""


class Deployment:
    """One serving partition over one log and one folder, worker after worker.

    Attributes:
        fed: entries of the world's log that stand in the bus.
        snapshots: those of the worker that runs, or ran last.
    """

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.bus = Bus()
        self.folder = SnapshotFolder(folder / "serving" / "0")
        self.dead: list[DeadEntry] = []
        self.snapshots: Snapshots | None = None
        self.troubles = Troubles()
        self.fed = 0

    async def feed(self, share: float) -> Position:
        """Append the log up to an entry with items behind a share of it, or to the last such entry; return where that ends."""
        log = self.world.samples[0]
        items = [i + 1 for i, data in enumerate(log) if len(cast(BlockPack, decode_entry(data)).blocks)]
        return await self.feed_to(next((i for i in items if i >= len(log) * share), items[-1]))

    async def feed_to(self, end: int) -> Position:
        """Append that many entries of the log, less those that stand there; return where the last one ends."""
        fed, self.fed = self.fed, end
        return await self.bus.append(SAMPLES, S0, self.world.samples[0][fed:end])

    @asynccontextmanager
    async def worker(
        self, *, interval_s: float = 0.001, rounds_reported: Callable[[], Awaitable[None]] = all_reported
    ) -> AsyncIterator[ServingWorker]:
        deployment = self.world.deployment
        taking = self.snapshots = Snapshots(
            self.folder, deployment, S0, self.bus, interval_s=interval_s, clock=time.monotonic, troubles=self.troubles
        )
        worker = ServingWorker(
            deployment,
            S0,
            self.bus,
            clock=time.monotonic,
            slice_s=0.002,
            on_round=lambda *_: None,
            dead_letters=self.dead.append,
            snapshots=taking,
            rounds_reported=rounds_reported,
        )
        task, main = asyncio.create_task(worker.run()), asyncio.current_task()
        assert main is not None

        def failed(done: "asyncio.Task[None]") -> None:
            if not done.cancelled() and done.exception() is not None:
                main.cancel()

        task.add_done_callback(failed)
        try:
            yield worker
        except asyncio.CancelledError:
            if not task.done() or task.cancelled() or task.exception() is None:
                raise
            main.uncancel()
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def snapshot_at(self, worker: ServingWorker, position: int) -> None:
        """Wait until a durable snapshot reflects a position."""
        await until(lambda: worker.snapshot_position == position)

    def answers(self, worker: ServingWorker) -> list[Expected]:
        query = worker.queries.query(0)
        assert query is not None
        return [plain(worker.ego_graph(query, seed), worker.layouts) for seed in range(17)]

    def expected(self) -> list[Expected]:
        oracle = self.world.oracle()
        return [oracle.ego_graph(self.world.query, seed) for seed in range(17)]
