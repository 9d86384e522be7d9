"""Warming meets every kernel in every signature that production uses: nothing is compiled while requests wait."""

import random

from dgs.core.kernels import jit
from dgs.testing.graph import Edge, Vertex
from dgs.warming import warm_kernels
from tests.machines.world import SEEDS, World

PARAMS = {"vtype": 0, "etype": 0, "strategy": "edge_weight", "fanout": 2}


def signatures() -> dict[str, int]:
    return {k.py_func.__qualname__: len(k.signatures) for k in jit.COMPILED}


def test_no_kernel_is_compiled_after_warming() -> None:
    warm_kernels()
    before = signatures()
    assert any(before.values())
    pairs = [{"key": k, "value": v} for k, v in PARAMS.items()]
    source = {"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": 0}], "links": [{"node": 1}, {"node": 2}]}
    edges = {"id": 1, "kind": "EDGE_SAMPLER", "params": pairs, "links": [{"node": 3, "src_output": 1}]}
    own = {"id": 2, "kind": "VERTEX_SAMPLER", "params": [{"key": "vtype", "value": 0}]}
    other = {"id": 3, "kind": "VERTEX_SAMPLER", "params": [{"key": "vtype", "value": 1}]}
    world = World(random.Random(1), {"query_plan": {"plan_nodes": [source, edges, own, other]}}, 2, 2, 3)
    for i in range(60):
        world.load([Edge(0, 0, i % 7, 1, i % 5, i % 11, float(1 + i % 3)), Vertex(i % 2, i % 7, i, i)])
    world.run(crashes=True)
    world.check_answers(SEEDS)
    assert signatures() == before
