"""Pattern files: which columns the lines of each vertex or edge type have.

    #VERTEX:user,#ID,timestamp,feature
    #EDGE:u2i,#SRC:user,#DST:item,timestamp,weight

A data line begins with the bare type name; ids and attribute values follow in the order of the pattern. Blank lines are skipped;
other lines are reported in `ignored` and skipped, as the reference does. This module never reads data files.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dgs.core.errors import InputError
from dgs.core.schema import TIMESTAMP, Attribute, ElementType, Schema

VERTEX, EDGE, SRC, DST = "#VERTEX:", "#EDGE:", "#SRC:", "#DST:"


@dataclass(frozen=True, slots=True)
class Pattern:
    """The columns of one type's lines.

    Attributes:
        kind: "vertex" or "edge".
        element: the vertex or edge type.
        src_type, dst_type: vertex types of an edge's ends; -1 for vertices.
        attributes: of the columns after the ids, in order.
    """

    kind: str
    element: ElementType
    src_type: int
    dst_type: int
    attributes: tuple[Attribute, ...]

    @property
    def id_columns(self) -> tuple[str, ...]:
        """Names of the id columns, which follow the type name."""
        return ("source", "destination") if self.kind == "edge" else ("id",)

    @property
    def columns(self) -> int:
        """Number of columns of a line, the type name included."""
        return 1 + len(self.id_columns) + len(self.attributes)


@dataclass(frozen=True, slots=True)
class PatternFile:
    """All patterns of a file by type name, and its lines that are no pattern, as `line N: …`."""

    patterns: Mapping[str, Pattern]
    ignored: tuple[str, ...]

    @staticmethod
    def parse(text: str, schema: Schema, delimiter: str = ",") -> "PatternFile":
        """Read a pattern file.

        Raises:
            InputError: with everything that is wrong, by line.
        """
        return _Reader(schema, delimiter).read(text)


class _Reader:
    def __init__(self, schema: Schema, delimiter: str) -> None:
        self.schema = schema
        self.delimiter = delimiter
        self.problems: list[str] = []
        self.where = ""

    def read(self, text: str) -> PatternFile:
        patterns: dict[str, Pattern] = {}
        ignored: list[str] = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            self.where = f"line {number}"
            if not line.strip():
                continue
            columns = line.removesuffix("\r").split(self.delimiter)
            if len(columns) > 1 and not columns[-1]:
                columns.pop()
            if columns[0].startswith(VERTEX):
                pattern = self.vertex(columns)
            elif columns[0].startswith(EDGE):
                pattern = self.edge(columns)
            else:
                ignored.append(f"{self.where}: {columns[0]!r} is neither {VERTEX}NAME nor {EDGE}NAME; ignored")
                continue
            if pattern is not None:
                name = pattern.element.name
                if patterns.setdefault(name, pattern) != pattern:
                    self.problem(f"{name!r} has another pattern already: a data line could mean either")
        if not patterns and not self.problems:
            self.problems.append(f"no line begins with {VERTEX}NAME or {EDGE}NAME; is the delimiter {self.delimiter!r} right?")
        if self.problems:
            raise InputError(self.problems)
        return PatternFile(patterns, tuple(ignored))

    def problem(self, text: str) -> None:
        self.problems.append(f"{self.where}: {text}")

    def vertex(self, columns: list[str]) -> Pattern | None:
        element = self.named("vertex type", columns[0].removeprefix(VERTEX), self.schema.vertex_names)
        if len(columns) < 2 or not columns[1].startswith("#"):
            self.problem("column 2 of a vertex must be #ID")
            return None
        attributes = self.attributes(element, columns[2:])
        return None if element is None else Pattern("vertex", element, -1, -1, attributes)

    def edge(self, columns: list[str]) -> Pattern | None:
        element = self.named("edge type", columns[0].removeprefix(EDGE), self.schema.edge_names)
        if len(columns) < 3 or not columns[1].startswith(SRC) or not columns[2].startswith(DST):
            self.problem(f"columns 2 and 3 of an edge must be {SRC}VERTEX TYPE and {DST}VERTEX TYPE")
            return None
        src = self.named("vertex type", columns[1].removeprefix(SRC), self.schema.vertex_names)
        dst = self.named("vertex type", columns[2].removeprefix(DST), self.schema.vertex_names)
        attributes = self.attributes(element, columns[3:])
        if TIMESTAMP not in columns[3:]:
            self.problem(f"no column {TIMESTAMP!r}, which every edge needs")
        if element is None or src is None or dst is None:
            return None
        if dst.id not in self.schema.destinations(element.id, src.id):
            relations = [r for r in self.schema.relations if r.edge_type == element.id]
            names = {t.id: t.name for t in self.schema.vertex_types.values()}
            joins = " or ".join(f"{names[r.src_type]} to {names[r.dst_type]}" for r in relations) or "nothing"
            self.problem(f"the schema lets {element.name!r} join {joins} (or the reverse), not {src.name} to {dst.name}")
        return Pattern("edge", element, src.id, dst.id, attributes)

    def named(self, what: str, name: str, known: Mapping[str, ElementType]) -> ElementType | None:
        found = known.get(name)
        if found is None:
            self.problem(f"the schema has no {what} {name!r}; it has {', '.join(sorted(known)) or 'none'}")
        return found

    def attributes(self, element: ElementType | None, names: list[str]) -> tuple[Attribute, ...]:
        if element is None:
            return ()
        found: list[Attribute] = []
        for name in names:
            attribute = element.attribute(name)
            if attribute is None:
                has = ", ".join(a.name for a in element.attributes) or "none"
                self.problem(f"{element.name!r} has no attribute {name!r}; it has {has}")
            elif attribute in found:
                self.problem(f"the attribute {name!r} stands twice")
            else:
                found.append(attribute)
        return tuple(found)
