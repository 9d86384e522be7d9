"""Ego-graphs as JSON: what `/samples` answers, a graph in columns.

Columns without nulls go from numpy to text uncopied; only strings and columns with nulls are walked in Python. It knows nothing of
HTTP and never asks a serving partition for anything; the data plane calls it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from dgs.core.egograph import NOT_LOOKED_FOR, Edges, EgoGraph, Texts, Vertices
from dgs.core.layout import Layout, Layouts
from dgs.core.operators import InstalledQuery
from dgs.core.schema import TIMESTAMP, ValueType
from dgs.core.strategies import Strategy
from dgs.core.types import AnyArray, Bools, Bytes, Int8s, Int64s

_KNOWN = (False, True, None)
"""By `Vertices.known`; NOT_LOOKED_FOR is -1 and so takes the last."""
assert NOT_LOOKED_FOR == -1, "the last element would not be its"
_SIGN = np.int64(-(1 << 63))
_NOT_LOOKED_FOR_BYTE = NOT_LOOKED_FOR & 0xFF


@dataclass(frozen=True, slots=True)
class AnswerHeader:
    """What an answer says besides the graph.

    Attributes:
        generation: of the deployment.
        positions: per record partition, the position before which everything is reflected.
        watermark: smallest, over the partitions with data, of the largest event time seen; None before any data.
        ready: whether the query is active in all partitions.
        caught_up: whether the serving partition has read all that stood in its log when it started.
    """

    generation: int
    positions: Sequence[int]
    watermark: int | None
    ready: bool
    caught_up: bool = True


def answer_json(ego: EgoGraph, query: InstalledQuery, layouts: Layouts, header: AnswerHeader, *, scores: bool = False) -> bytes:
    """Return the JSON object of one ego-graph.

    Numbers that are FLOAT32 appear with the fewest digits that read back as the same float32. Text that is not UTF-8 has its wrong
    bytes replaced by U+FFFD, as JSON cannot hold them.

    Args:
        ego: the ego-graph; its payloads may be of an older layout than `layouts`.
        query: the query that it answers.
        layouts: the layouts that its serving partition has.
        header: the rest of the answer.
        scores: whether edges have a column of what they were chosen by.
    """
    schema = layouts.schema
    seeds = ego.vertices[ego.seed_type]
    document = {
        "query": {"id": query.id, "name": query.name, "ready": header.ready},
        "seed": {"type": schema.vertex_types[ego.seed_type].name, "id": ego.seed, "known": _KNOWN[seeds.known[0]]},
        "generation": header.generation,
        "positions": header.positions,
        "watermark": header.watermark,
        "pending": ego.pending,
        **({} if header.caught_up else {"caught_up": False}),
        "history": "full",
        "vertices": {
            schema.vertex_types[v.vtype].name: _vertices(v, layouts.vertex[v.vtype], ego.strings) for v in ego.vertices.values()
        },
        "edges": [_edges(e, layouts, ego.strings) | (_scores(e) if scores else {}) for e in ego.edges],
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def answers_json(answers: Iterable[bytes]) -> bytes:
    """Return the JSON object of many answers, each made by `answer_json`, in their order."""
    return b'{"samples":[' + b",".join(answers) + b"]}"


def _vertices(vertices: Vertices, layout: Layout, strings: Texts) -> dict[str, Any]:
    columns = _Columns(layout, vertices.payload, strings)
    attributes: dict[str, Any] = {}
    for a in layout.element.attributes:
        attributes[a.name] = columns.timestamps(vertices.timestamps) if a.name == TIMESTAMP else columns.column(a.name)
    return {"ids": np.ascontiguousarray(vertices.ids), "known": _known(vertices.known), "attrs": attributes}


def _edges(edges: Edges, layouts: Layouts, strings: Texts) -> dict[str, Any]:
    node, schema = edges.node, layouts.schema
    assert node.etype is not None, "edges of a node that samples none"
    layout = layouts.edge[node.etype]
    columns = _Columns(layout, edges.payload, strings)
    name = layout.element.name
    return {
        "operator": node.id,
        "alias": name if node.alias is None else node.alias,
        "hop": edges.hop,
        "type": name,
        "src_type": schema.vertex_types[node.vtype].name,
        "dst_type": schema.vertex_types[edges.dst_type].name,
        "src": np.ascontiguousarray(edges.src),
        "dst": np.ascontiguousarray(edges.dst),
        "timestamp": np.ascontiguousarray(edges.timestamps),
        "attrs": {a.name: columns.column(a.name) for a in layout.element.attributes if a.name != TIMESTAMP},
    }


def _scores(edges: Edges) -> dict[str, Any]:
    """Scores as numbers again, see `dgs.core.strategies.order_of_int` and `order_of_float`."""
    bits: Int64s = np.ascontiguousarray(edges.scores).view(np.int64)
    if edges.node.strategy is Strategy.TOPK_BY_TIMESTAMP:
        return {"score": bits ^ _SIGN}
    return {"score": np.where(bits < 0, bits ^ _SIGN, ~bits).view(np.float64)}


def _known(known: Int8s) -> Any:
    if _NOT_LOOKED_FOR_BYTE not in known.tobytes():  # a tenth of the price of known.min()
        return known.astype(np.bool_)
    return [_KNOWN[k] for k in known.tolist()]


class _Columns:
    """Takes the columns of attributes out of payloads."""

    def __init__(self, layout: Layout, payload: Bytes, strings: Texts) -> None:
        self.layout = layout
        self.payload = layout.widen(payload)
        self.strings = strings
        # Presence bits of all attributes at once, as most attributes are there in every row. Of no rows this gives every bit.
        self.in_all: list[int] = np.bitwise_and.reduce(self.payload[:, : (len(layout.bits) + 7) // 8], axis=0).tolist()

    def column(self, name: str) -> Any:
        """The values of an attribute, None where it is absent."""
        field, present = self.layout.fields.get(name), self.present(name)
        if field is None or present is False:
            # A list whose length nobody has told yet has no place in any payload.
            return [None] * len(self.payload)
        values = self.layout.column(self.payload, name)
        if field.attribute.value_type is ValueType.STRING:
            texts = self.strings
            column: Any = [texts[reference].decode("utf-8", "replace") for reference in values.tolist()]
        else:
            column = values
        return column if present is True else _with_nulls(column, present)

    def timestamps(self, values: AnyArray) -> Any:
        """The same of the timestamps, which stand apart from the payload."""
        present = self.present(TIMESTAMP)
        if present is False:
            return [None] * len(values)
        return np.ascontiguousarray(values) if present is True else _with_nulls(values, present)

    def present(self, name: str) -> bool | Bools:
        """True or False where all rows agree; of no rows it says True."""
        bit = self.layout.bits[name]
        flag = 1 << (bit & 7)
        if self.in_all[bit >> 3] & flag:
            return True
        present = self.layout.present(self.payload, name)
        return bool(present.any()) and present


def _with_nulls(values: Iterable[Any], present: Bools) -> list[Any]:
    # Elements stay numpy scalars and rows: `tolist` would print a float32 with the digits of a float64.
    column = list(values)
    for row in np.flatnonzero(~present).tolist():
        column[row] = None
    return column
