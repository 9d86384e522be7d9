"""The graph schema: attribute, vertex and edge types, and which vertex types an edge type joins.

Read from the reference's JSON unchanged; the only addition is an optional `"dim"` of a list attribute. A schema is fixed for the
life of a deployment. This module never touches files; `Schema.parse` gets text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, TypeGuard

from dgs.core.errors import SchemaError
from dgs.core.json_text import read_json

TIMESTAMP = "timestamp"
"""The attribute that holds event time: int64, required on edges, optional on vertices."""
DIM_MAX = 65536
"""The largest dimension that a list attribute can have."""
WEIGHT = "weight"
"""The edge attribute that weighs an edge unless an operator names another."""


class ValueType(IntEnum):
    """The nine value types, with the reference's codes."""

    INT32 = 0
    INT32_LIST = 1
    INT64 = 2
    INT64_LIST = 3
    FLOAT32 = 4
    FLOAT32_LIST = 5
    FLOAT64 = 6
    FLOAT64_LIST = 7
    STRING = 8

    @property
    def is_list(self) -> bool:
        """Whether a value is a list of numbers."""
        return self is not ValueType.STRING and bool(self & 1)

    @property
    def is_numeric(self) -> bool:
        """Whether a value is one number."""
        return self is not ValueType.STRING and not self & 1

    @property
    def is_float(self) -> bool:
        """Whether the numbers are floating-point."""
        return ValueType.FLOAT32 <= self <= ValueType.FLOAT64_LIST

    @property
    def dtype(self) -> str:
        """The little-endian numpy dtype of one element; of a string, that of its reference."""
        return ("<i4", "<i8", "<f4", "<f8", "<u8")[self >> 1]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute definition; `dim` is the fixed length of a list, where the schema states one."""

    id: int
    name: str
    value_type: ValueType
    dim: int | None = None


@dataclass(frozen=True, slots=True)
class ElementType:
    """A vertex type or an edge type: its id, its name, and its attributes in the schema's order."""

    id: int
    name: str
    attributes: tuple[Attribute, ...]

    def attribute(self, name: str) -> Attribute | None:
        """Return the attribute of that name, if the type has it."""
        return next((a for a in self.attributes if a.name == name), None)


@dataclass(frozen=True, slots=True)
class Relation:
    """An edge type may join these vertex types; its reverse is valid data for the same edge type."""

    edge_type: int
    src_type: int
    dst_type: int


@dataclass(frozen=True)
class Schema:
    """A checked schema. `text` is the JSON that it was read from, given back verbatim to those who ask; `document` is its value."""

    text: str

    document: Mapping[str, Any]
    attributes: Mapping[int, Attribute]
    vertex_types: Mapping[int, ElementType]
    edge_types: Mapping[int, ElementType]
    relations: tuple[Relation, ...]

    @staticmethod
    def parse(text: str | bytes) -> "Schema":
        """Read the JSON text of a schema.

        Raises:
            SchemaError: with every problem found.
        """
        try:
            text = text if isinstance(text, str) else text.decode()
            document = read_json(text)
        except ValueError as e:
            raise SchemaError(f"the schema is not JSON: {e}") from None
        return _Reader().read(document, text)

    @cached_property
    def vertex_names(self) -> dict[str, ElementType]:
        """Vertex types by name."""
        return {t.name: t for t in self.vertex_types.values()}

    @cached_property
    def edge_names(self) -> dict[str, ElementType]:
        """Edge types by name."""
        return {t.name: t for t in self.edge_types.values()}

    @cached_property
    def _joined(self) -> dict[tuple[int, int], tuple[int, ...]]:
        joined: dict[tuple[int, int], dict[int, None]] = {}
        for r in self.relations:
            joined.setdefault((r.edge_type, r.src_type), {})[r.dst_type] = None
        for r in self.relations:
            joined.setdefault((r.edge_type, r.dst_type), {})[r.src_type] = None
        return {key: tuple(types) for key, types in joined.items()}

    def destinations(self, edge_type: int, src_type: int) -> tuple[int, ...]:
        """Return the vertex types that edges of this type may lead to from this source type, reversed edges included."""
        return self._joined.get((edge_type, src_type), ())


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a JSON value is a text that can be written again; a lone surrogate, which JSON can spell, cannot."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


class _Reader:
    """Reads a schema document and collects every problem."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, document: Any, text: str) -> Schema:
        if not isinstance(document, dict):
            raise SchemaError("a schema is a JSON object with attr_defs, vertex_defs, edge_defs and edge_relation_defs")
        attributes = self.attributes(document)
        vertex_types = self.element_types(document, "vertex_defs", "vtype", attributes)
        edge_types = self.element_types(document, "edge_defs", "etype", attributes)
        for t in edge_types.values():
            if t.attribute(TIMESTAMP) is None:
                self.problems.append(f"edge_defs: {t.name!r} has no attribute {TIMESTAMP!r}, which every edge needs")
        relations = self.relations(document, vertex_types, edge_types)
        if self.problems:
            raise SchemaError(self.problems)
        return Schema(text, document, attributes, vertex_types, edge_types, relations)

    def items(self, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
        value = document.get(key)
        if not isinstance(value, list) or not all(isinstance(x, dict) for x in value):
            self.problems.append(f"{key} must be an array of objects")
            return []
        return value

    def integer(self, item: dict[str, Any], key: str, where: str) -> int | None:
        value = item.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
            self.problems.append(f"{where}: {key} must be an integer from 0 to 2**31 - 1, not {value!r}")
            return None
        return value

    def name(self, item: dict[str, Any], where: str, taken: set[str]) -> str | None:
        value = item.get("name")
        if not is_text(value) or not value:
            self.problems.append(f"{where}: name must be a text, not {value!r}")
            return None
        if value in taken:
            self.problems.append(f"{where}: the name {value!r} is used twice")
        taken.add(value)
        return value

    def attributes(self, document: dict[str, Any]) -> dict[int, Attribute]:
        found: dict[int, Attribute] = {}
        names: set[str] = set()
        for i, item in enumerate(self.items(document, "attr_defs")):
            where = f"attr_defs[{i}]"
            number, name = self.integer(item, "type", where), self.name(item, where, names)
            value_type = self.value_type(item.get("value_type"), where)
            dim = item.get("dim")
            if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= DIM_MAX):
                self.problems.append(f"{where}: dim must be an integer from 1 to {DIM_MAX}, not {dim!r}")
                dim = None
            if number is None or name is None or value_type is None:
                continue
            if dim is not None and not value_type.is_list:
                self.problems.append(f"{where}: {name!r} has a dim but is no list")
            if name == TIMESTAMP and value_type is not ValueType.INT64:
                self.problems.append(f"{where}: {TIMESTAMP!r} must be INT64, not {value_type.name}")
            if number in found:
                self.problems.append(f"{where}: attribute type {number} is used twice")
            found[number] = Attribute(number, name, value_type, dim)
        return found

    def value_type(self, value: Any, where: str) -> ValueType | None:
        if isinstance(value, str) and value in ValueType.__members__:
            return ValueType[value]
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(ValueType):
            return ValueType(value)
        self.problems.append(f"{where}: value_type {value!r} is none of {', '.join(ValueType.__members__)}")
        return None

    def element_types(
        self, document: dict[str, Any], key: str, id_key: str, attributes: dict[int, Attribute]
    ) -> dict[int, ElementType]:
        found: dict[int, ElementType] = {}
        names: set[str] = set()
        for i, item in enumerate(self.items(document, key)):
            where = f"{key}[{i}]"
            number, name = self.integer(item, id_key, where), self.name(item, where, names)
            attr_types = item.get("attr_types", [])
            if not isinstance(attr_types, list):
                self.problems.append(f"{where}: attr_types must be an array")
                attr_types = []
            for a in attr_types:
                if isinstance(a, bool) or not isinstance(a, int) or a not in attributes:
                    self.problems.append(f"{where}: attr_types names {a!r}, which attr_defs does not define")
            if len(set(map(repr, attr_types))) != len(attr_types):
                self.problems.append(f"{where}: attr_types names an attribute twice")
            if number is None or name is None:
                continue
            if number in found:
                self.problems.append(f"{where}: {id_key} {number} is used twice")
            own = tuple(attributes[a] for a in attr_types if isinstance(a, int) and a in attributes)
            found[number] = ElementType(number, name, own)
        return found

    def relations(
        self, document: dict[str, Any], vertex_types: dict[int, ElementType], edge_types: dict[int, ElementType]
    ) -> tuple[Relation, ...]:
        found: list[Relation] = []
        for i, item in enumerate(self.items(document, "edge_relation_defs")):
            where = f"edge_relation_defs[{i}]"
            etype = self.integer(item, "etype", where)
            src, dst = self.integer(item, "src_vtype", where), self.integer(item, "dst_vtype", where)
            if etype is None or src is None or dst is None:
                continue
            if etype not in edge_types:
                self.problems.append(f"{where}: etype {etype} is not in edge_defs")
            for key, vtype in (("src_vtype", src), ("dst_vtype", dst)):
                if vtype not in vertex_types:
                    self.problems.append(f"{where}: {key} {vtype} is not in vertex_defs")
            found.append(Relation(etype, src, dst))
        return tuple(found)
