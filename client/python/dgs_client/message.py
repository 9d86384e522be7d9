"""From the bytes of a `dgs.v1.Samples` message to graphs. What it does not know in them it skips, as the format demands.

Arrays are views of the message's bytes. Nothing else reads messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from google.protobuf.message import DecodeError

from dgs.core.errors import CodecError
from dgs.core.types import AnyArray, Int64s
from dgs.wire import samples_pb2
from dgs_client.column import array_of, read_columns
from dgs_client.graph import Graph
from dgs_client.plan import Plan, PlanStep
from dgs_client.query import Query
from dgs_client.table import Edges, EdgeTables, Vertices

MEDIA_TYPE = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer says besides its graphs.

    Attributes:
        query: the query that it answers.
        generation: of the deployment.
        history: "full", or "off" where samplers keep no history.
        plan: of the query; None where the service is too old to tell it.
        caught_up: whether all serving partitions that answered have read again what stood in their logs when they started.
    """

    query: Query
    generation: int
    history: str
    plan: Plan | None = None
    caught_up: bool = True


def read_message(data: bytes, *, scores: bool = False) -> tuple[Head, list[Graph]]:
    """Return what a message says; several messages one after the other are one.

    Args:
        data: the messages.
        scores: whether scores were asked for, which does not show where there are no edges.

    Raises:
        CodecError: it is no such message, or a damaged one. Columns are looked at when they are first used.
    """
    try:
        samples = samples_pb2.Samples.FromString(data)
    except DecodeError as e:
        raise CodecError(f"the answer is no dgs.v1.Samples message: {e}") from None
    query = Query(samples.query.id, samples.query.name, samples.query.ready)
    scores = scores or any(e.WhichOneof("score") for g in samples.graphs for e in g.edges)
    caught_up = samples.caught_up or not samples.HasField("caught_up")
    head = Head(query, samples.generation, samples.history, _plan(samples.query.SerializeToString()), caught_up)
    return head, [_graph(g, scores) for g in samples.graphs]


def placed(graphs: Sequence[Graph], places: Sequence[int]) -> list[Graph]:
    """Return graphs of a part of a request, as those of the whole.

    Args:
        graphs: of the part.
        places: of the part's seeds, in the request.

    Raises:
        CodecError: they are of seeds that the part does not have.
    """
    of_part: Int64s = np.asarray(places, np.int64)
    if any(len(g.asked) and g.asked.max() >= len(of_part) for g in graphs):
        raise CodecError(f"the answer is of more seeds than the {len(of_part)} that were asked for")
    return [replace(g, asked=of_part[g.asked]) for g in graphs]


@lru_cache(maxsize=64)
def _plan(query: bytes) -> Plan | None:
    """Read the plan in the bytes of a `Query`. Answers by the million are of a few queries, and each brings its plan."""
    steps: dict[int, PlanStep] = {}
    for n in samples_pb2.Query.FromString(query).nodes:
        # Messages that were joined repeat the nodes.
        steps.setdefault(n.id, PlanStep(n.id, n.type, tuple(n.upstreams), tuple(n.dst_types)))
    if not steps:
        return None
    source, *rest = steps.values()
    return Plan(source, tuple(rest))


def _graph(message: samples_pb2.Graph, scores: bool) -> Graph:
    vertices = {v.type: _vertices(v) for v in message.vertices}
    seeds = _array(message.seeds, "<i8", "seeds")
    if message.seed_type not in vertices:
        raise CodecError(f"a graph has seeds of type {message.seed_type!r}, but no vertices of it; the answer is damaged")
    return Graph(
        seed_type=message.seed_type,
        seeds=seeds,
        asked=array_of(message.asked, "<u4", len(seeds), "asked").astype(np.int64),
        seed_rows=array_of(message.seed_rows, "<i4", len(seeds), "seed_rows"),
        positions=tuple(_array(message.positions, "<u8", "positions").tolist()),
        watermark=message.watermark if message.HasField("watermark") else None,
        pending=message.pending,
        vertices=vertices,
        edges=EdgeTables([_edges(e, vertices, scores) for e in message.edges]),
    )


def _vertices(message: samples_pb2.Vertices) -> Vertices:
    whose = f"vertices of type {message.type!r}"
    ids = _array(message.ids, "<i8", whose)
    return Vertices(
        type=message.type,
        ids=ids,
        record=array_of(message.known, "i1", len(ids), f"{whose}, known"),
        columns=read_columns(message.columns, len(ids), whose),
    )


def _edges(message: samples_pb2.Edges, vertices: dict[str, Vertices], scores: bool) -> Edges:
    whose = f"edges of operator {message.operator}"
    for vtype in (message.src_type, message.dst_type):
        if vtype not in vertices:
            raise CodecError(f"{whose} join vertices of type {vtype!r}, which the graph does not have; the answer is damaged")
    src = _array(message.src, "<i4", f"{whose}, src")
    scored: AnyArray | None = None
    if scores:
        # Without edges the kind of score is not told; integers become floats among floats, and stay exact among integers.
        kind = message.WhichOneof("score") or "int_scores"
        dtype = "<i8" if kind == "int_scores" else "<f8"
        scored = array_of(getattr(message, kind), dtype, len(src), f"{whose}, scores")
    return Edges(
        operator=message.operator,
        alias=message.alias,
        hop=message.hop,
        type=message.type,
        src_type=message.src_type,
        dst_type=message.dst_type,
        src=src,
        dst=array_of(message.dst, "<i4", len(src), f"{whose}, dst"),
        timestamps=array_of(message.timestamps, "<i8", len(src), f"{whose}, timestamps"),
        columns=read_columns(message.columns, len(src), whose),
        scores=scored,
        sources=len(vertices[message.src_type]),
    )


def _array(data: bytes, dtype: str, what: str) -> AnyArray:
    return array_of(data, dtype, len(data) // np.dtype(dtype).itemsize, what)
