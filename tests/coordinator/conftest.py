"""A small schema, queries over it, and a coordinator that starts on a file and a bus."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dgs.bus.base import RECORDS, Bus, Entry
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import decode_entry
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state_file import StateFile
from dgs.core.control import ControlItem
from dgs.core.deployment import Deployment
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position

P, S = 3, 2
SCHEMA = {
    "attr_defs": [
        {"type": 0, "name": "timestamp", "value_type": "INT64"},
        {"type": 1, "name": "weight", "value_type": "FLOAT32"},
        {"type": 2, "name": "vec", "value_type": "FLOAT32_LIST"},
        {"type": 3, "name": "fixed", "value_type": "INT64_LIST", "dim": 4},
    ],
    "vertex_defs": [{"vtype": 0, "name": "user", "attr_types": [0, 2, 3]}, {"vtype": 1, "name": "item", "attr_types": [2]}],
    "edge_defs": [{"etype": 2, "name": "clicks", "attr_types": [0, 1, 2]}],
    "edge_relation_defs": [{"etype": 2, "src_vtype": 0, "dst_vtype": 1}],
}

Document = Callable[..., str]
Start = Callable[..., Awaitable[Coordinator]]
Written = Callable[[Bus], Awaitable[list[list[ControlItem]]]]


@pytest.fixture
def schema() -> Schema:
    return Schema.parse(json.dumps(SCHEMA))


@pytest.fixture
def deployment(schema: Schema) -> Deployment:
    return Deployment("log", 1, P, S, schema)


@pytest.fixture
def document() -> Document:
    def make(query_id: int = 0, fanout: int = 10, kind: str | int = "EDGE_SAMPLER", **more: Any) -> str:
        def params(**values: Any) -> list[dict[str, Any]]:
            return [{"key": key, "value": value} for key, value in values.items()]

        nodes = [
            {"id": 0, "kind": "SOURCE", "params": params(vtype=0), "links": [{"node": 1, "src_output": 0, "dst_input": 0}]},
            {
                "id": 1,
                "kind": kind,
                "params": params(vtype=0, etype=2, strategy=0, fanout=fanout),
                "links": [{"node": 2, "src_output": 1, "dst_input": 0}],
            },
            {"id": 2, "kind": "VERTEX_SAMPLER", "params": params(vtype=1, versions=1), "links": []},
        ]
        return json.dumps({"priority": 0, "query_plan": {"plan_nodes": nodes}, "query_id": query_id, **more})

    return make


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
async def start(tmp_path: Path, deployment: Deployment, bus: MemoryBus) -> AsyncIterator[Start]:
    """Start a coordinator on this test's file and bus; every call is a new process on the same data."""
    started: list[Coordinator] = []

    async def make(
        *, on_bus: Bus | None = None, file: StateFile | None = None, of: Deployment | None = None, accepting: bool = False
    ) -> Coordinator:
        file = file or StateFile(tmp_path / "state.json", of or deployment)
        coordinator = Coordinator(of or deployment, on_bus or bus, file, bus_url="memory://")
        started.append(coordinator)
        await coordinator.start()
        if accepting:
            coordinator.accept_loaders.set()
        return coordinator

    yield make
    for coordinator in started:
        await coordinator.close()


@pytest.fixture
def written() -> Written:
    """What each record partition takes: orders by number, the next one only, as machines do; asserts that none is missing."""

    async def read(bus: Bus) -> list[list[ControlItem]]:
        taken: list[list[ControlItem]] = []
        for p in range(P):
            entries: list[Entry] = await bus.read(RECORDS, PartitionIndex(p), Position(0), max_bytes=1 << 30, wait_s=0)
            items: list[ControlItem] = []
            for entry in entries:
                item = decode_entry(entry.data)
                assert isinstance(item, ControlItem)
                assert item.number <= len(items) + 1, "a gap between orders"
                if item.number == len(items) + 1:
                    items.append(item)
                else:
                    assert item == items[item.number - 1], "a number stands for two orders"
            taken.append(items)
        return taken

    return read
