"""Pattern files: which columns the lines of each vertex or edge type have.

    #VERTEX:user,#ID,timestamp,feature
    #EDGE:u2i,#SRC:user,#DST:item,timestamp,weight

A data line begins with the bare type name; ids and attribute values follow in the order of the pattern. Blank lines are skipped;
other lines are reported in `ignored` and skipped, as the reference does. A mapping makes patterns as well, for the lines that stand
for JSON events. This module never reads data files.
"""

from collections.abc import Mapping, Sequence
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
        numbered: whether those who wrote the input know columns by their numbers.
    """

    kind: str
    element: ElementType
    src_type: int
    dst_type: int
    attributes: tuple[Attribute, ...]
    numbered: bool = True

    @property
    def id_columns(self) -> tuple[str, ...]:
        """Names of the id columns, which follow the type name."""
        return ("source", "destination") if self.kind == "edge" else ("id",)

    @property
    def columns(self) -> int:
        """Number of columns of a line, the type name included."""
        return 1 + len(self.id_columns) + len(self.attributes)

    def place(self, column: int, name: str) -> str:
        """Return what a message calls a column; `column` is its number, from 1."""
        return f"column {column} ({name})" if self.numbered else name


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


class PatternChecker:
    """Makes patterns that fit the schema, and collects what is wrong with the others.

    Attributes:
        where: what messages begin with; set by the caller.
        problems: found so far.
    """

    def __init__(self, schema: Schema) -> None:
        self.where = ""
        self.problems: list[str] = []
        self._schema = schema

    def problem(self, text: str) -> None:
        """Take note of something that is wrong."""
        self.problems.append(f"{self.where}: {text}")

    def vertex(self, name: str, attributes: Sequence[str], *, numbered: bool = True) -> Pattern | None:
        """Return the pattern of a vertex type, None where something is wrong."""
        element = self._named("vertex type", name, self._schema.vertex_names)
        found = self._attributes(element, attributes)
        return None if element is None else Pattern("vertex", element, -1, -1, found, numbered)

    def edge(self, name: str, src: str, dst: str, attributes: Sequence[str], *, numbered: bool = True) -> Pattern | None:
        """Return the pattern of an edge type between two vertex types, None where something is wrong."""
        element = self._named("edge type", name, self._schema.edge_names)
        src_type = self._named("vertex type", src, self._schema.vertex_names)
        dst_type = self._named("vertex type", dst, self._schema.vertex_names)
        found = self._attributes(element, attributes)
        if TIMESTAMP not in attributes:
            self.problem(f"no {'column ' if numbered else ''}{TIMESTAMP!r}, which every edge needs")
        if element is None or src_type is None or dst_type is None:
            return None
        if dst_type.id not in self._schema.destinations(element.id, src_type.id):
            relations = [r for r in self._schema.relations if r.edge_type == element.id]
            names = {t.id: t.name for t in self._schema.vertex_types.values()}
            joins = " or ".join(f"{names[r.src_type]} to {names[r.dst_type]}" for r in relations) or "nothing"
            self.problem(f"the schema lets {element.name!r} join {joins} (or the reverse), not {src_type.name} to {dst_type.name}")
        return Pattern("edge", element, src_type.id, dst_type.id, found, numbered)

    def _named(self, what: str, name: str, known: Mapping[str, ElementType]) -> ElementType | None:
        found = known.get(name)
        if found is None:
            self.problem(f"the schema has no {what} {name!r}; it has {', '.join(sorted(known)) or 'none'}")
        return found

    def _attributes(self, element: ElementType | None, names: Sequence[str]) -> tuple[Attribute, ...]:
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


class _Reader:
    def __init__(self, schema: Schema, delimiter: str) -> None:
        self.delimiter = delimiter
        self.check = PatternChecker(schema)

    def read(self, text: str) -> PatternFile:
        patterns: dict[str, Pattern] = {}
        ignored: list[str] = []
        check = self.check
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            check.where = f"line {number}"
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
                ignored.append(f"{check.where}: {columns[0]!r} is neither {VERTEX}NAME nor {EDGE}NAME; ignored")
                continue
            if pattern is not None:
                name = pattern.element.name
                if patterns.setdefault(name, pattern) != pattern:
                    check.problem(f"{name!r} has another pattern already: a data line could mean either")
        problems = check.problems
        if not patterns and not problems:
            problems.append(f"no line begins with {VERTEX}NAME or {EDGE}NAME; is the delimiter {self.delimiter!r} right?")
        if problems:
            raise InputError(problems)
        return PatternFile(patterns, tuple(ignored))

    def vertex(self, columns: list[str]) -> Pattern | None:
        if len(columns) < 2 or not columns[1].startswith("#"):
            self.check.problem("column 2 of a vertex must be #ID")
            return None
        return self.check.vertex(columns[0].removeprefix(VERTEX), columns[2:])

    def edge(self, columns: list[str]) -> Pattern | None:
        if len(columns) < 3 or not columns[1].startswith(SRC) or not columns[2].startswith(DST):
            self.check.problem(f"columns 2 and 3 of an edge must be {SRC}VERTEX TYPE and {DST}VERTEX TYPE")
            return None
        src, dst = columns[1].removeprefix(SRC), columns[2].removeprefix(DST)
        return self.check.edge(columns[0].removeprefix(EDGE), src, dst, columns[3:])
