"""JSON events to records: values are exact, texts may hold anything, and what cannot be loaded says where it stands and why."""

import json
from typing import Any

import pytest
from dgs_loader.escape import DELIMITER, LIST_DELIMITER, escape, unescape
from dgs_loader.events import Event, lines_of, parser_of
from dgs_loader.mapping import EventMapping
from hypothesis import given
from hypothesis import strategies as st

from dgs.core.layout import Layouts
from dgs.core.schema import Schema
from tests.loader.conftest import Record, records_of

ATTRIBUTES = ("note", "label", "big", "small", "exact", "feature", "counts")
ITEM = {"vertex": "item", "id": "id", "timestamp": "at", "attributes": {name: f"a.{name}" for name in ATTRIBUTES}}
SEEN = {"edge": "u2i", "src": "who.id", "dst": "what.1", "timestamp": "at", "attributes": {"weight": "w"}}
USER = {"vertex": "user", "id": "who.id", "timestamp": "at"}
MAPPING: dict[str, Any] = {
    "records": [
        {"when": {"kind": ["item", 5]}, **ITEM},
        {"when": {"kind": "seen", "gone": None}, **SEEN},
        {"when": {"kind": "seen"}, **USER},
    ]
}


def taken(
    schema: Schema, layouts: Layouts, *values: bytes | str | dict[str, Any]
) -> tuple[list[Record], list[tuple[int, str]], int]:
    """Return the records of some events, the offsets and reasons of dead letters, and how many events stand for nothing."""
    mapping = EventMapping.parse(json.dumps(MAPPING), schema)
    texts = [v if isinstance(v, bytes) else v.encode() if isinstance(v, str) else json.dumps(v).encode() for v in values]
    lines = lines_of([Event("topic", 3, offset, text) for offset, text in enumerate(texts)], mapping)
    letters = list(lines.letters)
    records = []
    if lines.origins:
        batch, refused = parser_of(mapping, layouts).parse(lines.block)
        records = records_of(batch, layouts)
        letters += map(lines.letter, refused)
    assert all((letter.topic, letter.partition, letter.text) == ("topic", 3, texts[letter.offset]) for letter in letters)
    return records, sorted((letter.offset, letter.reason) for letter in letters), lines.passed


def item(**attributes: Any) -> dict[str, Any]:
    return {"kind": "item", "id": 1, "at": 2, "a": attributes}


def test_one_event_may_stand_for_several_records(schema: Schema, layouts: Layouts) -> None:
    records, letters, passed = taken(schema, layouts, {"kind": "seen", "who": {"id": -7}, "what": [0, "8"], "at": 9, "w": 0.25})
    assert sorted(records, key=repr) == [
        Record("edge", 2, (0, 1), (-7, 8), 9, {"timestamp": 9, "weight": 0.25}),
        Record("vertex", 0, (-1, -1), (-7,), 9, {"timestamp": 9}),
    ]
    assert (letters, passed) == ([], 0)


def test_numbers_are_as_exact_as_they_were_written(schema: Schema, layouts: Layouts) -> None:
    values = '"big": "-9223372036854775808", "exact": 0.30000000000000004, "counts": [1, "2"]'
    [record], letters, _ = taken(schema, layouts, f'{{"kind": 5, "id": 9223372036854775807, "a": {{{values}}}}}')
    assert record.ids == (2**63 - 1,)
    assert record.values == {"big": -(2**63), "exact": 0.30000000000000004, "counts": [1, 2]}
    assert letters == []


def test_texts_may_hold_anything(schema: Schema, layouts: Layouts) -> None:
    texts = ["a\nb\r", "\\n", "\x1f\x1e", 'é"', "\x00", "\\", "x\\", " "]
    records, letters, _ = taken(schema, layouts, *[item(note=text, label=text + "!") for text in texts])
    assert [(r.values["note"].decode(), r.values["label"].decode()) for r in records] == [(t, t + "!") for t in texts]
    assert letters == []


@given(st.text())
def test_what_is_escaped_is_the_same_afterwards(text: str) -> None:
    escaped = escape(text)
    assert not set(escaped) & {"\n", "\r", DELIMITER, LIST_DELIMITER}
    assert unescape(escaped.encode("utf-8", "surrogatepass")) == text.encode("utf-8", "surrogatepass")


def test_what_is_missing_null_or_empty_is_absent(schema: Schema, layouts: Layouts) -> None:
    values: list[dict[str, Any]] = [item(), item(note=None, big=None, counts=None), item(note="", counts=[], exact="")]
    records, letters, _ = taken(schema, layouts, *values)
    assert [r.values for r in records] == [{"timestamp": 2}] * 3
    assert letters == []


def test_other_types_are_texts_or_refused(schema: Schema, layouts: Layouts) -> None:
    records, letters, _ = taken(schema, layouts, item(note=True, label=0.50), item(small=False))
    assert [(r.values["note"], r.values["label"]) for r in records] == [(b"true", b"0.5")]
    assert letters == [(1, "item: small: 'false' is not an integer")]


def test_events_of_no_record_are_passed(schema: Schema, layouts: Layouts) -> None:
    gone = {"kind": "seen", "gone": "yes", "who": {"id": 1}, "at": 1}
    records, letters, passed = taken(schema, layouts, {"kind": "other"}, "5", "[]", b"", "null", gone)
    assert [r.kind for r in records] == ["vertex"], "only the edge asks that nothing is gone"
    assert (letters, passed) == ([], 5)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not JSON: "),
        (b"\xff", "not JSON: "),
        ("[" * 5000, "not JSON: its values are nested more than 64 deep"),
        (item(exact=float("nan")), "item: exact: 'NaN' is not a finite number"),
        (item(big=2**63), "item: big: '9223372036854775808' is out of the range of INT64"),
        (item(big=1.0), "item: big: '1.0' is not an integer"),
        (item(counts=[1]), "item: counts: 1 elements; the dimension is 2"),
        (item(counts=[1, None]), "item: counts: element 2: no value"),
        (item(counts=5), "item: counts: 5 is no list"),
        (item(counts=[[1], 2]), "item: counts: ['1'] is not one value"),
        (item(note=["a"]), "item: note: ['a'] is a list"),
        (item(note={}), "item: note: {} is not one value"),
        ('{"kind": "item", "id": 1, "a": {"note": "\\ud800"}}', "item: a text has half a character"),
        (item(note="x" * (4 << 20)), "item: longer than 4 MiB"),
        ({"kind": "item", "at": 1}, "item: id: no value"),
        ({"kind": "seen", "who": {"id": 1}, "what": [0, 1], "w": 1}, "u2i: timestamp: no value; an edge needs a timestamp"),
        ({"kind": "seen", "who": {"id": 1}, "what": [0, 1], "at": 1, "w": -1}, "u2i: weight: '-1' is negative"),
    ],
)
def test_what_is_wrong_is_told_and_the_rest_is_loaded(
    schema: Schema, layouts: Layouts, value: bytes | str | dict[str, Any], reason: str
) -> None:
    records, letters, _ = taken(schema, layouts, item(big=1), value, item(big=2))
    assert [r.values["big"] for r in records if r.type == 1] == [1, 2]
    assert [offset for offset, _ in letters] == [1]
    assert letters[0][1].startswith(reason)
