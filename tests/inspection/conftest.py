"""A data directory as a small deployment has left it: real coordinator, workers, logs, stores and snapshots, in this process."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dgs.bus.base import RECORDS
from dgs.bus.dead_letters import DeadEntryFile
from dgs.bus.local import LocalBus
from dgs.codec.entries import encode_records
from dgs.coordinator.barriers import BarrierState
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.layout import Layouts
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir, Defaults, Wanted
from dgs.inspection.subject import Subject
from dgs.sampler.worker import SamplerWorker
from dgs.serving.effects import RoundDone
from dgs.serving.snapshots import Snapshots
from dgs.serving.worker import ServingWorker
from dgs.store.rocks import RocksStore
from dgs.store.snapshots import SnapshotFolder
from dgs.testing import graph
from dgs.testing.graph import Edge, Raw, Vertex
from tests.waiting import until

P, S = 2, 2
PARAMS: list[tuple[str, dict[str, Any]]] = [
    ("SOURCE", {"vtype": 0}),
    ("EDGE_SAMPLER", {"vtype": 0, "etype": 0, "strategy": "topk_by_timestamp", "fanout": 3}),
    ("EDGE_SAMPLER", {"vtype": 1, "etype": 1, "strategy": "topk_by_weight", "fanout": 2}),
    ("VERTEX_SAMPLER", {"vtype": 1, "versions": 1}),
]
LINKS = {0: [1], 1: [2, 3]}
QUERY = {
    "priority": 0,
    "query_id": 7,
    "query_plan": {
        "plan_nodes": [
            {
                "id": i,
                "kind": kind,
                "params": [{"key": k, "value": v} for k, v in params.items()],
                "links": [{"node": n, "src_output": int(i > 0), "dst_input": 0} for n in LINKS.get(i, [])],
            }
            for i, (kind, params) in enumerate(PARAMS)
        ]
    },
}
RAWS: list[Raw] = [
    *(Edge(0, 0, src, 1, 10 * src + i, 100 + i, 0.5, f"text {i}") for src in range(-3, 4) for i in range(5)),
    *(Edge(1, 1, src, 1, dst, 7, float(dst)) for src in range(-30, 35) for dst in (1, 2, 3)),
    *(Vertex(0, id, 50 + id, 4) for id in range(-3, 4)),
    *(Vertex(1, id, 60, 5) for id in range(-30, 35, 2)),
]
GARBAGE = b"no entry of ours"


class World:
    """The directory, and what stands in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = DataDir(root)
        self.positions: list[int] = []

    @property
    def subject(self) -> Subject:
        return Subject(self.root)

    async def fill(self) -> None:
        """Run a deployment over the directory until everything is served and committed."""
        self.directory.make()
        deployment = self.directory.establish(Wanted(schema=graph.SCHEMA), Defaults(P, S, 500))
        bus = LocalBus(self.directory.log)
        coordinator = Coordinator(deployment, bus, StateFile(self.directory.coordinator_state, deployment), bus_url="")
        await coordinator.start()
        await coordinator.install(json.dumps(QUERY), "shop")
        await coordinator.propose_dimension("vertex", 0, 2, 2)
        stores = [RocksStore(self.directory.sampler(p)) for p in range(P)]
        samplers = [self._sampler(deployment, bus, p, stores[p]) for p in range(P)]
        reports: list[asyncio.Future[None]] = []

        def on_round(partition: PartitionIndex, done: RoundDone) -> None:
            reports.append(asyncio.ensure_future(coordinator.report(partition, done.barrier, done.round)))

        snapshots = [self._snapshots(deployment, bus, s) for s in range(S)]
        serving = [
            ServingWorker(
                deployment,
                PartitionIndex(s),
                bus,
                clock=time.monotonic,
                slice_s=0.002,
                on_round=on_round,
                dead_letters=DeadEntryFile(self.directory.dead_letters / f"serving-{s}.jsonl", now=time.time),
            )
            for s in range(S)
        ]
        workers: list[SamplerWorker | ServingWorker] = [*samplers, *serving]
        tasks = [asyncio.ensure_future(worker.run()) for worker in workers]
        await bus.append(RECORDS, PartitionIndex(0), [GARBAGE])
        for p, raws in graph.by_partition(RAWS, P).items():
            batch = graph.batch_of(raws, Layouts(graph.SCHEMA, [graph.DIMENSION]))
            await bus.append(RECORDS, PartitionIndex(p), [encode_records(batch)])
        await coordinator.set_barrier("loaded")
        ready = await coordinator.wait_barrier("loaded", BarrierState.READY, 60)
        assert ready.state is BarrierState.READY, [t for t in tasks if t.done()]
        self.positions = [await bus.end(RECORDS, PartitionIndex(p)) for p in range(P)]
        await until(lambda: [found[0] for s in stores if (found := s.committed())] == self.positions)
        await until(lambda: all(list(worker.reflected().positions) == self.positions for worker in serving))
        for worker, taking in zip(serving, snapshots, strict=True):
            image = taking.cut(worker.machine.state, worker.position)
            assert image is not None
            await taking.write(image, _nothing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *reports, return_exceptions=True)
        await coordinator.close()
        await bus.close()
        for store in stores:
            store.close()

    def _sampler(self, deployment: Deployment, bus: LocalBus, p: int, store: RocksStore) -> SamplerWorker:
        return SamplerWorker(
            deployment,
            PartitionIndex(p),
            bus,
            store,
            clock=time.monotonic,
            commit_interval_s=0.01,
            dead_letters=DeadEntryFile(self.directory.dead_letters / f"sampler-{p}.jsonl", now=time.time),
        )

    def _snapshots(self, deployment: Deployment, bus: LocalBus, s: int) -> Snapshots:
        folder = SnapshotFolder(self.directory.serving(s))
        return Snapshots(folder, deployment, PartitionIndex(s), bus, interval_s=60, clock=time.monotonic)


async def _nothing() -> None:
    """Everything is safe."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A deployment that was stopped. Tests only look, or work on a copy of its directory."""
    made = World(tmp_path_factory.mktemp("inspected") / "state")
    asyncio.run(made.fill())
    before = content(made.root)
    yield made
    assert content(made.root) == before, "looking changes nothing"


def content(root: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file with its time of change and its bytes."""
    return {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in root.rglob("*")}
