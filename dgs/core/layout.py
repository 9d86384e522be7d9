"""Payloads: the attributes of one record as a fixed number of bytes.

A payload is a bitmap of the attributes that are present (one bit each, in the schema's order), followed by the values, little
endian, unaligned. Loaders write payloads; samplers and serving partitions carry them unread; the answer takes columns out of them
again. Strings stand as 8-byte references whose meaning belongs to the holder (an index from 1 into the strings of a log entry, a
reference of a `StringTable`); 0 is the empty text.

A list has a place only once its dimension is known: from the schema, or confirmed later. Lists confirmed later are appended in
the order of confirmation, so a payload of an older layout is a prefix of one of a newer layout, padded with zeros: absent.

The timestamp is not in the values (rows and records keep it apart), but its bit says whether the record had one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dgs.core.schema import DIM_MAX, TIMESTAMP, Attribute, ElementType, Schema, ValueType
from dgs.core.types import AnyArray, Bools, Bytes

_ITEM_BYTES = tuple(np.dtype(t.dtype).itemsize for t in ValueType)


@dataclass(frozen=True, slots=True)
class Dimension:
    """The confirmed length of a list attribute of one type. `kind` is "vertex" or "edge"."""

    kind: str
    type: int
    attribute: int
    dim: int


@dataclass(frozen=True, slots=True)
class Field:
    """Where an attribute stands in a payload; `length` is the number of elements (1 unless a list)."""

    attribute: Attribute
    bit: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset just behind the value."""
        return self.offset + self.length * _ITEM_BYTES[self.attribute.value_type]


class Layout:
    """The payload layout of one vertex or edge type; immutable.

    Attributes:
        element: the type.
        fields: the attributes that have a place, by name; the timestamp is not among them.
        width: bytes of a payload, at least 1.
        widths: those that payloads of this type may have: `width`, and what it was before each later dimension.
        bits: bit number of each attribute, the timestamp included, by name.
        string_offsets: offsets of the string references.
    """

    def __init__(self, element: ElementType, dims: Sequence[Dimension] = ()) -> None:
        self.element = element
        self.bits = {a.name: i for i, a in enumerate(element.attributes)}
        self.fields: dict[str, Field] = {}
        end = max(1, (len(self.bits) + 7) // 8)
        confirmed = {d.attribute: d.dim for d in dims}
        sized = [(a, a.dim or 1) for a in element.attributes if a.dim or not a.value_type.is_list]
        by_id = {a.id: a for a in element.attributes}
        late = [(by_id[d.attribute], confirmed[d.attribute]) for d in dims if by_id[d.attribute].dim is None]
        widths = []
        for place, (attribute, length) in enumerate(sized + late):
            if place >= len(sized):
                widths.append(end)
            if attribute.name == TIMESTAMP:
                continue
            field = Field(attribute, self.bits[attribute.name], end, length)
            self.fields[attribute.name] = field
            end = field.end
        self.width = end
        self.widths = frozenset([*widths, end])
        self.string_offsets = tuple(f.offset for f in self.fields.values() if f.attribute.value_type is ValueType.STRING)

    def pack(self, count: int, columns: Mapping[str, tuple[AnyArray, Bools | None]]) -> Bytes:
        """Make payloads from columns.

        Args:
            count: number of records n.
            columns: by attribute name: values of shape [n], or [n, dim] for lists (strings: uint64 references; timestamps:
                ignored), and which of them are present, bool [n]; None means all.

        Returns:
            uint8 [n, width]. Attributes without a column are absent.
        """
        payload: Bytes = np.zeros((count, self.width), np.uint8)
        for name, (values, present) in columns.items():
            bit = self.bits[name]
            flag = np.uint8(1 << (bit & 7))
            payload[:, bit >> 3] |= flag if present is None else np.where(present, flag, np.uint8(0))
            field = self.fields.get(name)
            if field is None:
                continue
            raw = np.ascontiguousarray(values, field.attribute.value_type.dtype).reshape(count, field.length).view(np.uint8)
            payload[:, field.offset : field.end] = raw if present is None else np.where(present[:, None], raw, 0)
        return payload

    def present(self, payload: Bytes, name: str) -> Bools:
        """Return which of the payloads (uint8 [n, width]) have the attribute: bool [n]."""
        bit = self.bits[name]
        return (payload[:, bit >> 3] >> np.uint8(bit & 7) & 1).astype(np.bool_)

    def column(self, payload: Bytes, name: str) -> AnyArray:
        """Return the values of an attribute that has a place: [n], or [n, dim] for a list; absent ones are zero."""
        field = self.fields[name]
        raw = np.ascontiguousarray(payload[:, field.offset : field.end])
        values: AnyArray = raw.view(field.attribute.value_type.dtype)
        return values if field.attribute.value_type.is_list else values[:, 0]

    def widen(self, payload: Bytes) -> Bytes:
        """Return payloads of an older layout of this type in this one."""
        if payload.shape[1] == self.width:
            return payload
        wide: Bytes = np.zeros((payload.shape[0], self.width), np.uint8)
        wide[:, : payload.shape[1]] = payload
        return wide


class Layouts:
    """The layouts of all types of a schema under the dimensions confirmed so far, in their order; immutable."""

    def __init__(self, schema: Schema, dims: Sequence[Dimension] = ()) -> None:
        self.schema = schema
        self.dims = tuple(dims)
        self.vertex = {i: Layout(t, self._of("vertex", i)) for i, t in schema.vertex_types.items()}
        self.edge = {i: Layout(t, self._of("edge", i)) for i, t in schema.edge_types.items()}

    def _of(self, kind: str, type_id: int) -> list[Dimension]:
        return [d for d in self.dims if d.kind == kind and d.type == type_id]

    def lacks(self, dimension: Dimension) -> bool:
        """Whether the dimension is one that a list of the schema can have and that is not fixed yet."""
        types = {"vertex": self.schema.vertex_types, "edge": self.schema.edge_types}.get(dimension.kind, {})
        element = types.get(dimension.type)
        attribute = next((a for a in element.attributes if a.id == dimension.attribute), None) if element is not None else None
        if attribute is None or not attribute.value_type.is_list or attribute.dim is not None:
            return False
        fixed = {(d.kind, d.type, d.attribute) for d in self.dims}
        return 1 <= dimension.dim <= DIM_MAX and (dimension.kind, dimension.type, dimension.attribute) not in fixed

    def confirmed(self, dimension: Dimension) -> "Layouts":
        """Return the layouts with one more dimension."""
        return Layouts(self.schema, (*self.dims, dimension))

    def to_json(self) -> list[dict[str, Any]]:
        """Return the dimensions as they are told to loaders, in order."""
        return [{"kind": d.kind, "type": d.type, "attribute": d.attribute, "dim": d.dim} for d in self.dims]

    @staticmethod
    def from_json(schema: Schema, dims: Sequence[Mapping[str, Any]]) -> "Layouts":
        """Read what `to_json` wrote."""
        return Layouts(schema, [Dimension(d["kind"], d["type"], d["attribute"], d["dim"]) for d in dims])
