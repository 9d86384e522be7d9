"""Binary answers in the oracle's form: every seed's own ego-graph, found by walking from it through the merged graph."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np

from dgs.core.operators import InstalledQuery
from dgs.core.query import NodeKind
from dgs.core.schema import TIMESTAMP, Schema
from dgs.testing.oracle import Expected, SampledEdge, frozen
from dgs.wire.samples_pb2 import Column, Graph, Samples, ValueType

DTYPES = {"INT32": "<i4", "INT64": "<i8", "FLOAT32": "<f4", "FLOAT64": "<f8"}


def expected_of(samples: Samples, query: InstalledQuery, schema: Schema) -> dict[int, tuple[int, Expected]]:
    """Return seed and ego-graph by the place in the request."""
    found: dict[int, tuple[int, Expected]] = {}
    for graph in samples.graphs:
        seeds, asked, rows = (
            np.frombuffer(data, dtype).tolist()
            for data, dtype in ((graph.seeds, "<i8"), (graph.asked, "<u4"), (graph.seed_rows, "<u4"))
        )
        for seed, place, row in zip(seeds, asked, rows, strict=True):
            assert place not in found
            found[place] = seed, _ego_graph(graph, row, query, schema)
    return found


def _ego_graph(graph: Graph, seed_row: int, query: InstalledQuery, schema: Schema) -> Expected:
    types = {t.name: i for i, t in schema.vertex_types.items()}
    ids = {types[v.type]: np.frombuffer(v.ids, "<i8").tolist() for v in graph.vertices}
    for own in ids.values():
        assert len(set(own)) == len(own)
    records = {types[v.type]: _records(v, len(ids[types[v.type]])) for v in graph.vertices}
    edges = defaultdict(list)
    for e in graph.edges:
        edges[e.operator].append(e)
    result = Expected()
    met: dict[tuple[int, int], bool] = {(query.plan.seed_type, seed_row): False}  # by type and row: does a node look there?
    reached: dict[int, set[tuple[int, int]]] = {query.plan.source.id: {(query.plan.seed_type, seed_row)}}
    for node in query.plan.nodes:
        frontier = {row for u in node.upstreams for vtype, row in reached[u] if vtype == node.vtype}
        if node.kind is NodeKind.VERTEX_SAMPLER:
            met |= {(node.vtype, row): True for row in frontier}
            continue
        reached[node.id] = set()
        slots: dict[int, list[SampledEdge]] = defaultdict(list)
        for e in edges[node.id]:
            dst_type = types[e.dst_type]
            src, dst = (np.frombuffer(data, "<u4").tolist() for data in (e.src, e.dst))
            own = _attributes(e.columns, len(src))
            for i, timestamp in enumerate(np.frombuffer(e.timestamps, "<i8").tolist()):
                if src[i] in frontier:
                    slots[ids[node.vtype][src[i]]].append(SampledEdge(dst_type, ids[dst_type][dst[i]], timestamp, frozen(own[i])))
                    reached[node.id].add((dst_type, dst[i]))
                    met.setdefault((dst_type, dst[i]), False)
        result.rows[node.id] = {src: sorted(row, key=lambda slot: slot.dst_type) for src, row in slots.items()}
    for (vtype, row), looked in met.items():
        known, record = records[vtype][row]
        # In a merged graph another seed's walk may have looked where this one's does not.
        result.vertices[vtype, ids[vtype][row]] = (record if known == 1 else ()) if looked else None
        assert known != -1 or not looked
    return result


def _records(vertices: Any, n: int) -> list[tuple[int, Any]]:
    known = np.frombuffer(vertices.known, np.int8).tolist()
    attributes = _attributes(vertices.columns, n)
    timestamps = [a.pop(TIMESTAMP, None) for a in attributes]
    return [(k, (t or 0, frozen(a))) for k, t, a in zip(known, timestamps, attributes, strict=True)]


def _attributes(columns: Any, n: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{} for _ in range(n)]
    for column in columns:
        if column.absent or not n:
            assert not column.values
            continue
        present = np.frombuffer(column.present, np.uint8) if column.present else np.ones(n, np.uint8)
        for row, value, here in zip(rows, _values(column, n), present.tolist(), strict=True):
            if here:
                row[column.name] = value
    return rows


def _values(column: Column, n: int) -> list[Any]:
    name = ValueType.Name(column.type)
    if name == "STRING":
        at = np.frombuffer(column.offsets, "<u4").tolist()
        assert len(at) == n + 1
        return [column.values[a:b].decode() for a, b in pairwise(at)]
    values = np.frombuffer(column.values, DTYPES[name.removesuffix("_LIST")])
    if name.endswith("_LIST"):
        values = values.reshape(n, column.length)
    found: list[Any] = values.tolist()
    return found
