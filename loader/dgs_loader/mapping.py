"""Mapping files: which vertex and edge records a JSON event stands for, and where in it their values are.

    {"records": [
        {"when": {"event": "view"}, "edge": "u2i", "src": "user.id", "dst": "item", "timestamp": "at",
         "attributes": {"weight": "score"}}
    ]}

A mapping is checked against the schema as a pattern file is, and gives patterns in the end: one for each type. Rules of one type
share theirs, so that their records keep their order. This module never looks into an event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dgs.core.errors import InputError
from dgs.core.json_text import read_json
from dgs.core.schema import TIMESTAMP, Schema
from dgs_loader.pattern import Pattern, PatternChecker, PatternFile

Path = tuple[str, ...]
"""The steps from an event to one of its values."""
Conditions = tuple[tuple[Path, tuple[Any, ...]], ...]
"""Places in an event, and the values of which each must hold one."""

_Kind = tuple[str, int, int, int]
_COMMON = {"when", "timestamp", "attributes"}
_VERTEX = _COMMON | {"vertex", "id"}
_EDGE = _COMMON | {"edge", "src", "dst", "src_type", "dst_type"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One record that events stand for.

    Attributes:
        when: which events stand for it.
        name: of the pattern that the record's line has.
        pattern: that pattern.
        ids: where the ids are.
        values: where the value of each of the pattern's attributes is; None for those that the rule leaves out.
    """

    when: Conditions
    name: str
    pattern: Pattern
    ids: tuple[Path, ...]
    values: tuple[Path | None, ...]


@dataclass(frozen=True, slots=True)
class EventMapping:
    """All rules of a file, and the patterns of the lines that they make."""

    rules: tuple[Rule, ...]
    patterns: PatternFile

    @staticmethod
    def parse(text: str, schema: Schema) -> "EventMapping":
        """Read the JSON text of a mapping.

        Raises:
            InputError: with everything that is wrong, by record.
        """
        try:
            document = read_json(text, number=str)
        except ValueError as e:
            raise InputError(f"not JSON: {e}") from None
        return _Reader(schema).read(document)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rule before its pattern is known, which others may add attributes to."""

    when: Conditions
    pattern: Pattern
    ids: tuple[Path, ...]
    paths: Mapping[str, Path]


class _Reader:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.check = PatternChecker(schema)

    def read(self, document: Any) -> EventMapping:
        records = document.get("records") if isinstance(document, dict) else None
        if not isinstance(records, list) or not records or set(document) != {"records"}:
            raise InputError('a mapping is {"records": [ … ]}, with one element for each record that events stand for')
        drafts: list[_Draft] = []
        for number, record in enumerate(records, 1):
            self.check.where = f"record {number}"
            if (draft := self.draft(record)) is not None:
                drafts.append(draft)
        if self.check.problems:
            raise InputError(self.check.problems)
        return _completed(drafts)

    def draft(self, record: Any) -> _Draft | None:
        before = len(self.check.problems)
        if not isinstance(record, dict) or ("vertex" in record) == ("edge" in record):
            self.check.problem('it is an object with either "vertex" or "edge", the name of a type')
            return None
        is_edge = "edge" in record
        if unknown := sorted(record.keys() - (_EDGE if is_edge else _VERTEX)):
            self.check.problem(
                f"unknown {', '.join(map(repr, unknown))}; it may have {', '.join(sorted(_EDGE if is_edge else _VERTEX))}"
            )
        when = self.when(record.get("when", {}))
        ids = tuple(self.path(record.get(name), name) for name in (("src", "dst") if is_edge else ("id",)))
        attributes = record.get("attributes", {})
        if not isinstance(attributes, dict):
            self.check.problem('"attributes" is an object: the name of each attribute, and where in the event it is')
            return None
        paths = [(name, self.path(path, name)) for name, path in attributes.items()]
        if "timestamp" in record:
            paths.insert(0, (TIMESTAMP, self.path(record["timestamp"], "timestamp")))
        names = [name for name, _ in paths]
        pattern = self.edge(record, names) if is_edge else self.check.vertex(str(record["vertex"]), names, numbered=False)
        if pattern is None or len(self.check.problems) > before:
            return None
        return _Draft(when, pattern, ids, dict(paths))

    def edge(self, record: Mapping[str, Any], attributes: list[str]) -> Pattern | None:
        name = str(record["edge"])
        ends = [record.get("src_type"), record.get("dst_type")]
        if None in ends and (edge := self.schema.edge_names.get(name)) is not None:
            names = {t.id: t.name for t in self.schema.vertex_types.values()}
            joined = [[names[r.src_type], names[r.dst_type]] for r in self.schema.relations if r.edge_type == edge.id]
            if len(joined) != 1:
                self.check.problem(f'"src_type" and "dst_type" are needed: the schema lets {name!r} join several, or nothing')
                return None
            ends = [given or own for given, own in zip(ends, joined[0], strict=True)]
        return self.check.edge(name, str(ends[0]), str(ends[1]), attributes, numbered=False)

    def when(self, conditions: Any) -> Conditions:
        if not isinstance(conditions, dict):
            self.check.problem('"when" is an object: where in the event a value is, and what it must be')
            return ()
        found = []
        for path, wanted in conditions.items():
            values = wanted if isinstance(wanted, list) else [wanted]
            if any(isinstance(value, list | dict) for value in values):
                self.check.problem(f'"when" {path!r}: it must be one value, or a list of values that will do')
            found.append((self.path(path, "when"), tuple(values)))
        return tuple(found)

    def path(self, path: Any, name: str) -> Path:
        steps = tuple(path.split(".")) if isinstance(path, str) else ()
        if not all(steps) or not steps:
            self.check.problem(f'{name!r} needs a place in the event, like "user.id"' + ("" if path is None else f", not {path!r}"))
        return steps


def _completed(drafts: list[_Draft]) -> EventMapping:
    """Give all rules of one type, between the same ends, one pattern with the attributes of all."""
    used: dict[_Kind, set[str]] = {}
    for draft in drafts:
        used.setdefault(_kind(draft.pattern), set()).update(draft.paths)
    names = {kind: str(number) for number, kind in enumerate(used)}
    rules = []
    for draft in drafts:
        kind = _kind(draft.pattern)
        attributes = tuple(a for a in draft.pattern.element.attributes if a.name in used[kind])
        values = tuple(draft.paths.get(a.name) for a in attributes)
        rules.append(Rule(draft.when, names[kind], replace(draft.pattern, attributes=attributes), draft.ids, values))
    return EventMapping(tuple(rules), PatternFile({rule.name: rule.pattern for rule in rules}, ()))


def _kind(pattern: Pattern) -> _Kind:
    return pattern.kind, pattern.element.id, pattern.src_type, pattern.dst_type
