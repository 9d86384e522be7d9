"""Neighbourhoods as dense arrays: fixed numbers of neighbours by hop, padded, with masks; what tensors of a model are made from.

Whole arrays at a time: the work in Python does not grow with the number of seeds. Ego-graphs and batches offer it as `dense`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dgs.core.errors import InputError
from dgs.core.types import AnyArray, Bools, Int64s
from dgs_client.column import Column
from dgs_client.table import Edges, EdgeTables

if TYPE_CHECKING:
    from dgs_client.graph import Graph

Step: TypeAlias = "str | int | tuple[str | int, str]"
"""One step of a path: an alias, the id of a plan node, or one of them with the vertex type that the edges lead to."""


@dataclass(frozen=True, slots=True, eq=False)
class Padding:
    """What stands where there is nothing.

    Attributes:
        vertex: for the id of a neighbour that is not there.
        timestamp: for the timestamp of its edge.
        value: for attributes and scores of what is not there, and for absent attributes. It has to fit their dtype.
    """

    vertex: int = -1
    timestamp: int = 0
    value: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """All vertices at one distance along a path. B is the number of seeds; hop 0 are the seeds, where `shape` is [B].

    Attributes:
        type: the vertex type.
        ids: int64 [B, f1, …, fk], the padding where `mask` says no.
        mask: bool, the same shape: whether there is a neighbour.
        known: bool, the same shape: whether a record of it has arrived.
        timestamps: int64, the same shape, of the edges that lead there; None at hop 0.
        features: vertex attributes by name, the same shape, and [..., length] for lists, in the attribute's dtype.
        edge_features: attributes of the edges that lead there, alike.
        scores: int64 or float64, the same shape, of these edges; None at hop 0, and unless they were asked for.
    """

    type: str
    ids: Int64s
    mask: Bools
    known: Bools
    timestamps: Int64s | None = None
    features: Mapping[str, AnyArray] = field(default_factory=dict)
    edge_features: Mapping[str, AnyArray] = field(default_factory=dict)
    scores: AnyArray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape, [B, f1, …, fk]."""
        return self.ids.shape

    def __repr__(self) -> str:
        features = "".join(f", {name} {v.dtype} {list(v.shape)}" for name, v in self.features.items())
        return f"<hop of {self.type} {list(self.shape)}, {int(self.mask.sum())} there{features}>"


def dense(
    graphs: "Sequence[Graph]",
    path: Sequence[Step] = (),
    fanouts: Sequence[int] | None = None,
    *,
    attributes: Sequence[str] = (),
    edge_attributes: Sequence[str] = (),
    padding: Padding | None = None,
) -> list[Hop]:
    """Return hop 0, the seeds in the order in which they were asked for, and one hop per step of a path.

    Args:
        graphs: of one query, at least one; each seed of a request is in one of them.
        path: operators from the seed on, each taking what the one before leads to. May be left out where the plan is a chain.
        fanouts: one per step: how many neighbours there is room for. Neighbours beyond that are left out, the best stay. Unless
            given, as many as the widest row has, which differs from answer to answer.
        attributes: vertex attributes to gather, at every hop whose type has them.
        edge_attributes: edge attributes to gather, at every hop whose edge type has them.
        padding: ids -1 and values 0 unless given.

    Raises:
        InputError: the path does not lead anywhere, or is needed; the fanouts do not fit; no hop has an attribute.
    """
    padding = padding or Padding()
    steps = [_path(graph.edges, path) for graph in graphs]
    _check_path(graphs[0].seed_type, steps[0])
    wide = _fanouts(steps, fanouts)
    wanted = _Wanted(tuple(attributes), tuple(edge_attributes), padding)
    wanted.check(graphs[0], steps[0])
    order = np.argsort(np.concatenate([g.asked for g in graphs]), kind="stable")
    parts = [_dense(g, s, wide, wanted) for g, s in zip(graphs, steps, strict=True)]
    return [_in_order([hops[k] for hops in parts], order, padding) for k in range(len(wide) + 1)]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is gathered at each hop."""

    attributes: tuple[str, ...]
    edge_attributes: tuple[str, ...]
    padding: Padding

    def check(self, graph: "Graph", steps: Sequence[Edges]) -> None:
        """Refuse what no hop has; at any single hop it may be missing."""
        of_vertices = {a for t in (graph.seed_type, *(e.dst_type for e in steps)) for a in graph.vertices[t].columns}
        of_edges = {a for e in steps for a in e.columns}
        for what, names, there in (("vertices", self.attributes, of_vertices), ("edges", self.edge_attributes, of_edges)):
            if missing := [n for n in names if n not in there]:
                raise InputError(
                    f"no {what} on this path have {', '.join(missing)}; they have {', '.join(sorted(there)) or 'none'}"
                )


def _path(edges: EdgeTables, path: Sequence[Step]) -> list[Edges]:
    if path:
        return [edges.find(*step) if isinstance(step, tuple) else edges.find(step) for step in path]
    chain = sorted(edges, key=lambda e: e.hop)
    if [e.hop for e in chain] != list(range(1, len(chain) + 1)):
        raise InputError(f"the plan is no chain, so give the path: which of {', '.join(map(str, edges))}, in which order")
    return chain


def _check_path(seed_type: str, steps: Sequence[Edges]) -> None:
    if not steps:
        raise InputError("the plan samples no edges, so there is no path")
    if steps[0].src_type != seed_type:
        raise InputError(f"a path begins at the seed, of type {seed_type!r}, but {steps[0]} does not")
    for before, after in pairwise(steps):
        if after.src_type != before.dst_type:
            raise InputError(f"{after} does not go on from where {before} leads")


def _fanouts(steps: Sequence[Sequence[Edges]], fanouts: Sequence[int] | None) -> list[int]:
    if fanouts is None:
        return [max(int(e.spans[1].max(initial=0)) for e in same) for same in zip(*steps, strict=True)]
    if len(fanouts) != len(steps[0]) or min(fanouts) < 1:
        raise InputError(f"fanouts has one number from 1 on for each step of the path ({len(steps[0])}), not {list(fanouts)}")
    return list(fanouts)


def _dense(graph: "Graph", steps: Sequence[Edges], fanouts: Sequence[int], wanted: _Wanted) -> list[Hop]:
    rows = graph.seed_rows.astype(np.int64)
    mask = np.ones(len(rows), np.bool_)
    hops = [_hop(graph, graph.seed_type, rows, mask, wanted)]
    for edges, fanout in zip(steps, fanouts, strict=True):
        first, count = edges.spans
        places = _at(first, rows, mask)[..., None] + np.arange(fanout)
        mask = np.arange(fanout) < _at(count, rows, mask)[..., None]
        places[~mask] = 0
        rows = _at(edges.dst, places, mask).astype(np.int64)
        hops.append(_hop(graph, edges.dst_type, rows, mask, wanted, edges, places))
    return hops


def _hop(
    graph: "Graph", vtype: str, rows: Int64s, mask: Bools, wanted: _Wanted, edges: Edges | None = None, places: Int64s | None = None
) -> Hop:
    vertices, value = graph.vertices[vtype], wanted.padding.value
    ids = _at(vertices.ids, rows, mask, wanted.padding.vertex)
    known = _at(vertices.known, rows, mask)
    features = {a: _gathered(vertices.columns[a], rows, mask, value) for a in wanted.attributes if a in vertices.columns}
    if edges is None or places is None:
        return Hop(vtype, ids, mask, known, features=features)
    of_edges = {a: _gathered(edges.columns[a], places, mask, value) for a in wanted.edge_attributes if a in edges.columns}
    scores = None if edges.scores is None else _at(edges.scores, places, mask, value)
    return Hop(vtype, ids, mask, known, _at(edges.timestamps, places, mask, wanted.padding.timestamp), features, of_edges, scores)


def _at(values: AnyArray, places: Int64s, mask: Bools, otherwise: Any = 0) -> AnyArray:
    """Return the values at places, and something else where the mask says no; there may be no values at all."""
    found = values[places] if len(values) else np.zeros((*places.shape, *values.shape[1:]), values.dtype)
    found[~mask] = otherwise
    return found


def _gathered(column: Column, places: Int64s, mask: Bools, otherwise: float) -> AnyArray:
    if column.values.dtype == object:
        raise InputError("texts have no place in dense arrays; take them from the vertices or edges")
    there = mask if column.present is None else mask & _at(column.present, places, mask)
    return _at(column.values, places, there, otherwise)


def _in_order(parts: Sequence[Hop], order: Int64s, padding: Padding) -> Hop:
    """Put the seeds of several graphs into the order of the request."""
    first = parts[0]

    def together(arrays: Sequence[AnyArray]) -> AnyArray:
        if arrays[0].ndim > first.mask.ndim and len({a.shape[-1] for a in arrays}) > 1:  # one graph does not know a list's length
            length = max(a.shape[-1] for a in arrays)
            arrays = [a if a.shape[-1] == length else np.full((*a.shape[:-1], length), padding.value, a.dtype) for a in arrays]
        return np.concatenate(arrays)[order] if len(arrays) > 1 else arrays[0][order]

    return Hop(
        first.type,
        together([h.ids for h in parts]),
        together([h.mask for h in parts]),
        together([h.known for h in parts]),
        None if first.timestamps is None else together([h.timestamps for h in parts if h.timestamps is not None]),
        {name: together([h.features[name] for h in parts]) for name in first.features},
        {name: together([h.edge_features[name] for h in parts]) for name in first.edge_features},
        None if first.scores is None else together([h.scores for h in parts if h.scores is not None]),
    )
