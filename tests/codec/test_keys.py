"""Keys of the store sort as their numbers do, and tell them again."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.codec.keys import (
    FEATURES,
    HISTORY,
    HISTORY_BYTES,
    PREFIX_BYTES,
    ROWS,
    element_key,
    element_keys,
    history_keys,
    history_prefix,
    read_element_key,
    read_history_keys,
)
from dgs.core.records import EdgeRecords

IDS = st.integers(-3, 3) | st.integers(-(1 << 63), (1 << 63) - 1)
TYPES = st.integers(0, 3) | st.integers(0, (1 << 31) - 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([FEATURES, ROWS]), TYPES, IDS), max_size=10))
def test_keys_of_rows_and_records_sort_as_their_numbers(elements: list[tuple[bytes, int, int]]) -> None:
    keys = [element_key(*e) for e in elements]
    assert sorted(keys) == [element_key(*e) for e in sorted(elements)]
    assert [read_element_key(key) for key in keys] == [e[1:] for e in elements]
    assert all(key[:1] == e[0] for key, e in zip(keys, elements, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([FEATURES, ROWS]), TYPES, st.lists(IDS, max_size=6))
def test_keys_of_many_are_those_of_each(table: bytes, owner: int, ids: list[int]) -> None:
    assert element_keys(table, owner, np.array(ids, np.int64)) == [element_key(table, owner, v) for v in ids]


Source = tuple[int, int, int]
Rest = tuple[int, int, int]


def history_key(source: Source, rest: Rest) -> bytes:
    etype, src_type, src = source
    timestamp, dst_type, dst = rest
    payload = np.zeros((1, 1), np.uint8)
    return history_keys(EdgeRecords(etype, src_type, dst_type, np.array([src]), np.array([dst]), np.array([timestamp]), payload))


EDGES = st.lists(st.tuples(st.tuples(TYPES, TYPES, IDS), st.tuples(IDS, TYPES, IDS)), max_size=10)


@settings(max_examples=200, deadline=None)
@given(EDGES)
def test_keys_of_edges_sort_by_source_then_time_then_destination(edges: list[tuple[Source, Rest]]) -> None:
    keys = [history_key(*e) for e in edges]
    assert sorted(keys) == [history_key(*e) for e in sorted(edges)]
    for key, (source, _) in zip(keys, edges, strict=True):
        assert len(key) == HISTORY_BYTES
        assert key[:1] == HISTORY
        assert key[:PREFIX_BYTES] == history_prefix(*source)
    timestamps, dst_types, dst = read_history_keys(keys)
    found = list(zip(timestamps.tolist(), dst_types.tolist(), dst.tolist(), strict=True))
    assert found == [rest for _, rest in edges]
    assert [a.dtype for a in (timestamps, dst_types, dst)] == [np.dtype("i8"), np.dtype("i4"), np.dtype("i8")]


def test_keys_of_a_group_stand_one_behind_the_other() -> None:
    src, dst, timestamps = np.array([5, -5]), np.array([1, -(1 << 63)]), np.array([(1 << 63) - 1, -1])
    group = EdgeRecords(2, 0, 1, src, dst, timestamps, np.zeros((2, 1), np.uint8))
    expected = [history_key((2, 0, int(s)), (int(t), 1, int(d))) for s, d, t in zip(src, dst, timestamps, strict=True)]
    assert history_keys(group) == b"".join(expected)
