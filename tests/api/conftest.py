"""The application over a real coordinator on a memory bus, and serving partitions that know nothing but what tests tell them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dgs.api.asgi import make_app, samples_endpoint
from dgs.api.peers import NoPeers
from dgs.bus.memory import MemoryBus
from dgs.bus.wakeup import Wakeup
from dgs.config import Settings
from dgs.coordinator.checkpoints import CheckpointCreator
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.membership import Membership
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.egograph import Edges, EgoGraph, Reflected, Vertices
from dgs.core.layout import Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.schema import Schema
from dgs.core.strings import StringTable
from dgs.core.types import Int32s, Int64s
from dgs.http.gate import Application
from dgs.membership.heartbeat import Heartbeat, News
from dgs.telemetry.figures import ServingFigures
from dgs.telemetry.telemetry import Telemetry
from dgs.wire.samples_pb2 import Graph, Samples

P, S = 4, 2
SCHEMA_TEXT = b"""{ "attr_defs": [{"type": 0, "name": "timestamp", "value_type": "INT64"},
  {"type": 1, "name": "vec", "value_type": "FLOAT32_LIST"}],
  "vertex_defs": [{"vtype": 0, "name": "user", "attr_types": [0, 1]}],
  "edge_defs": [{"etype": 1, "name": "knows", "attr_types": [0]}],
  "edge_relation_defs": [{"etype": 1, "src_vtype": 0, "dst_vtype": 0}] }
"""

Document = Callable[..., bytes]


@dataclass
class FakePartition:
    """A serving partition that knows edges seed → neighbour, and the queries of the coordinator unless told otherwise."""

    layouts: Layouts
    directory: Coordinator
    edges: dict[int, list[int]] = field(default_factory=dict)
    caught_up: bool = True
    knows: OperatorSet | None = None
    positions: list[int] = field(default_factory=lambda: [0] * P)
    watermark: int | None = None
    asked: list[int] = field(default_factory=list)
    wanted: list[tuple[tuple[int, ...] | None, bool]] = field(default_factory=list)
    moves: Wakeup = field(default_factory=Wakeup)
    pending: int = 0
    fails: Exception | None = None
    told: ServingFigures = field(default_factory=lambda: ServingFigures(0))

    from_snapshot: bool = False
    behind_bytes: int = 0

    @property
    def answers(self) -> bool:
        return self.caught_up or self.from_snapshot

    @property
    def barrier(self) -> int:
        return 1 << 30 if self.caught_up else 0

    def figures(self) -> ServingFigures:
        return self.told

    @property
    def queries(self) -> OperatorSet:
        return self.directory.operators if self.knows is None else self.knows

    def reflected(self) -> Reflected:
        return Reflected(self.positions, self.watermark)

    def moved(self) -> "asyncio.Future[None]":
        return self.moves.next_ring()

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
        self.asked += seeds.tolist()
        self.wanted.append((fanouts, scores))
        if self.fails is not None:
            raise self.fails
        graph = Graph(seed_type="v", seeds=seeds.tobytes(), asked=asked.tobytes(), pending=self.pending)
        return before + Samples(graphs=[graph]).SerializeToString(), self.pending

    def ego_graph(self, query: InstalledQuery, seed: int, fanouts: tuple[int, ...] | None = None) -> EgoGraph:
        self.asked.append(seed)
        self.wanted.append((fanouts, False))
        if self.fails is not None:
            raise self.fails
        neighbours = self.edges.get(seed, [])
        ids = np.array(list(dict.fromkeys([seed, *neighbours])), np.int64)
        n, m = len(ids), len(neighbours)
        known = np.full(n, int(seed in self.edges), np.int8)
        vertices = {0: Vertices(0, ids, known, np.zeros(n, np.int64), np.zeros((n, self.layouts.vertex[0].width), np.uint8))}
        dst = np.array([ids.tolist().index(v) for v in neighbours], np.int32)
        payload = np.ones((m, self.layouts.edge[1].width), np.uint8)
        edges = Edges(query.plan.nodes[0], 1, 0, np.zeros(m, np.int32), dst, np.arange(m), np.zeros(m, np.uint64), payload)
        return EgoGraph(seed, 0, vertices, [edges], self.pending, StringTable())


@pytest.fixture
def schema() -> Schema:
    return Schema.parse(SCHEMA_TEXT)


@pytest.fixture
def document() -> Document:
    def make(query_id: int = 0, fanout: int = 10, **more: Any) -> bytes:
        params = [{"key": k, "value": v} for k, v in {"vtype": 0, "etype": 1, "strategy": 0, "fanout": fanout}.items()]
        nodes = [
            {"id": 0, "kind": "SOURCE", "params": params[:1], "links": [{"node": 1}]},
            {"id": 1, "kind": "EDGE_SAMPLER", "params": params, "links": []},
        ]
        return json.dumps({"priority": 0, "query_plan": {"plan_nodes": nodes}, "query_id": query_id, **more}).encode()

    return make


@pytest.fixture
def settings() -> Settings:
    return Settings(seeds_max=40, body_bytes_max=4096)


@pytest.fixture
async def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
async def coordinator(schema: Schema, bus: MemoryBus, tmp_path: Path) -> AsyncIterator[Coordinator]:
    deployment = Deployment("log", 1, P, S, schema)
    coordinator = Coordinator(deployment, bus, StateFile(tmp_path / "state.json", deployment), bus_url="memory://")
    await coordinator.start()
    yield coordinator
    await coordinator.close()


@pytest.fixture
async def partitions(coordinator: Coordinator) -> list[FakePartition]:
    return [FakePartition(coordinator.layouts, coordinator) for _ in range(S)]


@dataclass
class HandClock:
    """Clocks that stand still until they are turned: one that only grows, and the wall's."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def telemetry(bus: MemoryBus, clock: HandClock) -> Telemetry:
    return Telemetry.of(bus, clock=clock, wall_clock=clock)


@pytest.fixture
async def membership(coordinator: Coordinator, clock: HandClock) -> Membership:
    return Membership(coordinator.deployment, clock=clock)


@pytest.fixture
async def hear(membership: Membership) -> Callable[[Heartbeat], News]:
    """Hear heartbeats, and answer that there is no news."""

    def heard(heartbeat: Heartbeat) -> News:
        membership.hear(heartbeat)
        return News()

    return heard


@pytest.fixture
async def checkpoints() -> CheckpointCreator | None:
    """A bus in memory has none."""
    return None


MakeApp = Callable[..., Application]


@pytest.fixture
async def make(
    coordinator: Coordinator,
    partitions: list[FakePartition],
    settings: Settings,
    telemetry: Telemetry,
    membership: Membership,
    hear: Callable[[Heartbeat], News],
    checkpoints: CheckpointCreator | None,
) -> MakeApp:
    """Make the application, with what tells the troubles of the storage."""

    def made(storage: Callable[[], list[str]] = list) -> Application:
        return make_app(
            coordinator,
            partitions,
            settings,
            storage,
            samples=samples_endpoint(coordinator.deployment, dict(enumerate(partitions)), coordinator, NoPeers(), settings),
            telemetry=telemetry,
            membership=membership,
            hear=hear,
            checkpoints=checkpoints,
        )

    return made


@pytest.fixture
async def app(make: MakeApp) -> Application:
    return make()


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://dgs") as client:
        yield client


@pytest.fixture
async def installed(coordinator: Coordinator, document: Document) -> InstalledQuery:
    return await coordinator.install(document(), "friends")


ProblemCheck = Callable[[httpx.Response, int, str], None]


@pytest.fixture
def is_problem() -> ProblemCheck:
    """Check that an answer is a problem document of this status, with this in its detail."""

    def check(response: httpx.Response, status: int, detail: str) -> None:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert body["status"] == status
        assert body["type"].startswith("urn:dgs:problem:")
        assert body["title"]
        assert detail in body["detail"]
        assert body["problems"]
        assert body["detail"] == "; ".join(body["problems"])

    return check
