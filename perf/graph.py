"""The graph that is measured: users, items, edges between them and features, made from a seed; and what its answers must be.

Every vertex has more edges than its row keeps, so rows have been full and have lost edges. It talks to nothing; all rows of the
table share it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgs.core.layout import Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.query import read_query
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.schema import Schema
from dgs.core.types import Bytes, Int64s
from dgs.testing.oracle import Oracle

Float32s = NDArray[np.float32]

USER, ITEM, U2I, I2I = 0, 1, 2, 3
"""Types of the schema."""
SURPLUS = 1.25
"""Edges a vertex has on average, as a multiple of what its row keeps."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many neighbours a query keeps at the first and second hop, and floats of a feature."""

    first: int
    second: int
    dim: int

    def __str__(self) -> str:
        return f"[{self.first},{self.second}]×{self.dim}"


@dataclass(frozen=True)
class EdgeColumns:
    """Edges of one type in the order in which they are loaded: int64 [n] each, and float32 [n] weights."""

    etype: int
    src_type: int
    src: Int64s
    dst: Int64s
    timestamps: Int64s
    weights: Float32s

    def __len__(self) -> int:
        return len(self.src)


@dataclass(frozen=True)
class Graph:
    """The graph of a shape, with as many users as items; ids are 0 to vertices - 1 for both."""

    shape: Shape
    vertices: int
    seed: int = 1

    @cached_property
    def schema(self) -> Schema:
        """The schema, parsed."""
        return Schema.parse(json.dumps(self.schema_document()))

    @cached_property
    def operators(self) -> OperatorSet:
        """The operators of the query."""
        return OperatorSet().install("perf", read_query(self.query_document(), self.schema), self.schema)

    @property
    def query(self) -> InstalledQuery:
        """The query as a service has it."""
        return self.operators.queries[0]

    @cached_property
    def features(self) -> tuple[Float32s, Float32s]:
        """Features of users and of items: float32 [vertices, dim] each."""
        rng = np.random.default_rng(self.seed)
        own = [rng.random((self.vertices, self.shape.dim), np.float32) for _ in (USER, ITEM)]
        return own[0], own[1]

    @cached_property
    def edges(self) -> tuple[EdgeColumns, EdgeColumns]:
        """The edges i2i and u2i; no two of one type have one timestamp."""
        rng = np.random.default_rng(self.seed + 1)
        found = []
        for etype, src_type, keep in ((I2I, ITEM, self.shape.second), (U2I, USER, self.shape.first)):
            count = int(self.vertices * keep * SURPLUS)
            every = np.repeat(np.arange(self.vertices, dtype=np.int64), keep)
            src = np.concatenate([every, rng.integers(0, self.vertices, count - len(every))])
            rng.shuffle(src)
            dst = rng.integers(0, self.vertices, count)
            weights = rng.random(count, np.float32) + np.float32(0.5)
            found.append(EdgeColumns(etype, src_type, src, dst, np.arange(1, count + 1, dtype=np.int64), weights))
        return found[0], found[1]

    def schema_document(self) -> dict[str, Any]:
        """Return the schema as a file has it."""
        return {
            "attr_defs": [
                {"type": 0, "name": "timestamp", "value_type": "INT64"},
                {"type": 1, "name": "weight", "value_type": "FLOAT32"},
                {"type": 2, "name": "vec", "value_type": "FLOAT32_LIST", "dim": self.shape.dim},
            ],
            "vertex_defs": [
                {"vtype": USER, "name": "user", "attr_types": [0, 2]},
                {"vtype": ITEM, "name": "item", "attr_types": [0, 2]},
            ],
            "edge_defs": [
                {"etype": U2I, "name": "u2i", "attr_types": [0, 1]},
                {"etype": I2I, "name": "i2i", "attr_types": [0, 1]},
            ],
            "edge_relation_defs": [
                {"etype": U2I, "src_vtype": USER, "dst_vtype": ITEM},
                {"etype": I2I, "src_vtype": ITEM, "dst_vtype": ITEM},
            ],
        }

    def query_document(self) -> dict[str, Any]:
        """Return the query as a file has it: a user's newest items, random items that go with these, and records of all."""

        def node(number: int, kind: str, below: Sequence[int], **params: object) -> dict[str, Any]:
            links = [{"node": n, "src_output": int(number != 0), "dst_input": 0} for n in below]
            return {"id": number, "kind": kind, "links": links, "params": [{"key": k, "value": v} for k, v in params.items()]}

        first, second = self.shape.first, self.shape.second
        nodes = [
            node(0, "SOURCE", [1, 2], vtype=USER),
            node(1, "VERTEX_SAMPLER", [], vtype=USER, versions=1),
            node(2, "EDGE_SAMPLER", [3, 4], vtype=USER, etype=U2I, strategy="topk_by_timestamp", fanout=first),
            node(3, "VERTEX_SAMPLER", [], vtype=ITEM, versions=1),
            node(4, "EDGE_SAMPLER", [3], vtype=ITEM, etype=I2I, strategy="random", fanout=second),
        ]
        return {"query_plan": {"plan_nodes": nodes}, "query_id": 0}

    def batches(self, records: int = 4096) -> Iterator[RecordBatch]:
        """Give all records as batches of at most so many: vertices, then i2i, then u2i."""
        layouts = Layouts(self.schema)
        ids = np.arange(self.vertices, dtype=np.int64)
        for vtype in (USER, ITEM):
            for at in range(0, self.vertices, records):
                own = ids[at : at + records]
                payload = layouts.vertex[vtype].pack(len(own), {"vec": (self.features[vtype][at : at + records], None)})
                yield RecordBatch((VertexRecords(vtype, own, np.ones(len(own), np.int64), payload),))
        for edges in self.edges:
            for at in range(0, len(edges), records):
                yield RecordBatch((edge_records(layouts, edges, slice(at, at + records)),))

    @property
    def records(self) -> int:
        """How many records there are."""
        return 2 * self.vertices + sum(map(len, self.edges))

    def later(self, count: int) -> EdgeColumns:
        """Return u2i edges that come after all others, each the newest of its user; of more of them these are the first."""
        ends = np.random.default_rng(self.seed + 3).integers(0, self.vertices, (count, 2)).T.copy()
        first = 1 + max(len(edges) for edges in self.edges)
        return EdgeColumns(U2I, USER, ends[0], ends[1], np.arange(first, first + count, dtype=np.int64), np.ones(count, np.float32))

    def oracle(self, seeds: Iterable[int], later: int = 0) -> Oracle:
        """Return an oracle that knows all that matters to these seeds, and the first edges of `later`."""
        oracle = Oracle(self.schema)
        i2i, u2i = self.edges
        users = np.unique(np.fromiter(seeds, np.int64))
        items = np.unique(np.concatenate([self._tell(oracle, u2i, users), self._tell(oracle, self.later(later), users)]))
        further = np.unique(np.concatenate([items, self._tell(oracle, i2i, items)]))
        for vtype, own in ((USER, users), (ITEM, further)):
            for vertex in own[own < self.vertices].tolist():
                oracle.vertex(vtype, vertex, 1, {"vec": self.features[vtype][vertex].tolist()})
        return oracle

    @staticmethod
    def _tell(oracle: Oracle, edges: EdgeColumns, sources: Int64s) -> Int64s:
        """Tell the edges of some sources; return where they lead."""
        rows = np.flatnonzero(np.isin(edges.src, sources))
        columns = (column[rows].tolist() for column in (edges.src, edges.dst, edges.timestamps, edges.weights))
        for src, dst, timestamp, weight in zip(*columns, strict=True):
            oracle.edge(edges.etype, edges.src_type, src, ITEM, dst, timestamp, {"weight": weight})
        return edges.dst[rows]


def edge_records(layouts: Layouts, edges: EdgeColumns, part: slice) -> EdgeRecords:
    """Return a stretch of edges as records."""
    weights = edges.weights[part]
    payload: Bytes = layouts.edge[edges.etype].pack(len(weights), {"weight": (weights, None)})
    src, dst, timestamps = (np.ascontiguousarray(c[part]) for c in (edges.src, edges.dst, edges.timestamps))
    return EdgeRecords(edges.etype, edges.src_type, ITEM, src, dst, timestamps, payload)
