"""From the graphs of several serving partitions to one graph, in which each vertex stands once.

The partitions answer from instants of their own. Where two of them have the same vertex or the same row, one is taken whole, so
that nothing shows twice. Batches use it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from dgs.core.types import Bools, Int64s
from dgs_client.column import Column, Columns, joined
from dgs_client.graph import Graph
from dgs_client.table import Edges, EdgeTables, Vertices


def merged(graphs: Sequence[Graph]) -> Graph:
    """Return one graph of all seeds, in the order in which they were asked for.

    Args:
        graphs: of one query, at least one; each seed of a request is in one of them.

    Returns:
        vertices once per type and id, in ascending order: of those that several graphs have, the first that knows a record. Edges
        once per operator and source: those of the first graph that has any. `positions` and `watermark` are the smallest, `pending`
        is the sum.
    """
    first = graphs[0]
    vertices: dict[str, Vertices] = {}
    row_of: dict[str, list[Int64s]] = {}
    for vtype in first.vertices:
        vertices[vtype], row_of[vtype] = _vertices([g.vertices[vtype] for g in graphs])
    seed_rows = np.concatenate([row_of[first.seed_type][i][g.seed_rows] for i, g in enumerate(graphs)])
    order = np.argsort(np.concatenate([g.asked for g in graphs]), kind="stable")
    watermarks = [g.watermark for g in graphs if g.watermark is not None]
    return Graph(
        seed_type=first.seed_type,
        seeds=np.concatenate([g.seeds for g in graphs])[order],
        asked=np.arange(len(order)),
        seed_rows=seed_rows[order].astype(np.int32),
        positions=tuple(map(min, zip(*(g.positions for g in graphs), strict=True))),
        watermark=min(watermarks, default=None),
        pending=sum(g.pending for g in graphs),
        vertices=vertices,
        edges=EdgeTables(_all_edges(graphs, vertices, row_of)),
    )


def _vertices(parts: Sequence[Vertices]) -> tuple[Vertices, list[Int64s]]:
    """Return the vertices of one type, and for each part, by its rows, the rows that they have now."""
    ids, record = np.concatenate([v.ids for v in parts]), np.concatenate([v.record for v in parts])
    # By id, those that know most first; the first of each id stands for all of that id.
    order = np.lexsort((-record, ids))
    leads: Bools = np.ones(len(ids), np.bool_)
    leads[1:] = ids[order[1:]] != ids[order[:-1]]
    rows = np.empty(len(ids), np.int64)
    rows[order] = np.cumsum(leads) - 1
    chosen = order[leads]
    columns = _columns([v.columns for v in parts], parts[0].type, chosen)
    splits = np.cumsum([len(v) for v in parts])[:-1]
    return Vertices(parts[0].type, ids[chosen], record[chosen], columns), np.split(rows, splits)


def _all_edges(graphs: Sequence[Graph], vertices: dict[str, Vertices], row_of: dict[str, list[Int64s]]) -> list[Edges]:
    tables = [[g.edges.operator(e.operator, e.dst_type) for g in graphs] for e in graphs[0].edges]
    # One graph owns a row of an operator, whichever types its edges lead to.
    owner: dict[int, Int64s] = {}
    for same in tables:
        operator, src_type = same[0].operator, same[0].src_type
        owners = owner.setdefault(operator, np.full(len(vertices[src_type]), len(graphs)))
        for i, edges in enumerate(same):
            np.minimum.at(owners, row_of[src_type][i][edges.src], i)
    return [_edges(same, owner[same[0].operator], vertices, row_of) for same in tables]


def _edges(parts: Sequence[Edges], owner: Int64s, vertices: dict[str, Vertices], row_of: dict[str, list[Int64s]]) -> Edges:
    first = parts[0]
    src = np.concatenate([row_of[first.src_type][i][e.src] for i, e in enumerate(parts)])
    dst = np.concatenate([row_of[first.dst_type][i][e.dst] for i, e in enumerate(parts)])
    graph = np.repeat(np.arange(len(parts)), [len(e) for e in parts])
    kept = np.flatnonzero(graph == owner[src])
    scores = [e.scores for e in parts if e.scores is not None]
    return replace(
        first,
        src=src[kept].astype(np.int32),
        dst=dst[kept].astype(np.int32),
        timestamps=np.concatenate([e.timestamps for e in parts])[kept],
        columns=_columns([e.columns for e in parts], str(first), kept),
        scores=np.concatenate(scores)[kept] if scores else None,
        sources=len(vertices[first.src_type]),
    )


def _columns(parts: Sequence[Columns], whose: str, rows: Int64s) -> Columns:
    def column(name: str) -> Column:
        return joined([c[name] for c in parts]).take(rows)

    return Columns({name: partial(column, name) for name in parts[0]}, whose)
