"""Plans and records by chance: any plan of one to four operators over the test schema, and any record of it."""

import random
from collections.abc import Sequence
from typing import Any

from dgs.core.strategies import Strategy
from dgs.testing.graph import JOINS, SCHEMA, Edge, Raw, Vertex

IDS = range(-3, 5)
"""Few ids, timestamps and weights, so that upserts, ties and late data are common."""
TIMESTAMPS = range(-2, 7)
_WEIGHTS = (None, 0.0, 0.5, 1.0, 2.0, 8.0)


def plan(rnd: random.Random, query_id: int = 0) -> dict[str, Any]:
    """Return an install-query document: a DAG of one to four operators below a SOURCE."""
    seed_type = rnd.choice(sorted(SCHEMA.vertex_types))
    nodes: list[dict[str, Any]] = [
        {"id": 0, "kind": "SOURCE", "type": "VERTEX", "params": [{"key": "vtype", "value": seed_type}], "links": []}
    ]
    gives = {0: {seed_type}}
    for number in range(1, rnd.randint(1, 4) + 1):
        upstream = rnd.choice(sorted(gives))
        vtype = rnd.choice(sorted(gives[upstream]))
        params: dict[str, Any] = {"vtype": vtype}
        edge = number == 1 or rnd.random() < 0.5
        if edge:
            strategy = rnd.choice([Strategy.TOPK_BY_TIMESTAMP, Strategy.TOPK_BY_TIMESTAMP, *Strategy])
            etype = rnd.choice(sorted({e for e, s, _ in JOINS if s == vtype}))
            params |= {"etype": etype, "strategy": strategy.label, "fanout": rnd.choice([1, 1, 2, 3]), "seed": rnd.randint(0, 1)}
            if strategy is Strategy.TIME_DECAY:
                params["half_life"] = rnd.choice([1, 3.5])
            gives[number] = {d for e, s, d in JOINS if (e, s) == (etype, vtype)}
        else:
            params["versions"] = 1
        kind = "EDGE_SAMPLER" if edge else "VERTEX_SAMPLER"
        pairs = [{"key": k, "value": v} for k, v in params.items()]
        nodes.append({"id": number, "kind": kind, "type": "EDGE" if edge else "VERTEX", "params": pairs, "links": []})
        others = [u for u in sorted(gives) if u not in (upstream, number) and vtype in gives[u] and rnd.random() < 0.5]
        for u in [upstream, *others]:
            nodes[u]["links"].append({"node": number, "src_output": int(u != 0), "dst_input": 0})
    return {"priority": 0, "query_plan": {"plan_nodes": nodes}, "query_id": query_id}


def record(rnd: random.Random) -> Raw:
    """Return one raw record."""
    if rnd.randint(0, 3) == 0:
        return vertex(rnd, rnd.choice([0, 1]))
    return edge(rnd, rnd.choice(JOINS))


def vertex(rnd: random.Random, vtype: int, ids: Sequence[int] = IDS, timestamps: Sequence[int] = TIMESTAMPS) -> Vertex:
    """Return a record of a vertex of a type."""
    return Vertex(vtype, rnd.choice(ids), rnd.choice(timestamps), rnd.randint(0, 5))


def edge(
    rnd: random.Random, join: tuple[int, int, int], sources: Sequence[int] = IDS, timestamps: Sequence[int] = TIMESTAMPS
) -> Edge:
    """Return a record of an edge of a type, from a type, to a type, from one of these sources."""
    etype, src_type, dst_type = join
    name = rnd.choice([None, "", "x", "yy"]) if etype == 0 else None
    src, dst, timestamp = rnd.choice(sources), rnd.choice(IDS), rnd.choice(timestamps)
    return Edge(etype, src_type, src, dst_type, dst, timestamp, rnd.choice(_WEIGHTS), name)
