"""JSON events of a topic as the lines that the parser reads: each event stands for the records that the mapping has for it.

A number goes into the line as it was written, so it is as exact as in a file, and the parser alone says what a record is. What is
already wrong with an event, or with the shape of one of its values, becomes a dead letter here. Pure: the source reads events.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from dgs.core.errors import RecordError
from dgs.core.json_text import read_json
from dgs.core.layout import Layouts
from dgs_loader.dead_letters import DeadEvent, DeadLetter
from dgs_loader.escape import DELIMITER, LIST_DELIMITER, escape
from dgs_loader.mapping import EventMapping, Path, Rule
from dgs_loader.parser import Parser
from dgs_loader.reader import LINE_BYTES_MAX, Block

_SHOWN = 60


class Event(NamedTuple):
    """One record of Kafka: where it stands, and what is in it, which may be nothing."""

    topic: str
    partition: int
    offset: int
    value: bytes


class EventLines(NamedTuple):
    """What some events stand for.

    Attributes:
        block: lines, one for each record.
        origins: the event of each line, and the name of the record's type.
        letters: what is no line.
        passed: how many of the events stand for nothing.
    """

    block: Block
    origins: list[tuple[Event, str]]
    letters: list[DeadEvent]
    passed: int

    def letter(self, letter: DeadLetter) -> DeadEvent:
        """Return what a line that cannot be loaded is as a part of its event."""
        event, name = self.origins[letter.line - self.block.first_line]
        return dead_event(event, f"{name}: {letter.reason}")


def parser_of(mapping: EventMapping, layouts: Layouts, reversed_edges: Collection[int] = ()) -> Parser:
    """Return the parser of the lines that a mapping makes."""
    delimiters = {"delimiter": DELIMITER, "list_delimiter": LIST_DELIMITER}
    return Parser(mapping.patterns, layouts, **delimiters, reversed_edges=reversed_edges, escaped=True)


def dead_event(event: Event, reason: str) -> DeadEvent:
    """Return the dead letter of an event."""
    return DeadEvent(event.topic, event.partition, event.offset, reason, event.value)


def lines_of(events: Sequence[Event], mapping: EventMapping) -> EventLines:
    """Return the lines of some events, in their order, and in the order of the mapping's records for each."""
    lines: list[bytes] = []
    origins: list[tuple[Event, str]] = []
    letters: list[DeadEvent] = []
    passed = 0
    for event in events:
        if not event.value:
            passed += 1
            continue
        try:
            document = read_json(event.value, number=str)
        except ValueError as e:
            letters.append(dead_event(event, f"not JSON: {e}"))
            continue
        rules = [rule for rule in mapping.rules if all(_at(document, path) in wanted for path, wanted in rule.when)]
        passed += not rules
        for rule in rules:
            name = rule.pattern.element.name
            try:
                lines.append(_line(document, rule))
            except RecordError as e:
                letters.append(dead_event(event, f"{name}: {e}"))
            else:
                origins.append((event, name))
    return EventLines(Block(b"".join(lines), 1), origins, letters, passed)


def _line(document: Any, rule: Rule) -> bytes:
    """Return the line of a record.

    Raises:
        RecordError: it can have none.
    """
    pattern, fields = rule.pattern, [rule.name]
    for name, path in zip(pattern.id_columns, rule.ids, strict=True):
        fields.append(_field(_at(document, path), name, is_list=False))
    for attribute, place in zip(pattern.attributes, rule.values, strict=True):
        value = None if place is None else _at(document, place)
        fields.append(_field(value, attribute.name, is_list=attribute.value_type.is_list))
    try:
        line = f"{DELIMITER.join(fields)}\n".encode()
    except UnicodeEncodeError:
        raise RecordError("a text has half a character (an unpaired surrogate)") from None
    if len(line) > LINE_BYTES_MAX:
        raise RecordError(f"longer than {LINE_BYTES_MAX >> 20} MiB")
    return line


def _at(document: Any, path: Path) -> Any:
    """Return the value at a place, None where there is none."""
    for step in path:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _field(value: Any, name: str, *, is_list: bool) -> str:
    if value is None:
        return ""
    if is_list != isinstance(value, list):
        raise RecordError(f"{name}: {_shown(value)} is {'no list' if is_list else 'a list'}")
    return LIST_DELIMITER.join(_text(element, name) for element in value) if is_list else _text(value, name)


def _text(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        raise RecordError(f"{name}: {_shown(value)} is not one value")
    return "" if value is None else escape(value)


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
