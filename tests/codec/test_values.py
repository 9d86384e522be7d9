"""Values of the store: rows, vertex records and edges come out as they went in, and a value that was cut is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.codec.frame import encode_strings
from dgs.codec.values import (
    FEATURE_SHAPE,
    ROW_SHAPE,
    decode_feature,
    decode_features,
    decode_payload,
    decode_payloads,
    decode_row,
    decode_rows,
    encode_feature,
    encode_payloads,
    row_heads,
)
from dgs.core.blocks import SLOT
from dgs.core.errors import CodecError
from dgs.core.types import Bytes, Records

STRINGS = st.lists(st.binary(max_size=6), max_size=3)
INT64S = st.integers(-(1 << 63), (1 << 63) - 1)


def payload_of(rows: int, width: int) -> Bytes:
    payload: Bytes = (np.arange(rows * width) % 251).astype(np.uint8).reshape(rows, width)
    return payload


def tail(strings: list[bytes]) -> bytes:
    return encode_strings(strings) if strings else b""


def stored_rows(counts: list[int], width: int, words: int, strings: list[bytes]) -> tuple[list[bytes], list[Records]]:
    """Values of rows with so many slots each, and these slots."""
    subscribers = np.arange(len(counts) * words, dtype=np.uint64).reshape(len(counts), words) + np.uint64(1 << 63)
    heads = row_heads(np.array(counts, np.int32), width, subscribers)
    values, rows = [], []
    for head, count in zip(heads, counts, strict=True):
        slots = np.zeros(count, SLOT)
        slots["dst"], slots["score"] = np.arange(count) - 1, (1 << 64) - 1
        rows.append(slots)
        values.append(head.tobytes() + slots.tobytes() + payload_of(count, width).tobytes() + tail(strings))
    return values, rows


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 9), st.integers(1, 3), STRINGS)
def test_rows_come_out_as_they_went_in(counts: list[int], width: int, words: int, strings: list[bytes]) -> None:
    values, rows = stored_rows(counts, width, words, strings)
    for i, (value, slots) in enumerate(zip(values, rows, strict=True)):
        row = decode_row(value)
        assert row.subscribers.tolist() == [(1 << 63) + i * words + w for w in range(words)]
        assert row.slots.tobytes() == slots.tobytes()
        assert row.payload.tolist() == payload_of(len(slots), width).tolist()
        assert row.payload.shape == (len(slots), width)
        assert row.strings == strings
        assert all(a.flags.writeable for a in (row.subscribers, row.slots, row.payload))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.integers(1, 9), st.integers(1, 3))
def test_rows_of_one_shape_come_out_together_as_one_by_one(n: int, count: int, width: int, words: int) -> None:
    values, _ = stored_rows([count] * n, width, words, [])
    assert len({value[ROW_SHAPE] for value in values}) == 1
    together: tuple[Any, ...] = decode_rows(values)  # columns of several types
    alone = [decode_row(value) for value in values]
    for column, name in zip(together, ("subscribers", "slots", "payload"), strict=True):
        assert column.tolist() == [getattr(row, name).tolist() for row in alone]
        assert column.flags.writeable
    other, _ = stored_rows([count + 1], width, words, [])
    for wrong in (other[0], other[0][: len(values[0])], values[0] + b"x"):
        with pytest.raises(CodecError):
            decode_rows([*values, wrong])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(INT64S, st.binary(min_size=3, max_size=3)), min_size=1, max_size=4))
def test_vertex_records_of_one_shape_come_out_together_as_one_by_one(records: list[tuple[int, bytes]]) -> None:
    values = [encode_feature(timestamp, payload, b"") for timestamp, payload in records]
    assert len({value[FEATURE_SHAPE] for value in values}) == 1
    timestamps, payload = decode_features(values)
    assert list(zip(timestamps.tolist(), map(bytes, payload), strict=True)) == records
    for wrong in (values[0][:-1], values[0] + b"x", encode_feature(1, b"xy", b"") + b"z"):
        with pytest.raises(CodecError):
            decode_features([*values, wrong])


@settings(max_examples=100, deadline=None)
@given(INT64S, st.binary(max_size=30), STRINGS)
def test_vertex_records_come_out_as_they_went_in(timestamp: int, payload: bytes, strings: list[bytes]) -> None:
    value = encode_feature(timestamp, payload, tail(strings))
    found = decode_feature(value)
    assert (found[0], found[1].tobytes(), found[2]) == (timestamp, payload, strings)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4), st.integers(1, 9), st.none() | st.lists(STRINGS, min_size=4, max_size=4))
def test_edges_come_out_as_they_went_in(n: int, width: int, texts: list[list[bytes]] | None) -> None:
    payload = payload_of(n, width)
    values = encode_payloads(payload, texts[:n] if texts else None)
    found = [decode_payload(v) for v in values]
    assert [p.tolist() for p, _ in found] == payload.tolist()
    assert [s for _, s in found] == (texts[:n] if texts else [[]] * n)
    if n and not texts:
        assert decode_payloads(values).tolist() == payload.tolist()


def test_payloads_of_the_largest_lists_are_kept() -> None:
    """A list of 65536 doubles has half a MiB, more than two bytes can count."""
    width = 65536 * 8 + 1
    (row,), _ = stored_rows([2], width, 1, [])
    assert decode_row(row).payload.shape == (2, width)
    assert decode_feature(encode_feature(0, bytes(width), b""))[1].shape == (width,)
    (edge,) = encode_payloads(payload_of(1, width), None)
    assert decode_payload(edge)[0].shape == (width,)
    assert decode_payloads([edge]).shape == (1, width)


@pytest.mark.parametrize("strings", [[], [b"text", b""]])
@pytest.mark.parametrize("count", [0, 2])
def test_a_row_that_was_cut_is_refused(count: int, strings: list[bytes]) -> None:
    (value,), _ = stored_rows([count], 3, 2, strings)
    without_strings = len(value) - len(tail(strings))
    for end in range(len(value)):
        if end != without_strings:  # a row whose strings are gone altogether cannot be told from one that has none
            with pytest.raises(CodecError):
                decode_row(value[:end])
    with pytest.raises(CodecError):
        decode_row(value + b"x")


@pytest.mark.parametrize("strings", [[], [b"text"]])
def test_a_record_or_an_edge_that_was_cut_is_refused(strings: list[bytes]) -> None:
    feature = encode_feature(5, b"payload", tail(strings))
    (edge,) = encode_payloads(payload_of(1, 7), [strings])
    for end in range(len(feature)):
        if end != len(feature) - len(tail(strings)):
            with pytest.raises(CodecError):
                decode_feature(feature[:end])
    for end in range(len(edge)):
        if end != len(edge) - len(tail(strings)):
            with pytest.raises(CodecError):
                decode_payload(edge[:end])
    for end in range(len(edge) + 1):
        if end != len(edge) - len(tail(strings)):
            with pytest.raises(CodecError):
                decode_payloads([edge[:end]] * 2)


def test_edges_of_several_widths_are_not_read_as_if_they_had_one() -> None:
    narrow, wide = encode_payloads(payload_of(1, 4), None), encode_payloads(payload_of(1, 12), None)
    for values in ([*narrow, *wide], [*wide, *narrow], [*narrow, *wide, *narrow]):
        with pytest.raises(CodecError):
            decode_payloads(values)
