"""String tables: texts come in and go out with what refers to them, and those that nothing refers to are forgotten."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.strings import StringTable
from dgs.core.types import Bytes

TEXTS = st.sampled_from([b"", b"a", b"b", b"abc", b"\x00", "é".encode()])
WIDTH, OFFSETS = 19, (3, 11)
Rows = list[tuple[bytes, bytes]]
"""Two texts a payload."""


def refer(rows: Rows, strings: list[bytes]) -> Bytes:
    """Payloads whose references index `strings` from 1 on; the empty text is 0."""
    payload = np.full((len(rows), WIDTH), 9, np.uint8)
    for i, texts in enumerate(rows):
        for at, text in zip(OFFSETS, texts, strict=True):
            if text and text not in strings:
                strings.append(text)
            place = strings.index(text) + 1 if text else 0
            payload[i, at : at + 8] = np.frombuffer(place.to_bytes(8, "little"), np.uint8)
    return payload


def read(payload: Bytes, text_of: dict[int, bytes]) -> Rows:
    """The texts that payloads refer to."""
    rows = []
    for row in payload:
        first, second = (text_of[int.from_bytes(row[at : at + 8].tobytes(), "little")] for at in OFFSETS)
        rows.append((first, second))
        assert row[:3].tolist() == [9] * 3, "other bytes stay"
    return rows


def texts_of(strings: list[bytes]) -> dict[int, bytes]:
    return dict(enumerate([b"", *strings]))


ROWS = st.lists(st.tuples(TEXTS, TEXTS), max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=5), st.lists(TEXTS, max_size=5))
def test_what_is_adopted_is_exported_again_in_the_order_of_bytes(batches: list[Rows], before: list[bytes]) -> None:
    table = StringTable()
    for text in before:
        table.intern(text)
    parts = []
    for rows in batches:
        strings: list[bytes] = [b"unused"]
        payload = refer(rows, strings)
        table.adopt(payload, OFFSETS, strings)
        parts.append(payload)
        for at in OFFSETS:
            for i, row in enumerate(rows):
                assert table[int(payload[i, at : at + 8].copy().view(np.uint64)[0])] == row[OFFSETS.index(at)]
    untouched = [payload.copy() for payload in parts]
    exported, strings = table.export([(payload, OFFSETS) for payload in parts])
    assert [read(payload, texts_of(strings)) for payload in exported] == batches
    assert strings == sorted({text for rows in batches for row in rows for text in row} - {b""})
    assert all((a == b).all() for a, b in zip(parts, untouched, strict=True)), "the table's own payloads stay"


def test_what_leaves_does_not_depend_on_the_tables_history() -> None:
    rows: Rows = [(b"x", b"y"), (b"z", b"")]
    exports = []
    for history in ([], [b"z", b"q"], [b"y", b"x"]):
        table = StringTable()
        for text in history:
            table.intern(text)
        strings: list[bytes] = []
        payload = refer(rows, strings)
        table.adopt(payload, OFFSETS, strings)
        (out,), texts = table.export([(payload, OFFSETS)])
        exports.append((out.tobytes(), texts))
    assert exports[0] == exports[1] == exports[2]


def test_an_older_payload_has_no_place_for_later_strings() -> None:
    table = StringTable()
    strings: list[bytes] = []
    payload = refer([(b"x", b"")], strings)[:, :11].copy()
    table.adopt(payload, OFFSETS, strings)
    assert table[int(payload[0, 3:11].copy().view(np.uint64)[0])] == b"x"


def test_nothing_to_do_does_nothing() -> None:
    table = StringTable()
    empty = np.zeros((0, WIDTH), np.uint8)
    table.adopt(empty, OFFSETS, [b"x"])
    table.adopt(refer([(b"", b"")], []), (), [b"x"])
    assert len(table) == 1
    assert table.export([(empty, OFFSETS)]) == ([empty], [])
    assert table.export([]) == ([], [])


def test_a_sweep_forgets_what_nothing_refers_to_and_gives_its_references_again() -> None:
    table = StringTable()
    references = {text: table.intern(text) for text in (b"a", b"b", b"c")}
    table.sweep([np.array([references[b"b"], 0], np.uint64), np.zeros(0, np.uint64)])
    assert len(table) == 2
    assert table[references[b"b"]] == b"b"
    assert table[0] == b""
    with pytest.raises(AssertionError, match="swept"):
        table[references[b"a"]]
    assert {table.intern(b"x"), table.intern(b"y")} == {references[b"a"], references[b"c"]}
    assert table.intern(b"b") == references[b"b"]
    assert table.intern(b"a") == 4


def test_a_sweep_is_wanted_when_the_table_has_doubled() -> None:
    table = StringTable()
    references = np.array([table.intern(str(i).encode()) for i in range(1500)], np.uint64)
    assert table.wants_sweep
    table.sweep([references])
    assert not table.wants_sweep
    for i in range(1500, 3003):
        table.intern(str(i).encode())
    assert table.wants_sweep
    table.sweep([])
    assert len(table) == 1
    assert not table.wants_sweep


@settings(max_examples=100, deadline=None)
@given(
    before=st.lists(st.integers(0, 30), max_size=30),
    live=st.sets(st.integers(0, 30)),
    steps=st.lists(st.tuples(st.integers(1, 7), st.lists(st.integers(0, 45), max_size=4)), max_size=12),
)
def test_a_sweep_in_steps_keeps_what_is_marked_and_what_came_meanwhile(
    before: list[int], live: set[int], steps: list[tuple[int, list[int]]]
) -> None:
    table = StringTable()
    of = {n: table.intern(b"%d" % n) for n in before}
    kept = {n for n in of if n in live}
    table.begin_sweep()
    assert table.sweeping
    for n in sorted(kept):
        table.mark(np.array([of[n], 0], np.uint64))
    for most, texts in steps:
        for n in texts:
            of[n] = table.intern(b"%d" % n)
            kept |= {n}
        table.forget(most)
    table.forget(1000)
    assert not table.sweeping
    assert len(table) == 1 + len(kept)
    assert all(table[of[n]] == b"%d" % n for n in kept)
    assert all(table[table.intern(b"%d" % n)] == b"%d" % n for n in range(50))


def test_texts_that_one_entry_shares_are_not_lost_between_its_pieces() -> None:
    """Interned with the first piece, they are referred to by none yet when a sweep begins before the second."""
    table, strings = StringTable(), [b"x", b"y"]
    first, second = refer([(b"x", b"")], list(strings)), refer([(b"y", b"x")], list(strings))
    table.adopt(first, OFFSETS, strings)
    table.begin_sweep()
    table.adopt(second, OFFSETS, strings)
    table.forget(1000)
    assert read(second, {r: t for r, t in enumerate(table.texts(0, 3)) if t is not None}) == [(b"y", b"x")]


def test_a_restored_table_has_the_same_references() -> None:
    table = StringTable()
    references = [table.intern(t) for t in (b"a", b"b", b"c", b"d")]
    table.sweep([np.array([references[0], references[3]], np.uint64)])
    texts = table.texts(1, table.references_used)
    assert texts == [b"a", None, None, b"d"]
    restored = StringTable()
    for at in range(0, len(texts), 3):
        restored.restore(texts[at : at + 3])
    assert (restored.intern(b"a"), restored.intern(b"d"), len(restored)) == (references[0], references[3], 3)
    assert {restored.intern(b"e"), restored.intern(b"f")} == {references[1], references[2]}
    with pytest.raises(ValueError, match="has another, too"):
        restored.restore([b"a"])
