"""The answer to a request: a seed's sampled K-hop neighbourhood as a graph, each vertex once, each sampled edge once.

Columns, not objects: `src` and `dst` of edges are rows of the vertices of their type, so a pair of them is an `edge_index` as PyG
and graphlearn-torch have it.
"""

from dataclasses import dataclass
from typing import Protocol

from dgs.core.query import PlanNode
from dgs.core.types import Bytes, Int8s, Int32s, Int64s, UInt64s

NOT_LOOKED_FOR = -1
"""`Vertices.known` of a vertex that no vertex operator of the plan covers."""


class Texts(Protocol):
    """Where the string references of payloads lead."""

    def __getitem__(self, reference: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Vertices:
    """The vertices of one type in an ego-graph.

    Attributes:
        vtype: vertex type.
        ids: int64 [n], without repetition; of the seed's type the seed comes first.
        known: int8 [n]: 1 a record has arrived, 0 none has, NOT_LOOKED_FOR the plan does not look there.
        timestamps: int64 [n], of the newest record; 0 where there is none.
        payload: uint8 [n, width], all zero (absent) where there is no record.
    """

    vtype: int
    ids: Int64s
    known: Int8s
    timestamps: Int64s
    payload: Bytes


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges that one plan node sampled towards one destination type. Edges of one source stand together, best first.

    Attributes:
        node: the plan node.
        hop: its shortest distance from the seed.
        dst_type: vertex type of the destinations.
        src: int32 [m], rows of the vertices of the node's type.
        dst: int32 [m], rows of the vertices of `dst_type`.
        timestamps: int64 [m].
        scores: uint64 [m], order-preserving bits of the score.
        payload: uint8 [m, width].
    """

    node: PlanNode
    hop: int
    dst_type: int
    src: Int32s
    dst: Int32s
    timestamps: Int64s
    scores: UInt64s
    payload: Bytes


@dataclass(frozen=True, slots=True)
class EgoGraph:
    """A seed's ego-graph. `pending` counts rows of it that have been asked for and not arrived yet.

    `vertices` has every vertex type that the plan names, also those without a vertex, so that rows of edges always lead somewhere.

    The arrays are the caller's own; string references in payloads are looked up in `strings` and hold until the next update.
    """

    seed: int
    seed_type: int
    vertices: dict[int, Vertices]
    edges: list[Edges]
    pending: int
    strings: Texts


@dataclass(frozen=True, slots=True)
class Reflected:
    """What a serving partition's answers reflect.

    Attributes:
        positions: per record partition, the position before which everything is reflected.
        watermark: the smallest, over the record partitions that have data, of the largest event time seen; None before any data.
    """

    positions: list[int]
    watermark: int | None
