"""The logs of a small deployment, written once by real machines, and what a machine that reads them knows, in a form to compare."""

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

from dgs.codec.entries import decode_entry
from dgs.core.deployment import Deployment
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.machine import SamplerMachine
from dgs.serving.image import StateImage
from dgs.serving.machine import ServingMachine
from dgs.store.memory import MemoryStore
from dgs.testing.graph import Edge, Vertex
from tests.machines.world import World

P, S, IDLE_ITEMS = 2, 2, 5


def _node(number: int, kind: str, links: list[int], **params: Any) -> dict[str, Any]:
    return {
        "id": number,
        "kind": kind,
        "params": [{"key": key, "value": value} for key, value in params.items()],
        "links": [{"node": n, "src_output": int(number != 0), "dst_input": 0} for n in links],
    }


_NODES = [
    _node(0, "SOURCE", [1, 2], vtype=0),
    _node(1, "EDGE_SAMPLER", [3, 4], vtype=0, etype=0, strategy="topk_by_timestamp", fanout=3),
    _node(2, "VERTEX_SAMPLER", [], vtype=0),
    _node(3, "EDGE_SAMPLER", [], vtype=1, etype=1, strategy="edge_weight", fanout=2),
    _node(4, "VERTEX_SAMPLER", [], vtype=1),
]
PLAN = {"priority": 0, "query_id": 0, "query_plan": {"plan_nodes": _NODES}}


@dataclass(frozen=True, slots=True)
class Logs:
    """What stands in every partition's log; `records` and `samples` by partition."""

    deployment: Deployment
    records: list[list[bytes]]
    samples: list[list[bytes]]


@cache
def logs() -> Logs:
    """Return the logs of a history with texts, lists, upserts, subscriptions and a barrier."""
    rnd = random.Random(4)
    world = World(rnd, PLAN, P, S, IDLE_ITEMS)
    for _ in range(10):
        weights, names = rnd.choices([None, 0.5, 2.0], k=3), rnd.choices([None, "x"], k=3)
        ids = [(rnd.randint(-2, 2), rnd.randint(-2, 2), rnd.randint(0, 5)) for _ in range(3)]
        edges = [
            Edge(0, 0, src, 1, dst, at, weight, name) for (src, dst, at), weight, name in zip(ids, weights, names, strict=True)
        ]
        more = [Edge(1, 1, rnd.randint(-2, 2), 0, rnd.randint(-2, 2), rnd.randint(0, 5), 1.5) for _ in range(3)]
        vertices = [Vertex(rnd.randint(0, 1), rnd.randint(-2, 2), rnd.randint(0, 5), rnd.randint(0, 5)) for _ in range(2)]
        world.load([*edges, *more, *vertices])
        for _ in range(rnd.randint(0, 20)):
            if steps := world.steps(crashes=False):
                step, argument = rnd.choice(steps)
                step(argument)
    world.barrier(1, world.rounds)
    world.run()
    return Logs(world.deployment, world.records, world.samples)


def sampler_before(partition: int, entries: int) -> SamplerMachine:
    """Return a sampler machine that has applied so many entries of its log."""
    found = logs()
    machine = SamplerMachine(found.deployment, PartitionIndex(partition), MemoryStore())
    for at, data in enumerate(found.records[partition][:entries], 1):
        machine.apply(decode_entry(data), Position(at))
    return machine


def serving_before(partition: int, entries: int) -> ServingMachine:
    """Return a serving machine that has applied so many entries of its log."""
    found = logs()
    machine = ServingMachine(found.deployment, PartitionIndex(partition))
    for data in found.samples[partition][:entries]:
        machine.apply([decode_entry(data)])
    return machine


def sampler_state(machine: SamplerMachine) -> object:
    """Return everything that a sampler machine would commit."""
    batch = machine.cut()
    return batch.meta, batch.puts


def serving_state(machine: ServingMachine) -> object:
    """Return everything that a serving machine would keep in a snapshot."""
    image = StateImage(machine.state, Position(0))
    pieces = [image.meta]
    while (piece := image.take()) is not None:
        pieces.append(bytes(piece))
    return pieces
