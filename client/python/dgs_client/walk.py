"""From a graph of many seeds to the graph of one: a walk over the plan that takes only what this seed leads to.

It follows the plan as the service does, so vertices and edges come in the order in which the service lists them for one seed.
Batches use it.
"""

from dataclasses import replace

import numpy as np

from dgs.core.types import AnyArray, Int64s
from dgs_client.graph import Graph
from dgs_client.plan import Plan
from dgs_client.table import Edges, EdgeTables, Vertices


def graph_of_seed(graph: Graph, place: int, plan: Plan) -> Graph:
    """Return what belongs to one seed.

    Args:
        graph: of any number of seeds.
        place: which of its seeds, from 0 on.
        plan: of the query that the graph answers; it fits the graph.

    Returns:
        a graph of that seed alone. Attributes of a vertex that this seed's walk looks for no record of are absent, even where
        another's does. `pending` is that of the whole graph.
    """
    seed: Int64s = graph.seed_rows[place : place + 1].astype(np.int64)
    tables = {(e.operator, e.dst_type): e for e in graph.edges}
    given: dict[tuple[int, str], Int64s] = {(plan.source.node, graph.seed_type): seed}
    met: dict[str, list[Int64s]] = {t: [] for t in graph.vertices} | {graph.seed_type: [seed]}
    covered: dict[str, list[Int64s]] = {t: [] for t in graph.vertices}
    taken: list[tuple[Edges, Int64s]] = []
    for step in plan.steps:
        sources = _once([given[u, step.type] for u in step.upstreams])
        if not step.dst_types:
            covered[step.type].append(sources)
        for dst_type in step.dst_types:
            edges = tables[step.node, dst_type]
            places = edges.of(sources)
            destinations = edges.dst[places].astype(np.int64)
            given[step.node, dst_type] = destinations
            met[dst_type].append(destinations)
            taken.append((edges, places))
    rows = {t: _once(parts) for t, parts in met.items()}
    return replace(
        graph,
        seeds=graph.seeds[place : place + 1],
        asked=np.zeros(1, np.int64),
        seed_rows=np.zeros(1, np.int32),
        vertices={t: _vertices(v, rows[t], covered[t]) for t, v in graph.vertices.items()},
        edges=EdgeTables([_edges(e, places, rows, graph) for e, places in taken]),
    )


def _vertices(vertices: Vertices, rows: Int64s, covered: list[Int64s]) -> Vertices:
    looked_for = np.zeros(len(vertices), np.bool_)
    for part in covered:
        looked_for[part] = True
    looked_for = looked_for[rows]
    record = vertices.record[rows]
    columns = vertices.columns.map(lambda c: c.take(rows))
    if not looked_for.all():
        record[~looked_for] = -1
        columns = columns.map(lambda c: c.only(looked_for))
    return Vertices(vertices.type, vertices.ids[rows], record, columns)


def _edges(edges: Edges, places: Int64s, rows: dict[str, Int64s], graph: Graph) -> Edges:
    src_rows, dst_rows = rows[edges.src_type], rows[edges.dst_type]
    return replace(
        edges,
        src=_renumbered(edges.src[places], src_rows, len(graph.vertices[edges.src_type])),
        dst=_renumbered(edges.dst[places], dst_rows, len(graph.vertices[edges.dst_type])),
        timestamps=edges.timestamps[places],
        columns=edges.columns.map(lambda c: c.take(places)),
        scores=None if edges.scores is None else edges.scores[places],
        sources=len(src_rows),
    )


def _renumbered(values: AnyArray, rows: Int64s, size: int) -> AnyArray:
    place_of = np.empty(size, np.int32)
    place_of[rows] = np.arange(len(rows), dtype=np.int32)
    return place_of[values]


def _once(parts: list[Int64s]) -> Int64s:
    """Return the rows in several arrays, each once, in the order in which they first come."""
    if not parts:
        return np.empty(0, np.int64)
    rows, first = np.unique(np.concatenate(parts), return_index=True)
    return rows[np.argsort(first)]
