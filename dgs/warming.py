"""Compiles every kernel, or loads it from the cache, before a process says that it is ready.

A little graph runs through both machines and a lookup, so that kernels meet the very types that production hands them. Of processes
that start together on an empty cache, one compiles and the others wait for it. Called by `dgs.app`.
"""

import fcntl
import json

import numpy as np

from dgs.codec.entries import BlockPack, Note, RequestPack, decode_entry, encode_blocks, encode_records, encode_requests
from dgs.core.control import DIMENSION, INSTALL, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.kernels.jit import CACHE_FOLDER
from dgs.core.layout import Dimension, Layouts
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.schema import Schema
from dgs.core.strategies import Strategy
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.machine import Emission, SamplerMachine
from dgs.serving.image import StateImage
from dgs.serving.lookup import Lookup
from dgs.serving.machine import ServingMachine
from dgs.store.memory import MemoryStore

_SCHEMA = {
    "attr_defs": [
        {"type": 0, "name": "timestamp", "value_type": "INT64"},
        {"type": 1, "name": "weight", "value_type": "FLOAT32"},
        {"type": 2, "name": "vec", "value_type": "FLOAT32_LIST"},
        {"type": 3, "name": "text", "value_type": "STRING"},
    ],
    "vertex_defs": [{"vtype": 0, "name": "v", "attr_types": [0, 2, 3]}],
    "edge_defs": [{"etype": 1, "name": "e", "attr_types": [0, 1]}],
    "edge_relation_defs": [{"etype": 1, "src_vtype": 0, "dst_vtype": 0}],
}
_VERTICES = 6


def warm_kernels() -> None:
    """Make every kernel ready to run at full speed; takes some seconds the first time on a machine, then a fraction of one."""
    with (CACHE_FOLDER / "warming.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run()


def _run() -> None:
    schema = Schema.parse(json.dumps(_SCHEMA))
    deployment = Deployment("warming", 1, 1, 1, schema, idle_items=4)
    sampler = SamplerMachine(deployment, PartitionIndex(0), MemoryStore())
    serving = ServingMachine(deployment, PartitionIndex(0))
    position = 0

    def exchange(data: bytes) -> None:
        """Apply an entry and all that it leads to."""
        nonlocal position
        position += 1
        for emission in sampler.apply(decode_entry(data), Position(position)):
            deliver(emission)

    def deliver(emission: Emission) -> None:
        note = Note(position, emission.first + len(emission.blocks) - 1, 0)
        pack = BlockPack(1, 0, emission.first, emission.blocks, note)
        for requests in serving.apply([decode_entry(encode_blocks(pack))]).emissions:
            exchange(encode_requests(RequestPack(1, 0, requests.first, requests.requests)))

    dimension = Dimension("vertex", 0, 2, 2)
    layouts = Layouts(schema, [dimension])
    body = {"kind": "vertex", "type": 0, "attribute": 2, "dim": 2}
    for emission in sampler.apply(ControlItem(1, DIMENSION, body), Position(0)):
        deliver(emission)
    for emission in sampler.apply(ControlItem(2, INSTALL, {"id": 0, "name": "warming", "plan": _plan()}), Position(0)):
        deliver(emission)
    for turn in range(3):
        if turn == 2:
            image = StateImage(serving.state, Position(position))
        exchange(encode_records(_records(layouts, turn)))
    while image.take() is not None:
        pass
    query = serving.state.catalog.operators.query(0)
    assert query is not None
    lookup = Lookup(serving.state)
    lookup.ego_graph(query, 1)
    lookup.graph(query, np.arange(_VERTICES, dtype=np.int64), np.arange(_VERTICES, dtype=np.int32))
    store = MemoryStore()
    store.write(sampler.cut())
    SamplerMachine(deployment, PartitionIndex(0), store)


def _plan() -> dict[str, object]:
    def sampler(number: int, strategy: Strategy, links: list[int]) -> dict[str, object]:
        params = {"vtype": 0, "etype": 1, "strategy": strategy.label, "fanout": 2}
        if strategy is Strategy.TIME_DECAY:
            params["half_life"] = 10
        return {"id": number, "kind": "EDGE_SAMPLER", "params": _pairs(params), "links": [_link(n, 1) for n in links]}

    source = {"id": 0, "kind": "SOURCE", "params": _pairs({"vtype": 0}), "links": [_link(n, 0) for n in (1, 2)]}
    features = {"id": 4, "kind": "VERTEX_SAMPLER", "params": _pairs({"vtype": 0, "versions": 1}), "links": []}
    nodes = [
        source,
        sampler(1, Strategy.TOPK_BY_TIMESTAMP, [3, 4]),
        sampler(2, Strategy.TOPK_BY_WEIGHT, [3]),
        sampler(3, Strategy.TIME_DECAY, [4]),
        features,
    ]
    return {"query_plan": {"plan_nodes": nodes}, "query_id": 0}


def _pairs(params: dict[str, object]) -> list[dict[str, object]]:
    return [{"key": key, "value": value} for key, value in params.items()]


def _link(node: int, output: int) -> dict[str, int]:
    return {"node": node, "src_output": output, "dst_input": 0}


def _records(layouts: Layouts, turn: int) -> RecordBatch:
    """Every vertex with edges to all others; later turns lower weights, so that rows are refilled from history."""
    ids = np.arange(_VERTICES, dtype=np.int64)
    vertices = layouts.vertex[0].pack(_VERTICES, {"vec": (np.full((_VERTICES, 2), turn, np.float32), None)})
    src, dst = (side.ravel().astype(np.int64) for side in np.meshgrid(ids, ids))
    weights = ((7 * src + 3 * dst) % 5 + 3.0 - turn).astype(np.float32)
    edges = layouts.edge[1].pack(len(src), {"weight": (weights, None)})
    return RecordBatch(
        (
            VertexRecords(0, ids, np.full(_VERTICES, turn, np.int64), vertices),
            EdgeRecords(1, 0, 0, src, dst, src + dst, edges),
        )
    )
