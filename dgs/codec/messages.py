"""Ego-graphs as protobuf: `schemas/proto/dgs/v1/samples.proto`, written without building messages in Python.

A `Recipe` holds, once per query, all bytes that do not depend on the request, and what stands between them; the kernels of
`dgs.core.kernels.gather` copy the columns of a walk right into the answer. It knows nothing of HTTP and looks nothing up; a serving
partition's lookup uses it, and the data plane puts answers together from what that gives.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dgs.core.egograph import Texts
from dgs.core.kernels import gather
from dgs.core.kernels.gather import ELEMENT, PART
from dgs.core.layout import Layout, Layouts
from dgs.core.operators import InstalledQuery
from dgs.core.query import NodeKind, PlanNode
from dgs.core.schema import TIMESTAMP, Schema, ValueType
from dgs.core.strategies import Strategy
from dgs.core.types import Bytes, Int64s, Records
from dgs.wire.samples_pb2 import Column, Edges, Graph, Query, Samples, Vertices
from dgs.wire.samples_pb2 import PlanNode as PlanNodeMessage

MEDIA_TYPE = "application/x-protobuf"
_BYTES = 2
"""The wire type of what has a length."""
_VARINT = 0


def _tag(number: int, wire_type: int = _BYTES) -> int:
    assert number < 16, "kernels write tags of one byte"
    return number << 3 | wire_type


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A string column of a recipe: which element and part it is, and where references stand in a payload."""

    element: int
    part: int
    offset: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the graph of one query is written.

    Attributes:
        elements: ELEMENT, the vertices of each type of the plan, then the edges of each (plan node, destination type).
        parts: PART.
        literals: uint8.
        texts: its string columns.
        presence_bytes: the most that a payload of it begins with.
    """

    elements: Records
    parts: Records
    literals: Bytes
    texts: tuple[TextColumn, ...]
    presence_bytes: int


def groups_of(query: InstalledQuery) -> list[tuple[PlanNode, int]]:
    """Return every (edge node, destination type) of a query, in the order of answers."""
    return [(n, t) for n in query.plan.nodes if n.kind is NodeKind.EDGE_SAMPLER for t in n.dst_types]


def graph_recipe(query: InstalledQuery, layouts: Layouts, *, scores: bool) -> Recipe:
    """Return how graphs of a query are written under these layouts, with or without the scores of edges."""
    return _Recipes(query, layouts, scores).recipe()


class _Recipes:
    """Puts a recipe together."""

    def __init__(self, query: InstalledQuery, layouts: Layouts, scores: bool) -> None:
        self._query, self._layouts, self._scores = query, layouts, scores
        self._elements: list[dict[str, int]] = []
        self._parts: list[dict[str, int]] = []
        self._literals = b""
        self._texts: list[TextColumn] = []
        self._presence_bytes = 1

    def recipe(self) -> Recipe:
        for target, vtype in enumerate(self._query.plan.vertex_types):
            self._vertices(target, self._layouts.vertex[vtype])
        for target, (node, dst_type) in enumerate(groups_of(self._query)):
            self._edges(target, node, dst_type)
        literals: Bytes = np.frombuffer(bytearray(self._literals), np.uint8)
        elements, parts = _records(ELEMENT, self._elements), _records(PART, self._parts)
        return Recipe(elements, parts, literals, tuple(self._texts), self._presence_bytes)

    def _vertices(self, target: int, layout: Layout) -> None:
        self._begin(Graph.VERTICES_FIELD_NUMBER, Vertices(type=layout.element.name), layout, target=target, edges=0)
        self._array(Vertices.IDS_FIELD_NUMBER, gather.IDS, 8)
        self._array(Vertices.KNOWN_FIELD_NUMBER, gather.KNOWN, 1)
        self._columns(layout, Vertices.COLUMNS_FIELD_NUMBER)
        self._end()

    def _edges(self, target: int, node: PlanNode, dst_type: int) -> None:
        assert node.etype is not None, "an edge node without an edge type"
        layout, types = self._layouts.edge[node.etype], self._layouts.schema.vertex_types
        name = layout.element.name
        about = Edges(
            operator=node.id,
            alias=name if node.alias is None else node.alias,
            hop=self._query.plan.hops()[node.id],
            type=name,
            src_type=types[node.vtype].name,
            dst_type=types[dst_type].name,
        )
        self._begin(Graph.EDGES_FIELD_NUMBER, about, layout, target=target, edges=1)
        self._array(Edges.SRC_FIELD_NUMBER, gather.SRC, 4)
        self._array(Edges.DST_FIELD_NUMBER, gather.DST, 4)
        self._array(Edges.TIMESTAMPS_FIELD_NUMBER, gather.TIMESTAMPS, 8)
        self._columns(layout, Edges.COLUMNS_FIELD_NUMBER)
        if self._scores and node.strategy is Strategy.TOPK_BY_TIMESTAMP:
            self._array(Edges.INT_SCORES_FIELD_NUMBER, gather.INT_SCORES, 8)
        elif self._scores:
            self._array(Edges.FLOAT_SCORES_FIELD_NUMBER, gather.FLOAT_SCORES, 8)
        self._end()

    def _begin(self, field: int, about: Any, layout: Layout, *, target: int, edges: int) -> None:
        presence = (len(layout.bits) + 7) // 8
        self._presence_bytes = max(self._presence_bytes, presence)
        literal = self._literal(about)
        element = {"tag": _tag(field), "edges": edges, "target": target, "presence_bytes": presence, "part0": len(self._parts)}
        self._elements.append(element | literal)

    def _end(self) -> None:
        self._elements[-1]["parts"] = len(self._parts) - self._elements[-1]["part0"]

    def _array(self, field: int, source: int, width: int) -> None:
        self._parts.append({"source": source, "tag": _tag(field), "width": width})

    def _columns(self, layout: Layout, field: int) -> None:
        is_edge = self._elements[-1]["edges"]
        for a in layout.element.attributes:
            place = layout.fields.get(a.name)
            if a.name == TIMESTAMP:
                if is_edge:
                    continue
                source, width, length = gather.RECORD_TIMESTAMPS, 8, 1
            elif a.value_type is ValueType.STRING:
                assert place is not None, "a text has its place from the beginning"
                self._texts.append(TextColumn(len(self._elements) - 1, len(self._parts), place.offset))
                source, width, length = gather.TEXTS, 0, 1
            else:
                source = gather.VALUES
                width, length = (0, 0) if place is None else (place.end - place.offset, place.length)
            about = Column(name=a.name, type=a.value_type + 1, length=length)  # type: ignore[arg-type]  # its enum is one more
            self._parts.append(
                {
                    "source": source,
                    "tag": _tag(Column.VALUES_FIELD_NUMBER),
                    "column": _tag(field),
                    "offset": 0 if place is None else place.offset,
                    "width": width,
                    "bit": layout.bits[a.name],
                    "present_tag": _tag(Column.PRESENT_FIELD_NUMBER),
                    "absent_tag": _tag(Column.ABSENT_FIELD_NUMBER, _VARINT),
                    "offsets_tag": _tag(Column.OFFSETS_FIELD_NUMBER),
                }
                | self._literal(about)
            )

    def _literal(self, message: Any) -> dict[str, int]:
        data: bytes = message.SerializeToString()
        place = {"literal": len(self._literals), "literal_bytes": len(data)}
        self._literals += data
        return place


def texts_of(references: Int64s, strings: Texts) -> tuple[bytes, bytes]:
    """Return the values and the offsets of a string column: its texts one after the other, and uint32 [n + 1]."""
    texts = [strings[r].decode("utf-8", "replace").encode() for r in references.tolist()]
    offsets = np.zeros(len(texts) + 1, np.uint32)
    np.cumsum([len(t) for t in texts], out=offsets[1:])
    return b"".join(texts), offsets.tobytes()


def graph_head(seed_type: str) -> bytes:
    """Return what every graph of seeds of a type begins with."""
    return _field(Graph.SEED_TYPE_FIELD_NUMBER, seed_type.encode())


def reflected_fields(positions: Sequence[int], watermark: int | None) -> bytes:
    """Return the fields of a graph that say what it reflects; of a watermark of None, before any data, there is none."""
    fields = _field(Graph.POSITIONS_FIELD_NUMBER, struct.pack(f"<{len(positions)}Q", *positions))
    if watermark is None:
        return fields
    zigzag = watermark << 1 if watermark >= 0 else ~(watermark << 1)
    return fields + bytes((_tag(Graph.WATERMARK_FIELD_NUMBER, _VARINT),)) + _varint(zigzag)


GRAPH_TAGS = bytes(
    (
        _tag(Samples.GRAPHS_FIELD_NUMBER),
        _tag(Graph.SEEDS_FIELD_NUMBER),
        _tag(Graph.ASKED_FIELD_NUMBER),
        _tag(Graph.SEED_ROWS_FIELD_NUMBER),
        _tag(Graph.PENDING_FIELD_NUMBER, _VARINT),
    )
)
"""See `dgs.core.kernels.answer.ROOM`."""


def samples_begin(query: InstalledQuery, schema: Schema, *, generation: int, ready: bool) -> bytes:
    """Return the `Samples` message without its graphs, which follow one after the other.

    Args:
        query: what is answered; its plan travels with the message.
        schema: what the plan was checked against.
        generation: of the deployment.
        ready: whether the query stands in all record partitions.
    """
    name = {number: vtype.name for number, vtype in schema.vertex_types.items()}
    nodes = [
        PlanNodeMessage(id=n.id, type=name[n.vtype], upstreams=n.upstreams, dst_types=[name[t] for t in n.dst_types])
        for n in (query.plan.source, *query.plan.nodes)
    ]
    about = Query(id=query.id, name=query.name, ready=ready, nodes=nodes)
    data: bytes = Samples(query=about, generation=generation, history="full").SerializeToString()
    return data


CATCHING_UP: bytes = Samples(caught_up=False).SerializeToString()
"""Behind a message whose graphs are of a serving partition that has not caught up."""


def _field(number: int, data: bytes) -> bytes:
    return bytes((_tag(number),)) + _varint(len(data)) + data if data else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _records(dtype: "np.dtype[np.void]", rows: Iterable[dict[str, int]]) -> Records:
    rows = list(rows)
    records = np.zeros(len(rows), dtype)
    for i, row in enumerate(rows):
        for name, value in row.items():
            records[i][name] = value
    return records
