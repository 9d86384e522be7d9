"""Vertex records: the last writer wins by timestamp, then by order of arrival; and what is told and stored of them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.blocks import DELTA, WHOLE
from dgs.core.features import FeatureTable
from dgs.core.layout import Dimension, Layout
from dgs.core.schema import Attribute, ElementType, ValueType
from dgs.core.types import Int32s
from tests.core.making import INT64S
from tests.core.naive import told

ELEMENT = ElementType(
    0,
    "item",
    (
        Attribute(0, "timestamp", ValueType.INT64),
        Attribute(1, "stars", ValueType.INT32),
        Attribute(2, "title", ValueType.STRING),
        Attribute(3, "vec", ValueType.FLOAT64_LIST),
    ),
)
LAYOUT, WIDE = Layout(ELEMENT), Layout(ELEMENT, [Dimension("vertex", 0, 3, 2)])
IDS = np.array([0, 9, -3, 4, 1])

Record = tuple[int, int, int]
"""Vertex row, timestamp, stars."""
RECORDS: st.SearchStrategy[Record] = st.tuples(
    st.integers(1, 4), st.integers(-2, 2) | INT64S, st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 1)
)


def payload_of(layout: Layout, stars: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    packed: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = layout.pack(
        len(stars), {"timestamp": (np.zeros(len(stars)), None), "stars": (np.array(stars), None)}
    )
    return packed


def offer(table: FeatureTable, records: list[Record]) -> Int32s:
    return table.offer(
        np.array([r[0] for r in records], np.int32),
        np.array([r[1] for r in records], np.int64),
        payload_of(table.layout, [r[2] for r in records]),
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(RECORDS, max_size=8), max_size=8), st.integers(0, 8))
def test_the_newest_record_stands_and_among_equals_the_last_to_come(entries: list[list[Record]], widen_at: int) -> None:
    table, twin = FeatureTable(LAYOUT), dict[int, tuple[int, int]]()
    for i, records in enumerate(entries):
        if i == widen_at:
            table.widen(WIDE)
        before = dict(twin)
        for vertex, timestamp, stars in records:
            if vertex not in twin or twin[vertex][0] <= timestamp:
                twin[vertex] = timestamp, stars
        changed = offer(table, records).tolist()
        assert len(set(changed)) == len(changed)
        # A record that came and was replaced by its like within the entry may be told too; nothing that changed is left out.
        assert {v for v in twin if twin[v] != before.get(v)} <= set(changed) <= {r[0] for r in records}
    for vertex in range(1, 5):
        assert bool(table.known[vertex]) == (vertex in twin)
        if vertex in twin:
            assert int(table.timestamps[vertex]) == twin[vertex][0]
            assert table.payload[vertex].tobytes() == payload_of(table.layout, [twin[vertex][1]]).tobytes()


def test_an_older_record_and_the_same_again_change_nothing() -> None:
    table = FeatureTable(LAYOUT)
    assert offer(table, [(2, 5, 1), (1, 5, 1), (2, 6, 1)]).tolist() == [2, 1]
    assert offer(table, [(2, 5, 9), (1, 5, 1)]).tolist() == []
    assert offer(table, [(1, 5, 2)]).tolist() == [1]


def test_blocks_tell_the_newest_record_and_an_unknown_vertex_is_an_empty_row() -> None:
    table = FeatureTable(LAYOUT)
    offer(table, [(1, -5, 3), (3, 8, 4)])
    rows = np.array([3, 1], np.int32)
    for block, (row, timestamp, stars) in zip(told(table.differences(6, rows, IDS[rows])), [(3, 8, 4), (1, -5, 3)], strict=True):
        head, slot = block.head, block.additions[0]
        assert head[["kind", "operator", "vertex", "count"]].item() == (DELTA, 6, IDS[row], 1)
        assert (slot.timestamp, slot.payload) == (timestamp, payload_of(LAYOUT, [stars]).tobytes())
    rows = np.array([4, 1], np.int32)
    unknown, known = told(table.whole(6, rows, IDS[rows], np.array([11, 12], np.uint64)))
    assert unknown.head[["kind", "echo", "count"]].item() == (WHOLE, 11, 0)
    assert not unknown.additions
    assert known.head[["echo", "count"]].item() == (12, 1)
    assert known.additions[0].timestamp == -5
    assert len(table.whole(6, rows[:0], IDS[:0], np.zeros(0, np.uint64))) == 0


def test_a_vertex_beyond_the_table_is_unknown() -> None:
    table = FeatureTable(LAYOUT)
    (block,) = told(table.whole(1, np.array([100_000], np.int32), np.array([5]), np.array([1], np.uint64)))
    assert block.head["count"] == 0


def test_a_stored_record_is_put_back_and_widened() -> None:
    table = FeatureTable(LAYOUT)
    offer(table, [(2, 7, 5)])
    stored = table.payload[2].copy()
    other = FeatureTable(WIDE)
    other.put(np.array([2], np.int32), np.array([7]), stored[None, :])
    assert (int(other.known[2]), int(other.timestamps[2])) == (1, 7)
    assert other.payload[2].tobytes() == payload_of(WIDE, [5]).tobytes()
    assert offer(other, [(2, 7, 5)]).tolist() == []


def test_references_are_those_of_known_vertices_only() -> None:
    table = FeatureTable(LAYOUT)
    packed = LAYOUT.pack(2, {"title": (np.array([7, 9], np.uint64), None)})
    table.offer(np.array([1, 3], np.int32), np.array([0, 0]), packed)
    table.known[3] = 0
    assert [refs.tolist() for refs in table.references()] == [[7]]


def test_widening_keeps_records_of_many_vertices() -> None:
    table = FeatureTable(LAYOUT)
    rows = np.arange(1, 5000, dtype=np.int32)
    table.offer(rows, rows.astype(np.int64), payload_of(LAYOUT, rows.tolist()))
    table.widen(WIDE)
    assert WIDE.column(table.payload[1:5000], "stars").tolist() == rows.tolist()
    assert not WIDE.present(table.payload[1:5000], "vec").any()
    assert table.timestamps[1:5000].tolist() == rows.tolist()
