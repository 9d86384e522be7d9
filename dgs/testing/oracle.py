"""A naive oracle: recomputes any ego-graph from all records ever loaded, by sorting everything, in plain Python.

It shares nothing with the machines but the plan and the arithmetic of scores, which golden vectors fix.
"""

import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dgs.core.operators import InstalledQuery
from dgs.core.query import NodeKind, PlanNode
from dgs.core.schema import Schema
from dgs.core.strategies import NEVER, digest, order, tie

Attributes = Mapping[str, Any]

_digest, _tie, _order = (functools.lru_cache(1 << 14)(pure) for pure in (digest, tie, order))  # asked for again and again


class SampledEdge(NamedTuple):
    """One slot of an expected row."""

    dst_type: int
    dst: int
    timestamp: int
    attributes: tuple[tuple[str, Any], ...]


@dataclass
class Expected:
    """An expected ego-graph.

    Attributes:
        rows: by plan node and source id, its slots by destination type, best first; sources with an empty row are left out.
        vertices: by (vertex type, id): None where the plan does not look, () for not known, else (timestamp, attributes).
    """

    rows: dict[int, dict[int, list[SampledEdge]]] = field(default_factory=lambda: defaultdict(dict))
    vertices: dict[tuple[int, int], Any] = field(default_factory=dict)


def frozen(attributes: Attributes) -> tuple[tuple[str, Any], ...]:
    """Attributes as a comparable value: sorted, lists as tuples, absent ones left out."""
    return tuple(
        sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in attributes.items() if v is not None and k != "timestamp")
    )


class Oracle:
    """All records of a graph, and what any seed's answer must be."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.edges: dict[tuple[int, int, int], dict[tuple[int, int, int], Attributes]] = defaultdict(dict)
        self.records: dict[tuple[int, int], tuple[int, Attributes]] = {}

    def edge(self, etype: int, src_type: int, src: int, dst_type: int, dst: int, timestamp: int, attributes: Attributes) -> None:
        """Take an edge record; the same identity again replaces the attributes."""
        self.edges[etype, src_type, src][timestamp, dst_type, dst] = attributes

    def vertex(self, vtype: int, vertex: int, timestamp: int, attributes: Attributes) -> None:
        """Take a vertex record; an older one changes nothing."""
        if (vtype, vertex) not in self.records or self.records[vtype, vertex][0] <= timestamp:
            self.records[vtype, vertex] = timestamp, attributes

    def row(self, node: PlanNode, source: int) -> list[SampledEdge]:
        """Return a plan node's sample at one vertex: everything sorted, the best K taken; by destination type, best first."""
        assert node.etype is not None
        edge_type, src_type = self.schema.edge_types[node.etype].name, self.schema.vertex_types[node.vtype].name
        d = _digest(node.strategy, edge_type, src_type, seed=node.seed, half_life=node.half_life)
        scored = []
        for (timestamp, dst_type, dst), attributes in self.edges[node.etype, node.vtype, source].items():
            weight = attributes.get(node.weight_attr) if node.weight_attr else None
            h = _tie(d, source, dst, timestamp)
            score = _order(node.strategy, h, timestamp, 1.0 if weight is None else float(weight), node.half_life or 0.0)
            if score == NEVER and node.strategy.weighted:
                continue
            scored.append((score, h, dst, dst_type, timestamp, attributes))
        scored.sort(key=lambda e: e[:5], reverse=True)
        sample = [SampledEdge(e[3], e[2], e[4], frozen(e[5])) for e in scored[: node.fanout]]
        return sorted(sample, key=lambda slot: slot.dst_type)

    def ego_graph(self, query: InstalledQuery, seed: int) -> Expected:
        """Return what the answer for a seed must be."""
        plan, expected = query.plan, Expected()
        gives: dict[tuple[int, int], set[int]] = defaultdict(set)
        gives[plan.source.id, plan.seed_type].add(seed)
        expected.vertices[plan.seed_type, seed] = None
        for node in plan.nodes:
            sources = set().union(*(gives[u, node.vtype] for u in node.upstreams))
            for v in sources:
                if node.kind is NodeKind.VERTEX_SAMPLER:
                    known = self.records.get((node.vtype, v))
                    expected.vertices[node.vtype, v] = (known[0], frozen(known[1])) if known else ()
                    continue
                if row := self.row(node, v):
                    expected.rows[node.id][v] = row
                for slot in row:
                    gives[node.id, slot.dst_type].add(slot.dst)
                    expected.vertices.setdefault((slot.dst_type, slot.dst), None)
        return expected
