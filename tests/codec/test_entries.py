"""Log entries: round trips, golden bytes, damage that is always noticed, and frames that lie under a right checksum."""

import json
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.codec.entries import (
    GROUP,
    BlockPack,
    RequestPack,
    appended_ms_of,
    control_json,
    decode_entry,
    encode_control,
    encode_records,
    encode_requests,
    read_control_json,
)
from dgs.codec.frame import decode_frame, encode_frame
from dgs.core.blocks import BLOCK, CONTROL, DELTA, MARK, SLOT, WHOLE
from dgs.core.control import ControlItem
from dgs.core.errors import CodecError
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.requests import PING, REQUEST, SUBSCRIBE, UNSUBSCRIBE
from dgs.core.types import Bytes
from tests.codec.samples import ENTRIES, FOLDER, encode, same

INT64S = st.integers(-(1 << 63), (1 << 63) - 1)


@pytest.mark.parametrize("name", list(ENTRIES))
def test_golden_bytes_stay_what_they_are(name: str) -> None:
    path = FOLDER / f"{name}.bin"
    if os.environ.get("DGS_WRITE_GOLDEN"):
        path.write_bytes(encode(ENTRIES[name]))
    assert encode(ENTRIES[name]) == path.read_bytes()
    assert same(decode_entry(path.read_bytes()), ENTRIES[name])


@pytest.mark.parametrize("name", list(ENTRIES))
def test_no_byte_of_an_entry_can_change_or_go_unnoticed(name: str) -> None:
    data = encode(ENTRIES[name])
    for i in range(len(data)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            with pytest.raises(CodecError):
                decode_entry(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
        with pytest.raises(CodecError):
            decode_entry(data[:i])
    with pytest.raises(CodecError):
        decode_entry(data + bytes(8))


def test_an_entry_of_a_newer_version_says_upgrade() -> None:
    data = bytearray(encode(ENTRIES["records"]))
    data[2] += 1
    with pytest.raises(CodecError, match="upgrade it"):
        decode_entry(bytes(data))


@st.composite
def groups(draw: st.DrawFn) -> EdgeRecords | VertexRecords:
    n, width, edge = draw(st.integers(0, 4)), draw(st.integers(1, 9)), draw(st.booleans())
    columns = [np.array(draw(st.lists(INT64S, min_size=n, max_size=n)), np.int64) for _ in range(3)]
    payload: Bytes = np.frombuffer(draw(st.binary(min_size=n * width, max_size=n * width)), np.uint8).reshape(n, width)
    if edge:
        etype, src_type, dst_type = (draw(st.integers(0, (1 << 31) - 1)) for _ in range(3))
        return EdgeRecords(etype, src_type, dst_type, columns[0], columns[1], columns[2], payload)
    return VertexRecords(draw(st.integers(0, (1 << 31) - 1)), columns[0], columns[1], payload)


@settings(max_examples=100, deadline=None)
@given(st.lists(groups(), max_size=4), st.lists(st.binary(max_size=9), max_size=3), st.integers(0, (1 << 63) - 1))
def test_record_batches_come_out_as_they_went_in(
    batch: list[EdgeRecords | VertexRecords], strings: list[bytes], appended_ms: int
) -> None:
    entry = RecordBatch(tuple(batch), strings, appended_ms)
    assert same(decode_entry(encode_records(entry)), entry)
    assert appended_ms_of(encode_records(entry)) == appended_ms


@pytest.mark.parametrize("name", list(ENTRIES))
def test_the_time_of_an_entry_is_told_without_reading_the_rest(name: str) -> None:
    entry = ENTRIES[name]
    assert appended_ms_of(encode(entry)) == (entry.appended_ms if isinstance(entry, RecordBatch) else 0)
    with pytest.raises(CodecError):
        appended_ms_of(encode(entry)[:-1])


REQUESTS = st.lists(
    st.tuples(st.sampled_from([SUBSCRIBE, UNSUBSCRIBE]), st.integers(-(1 << 31), (1 << 31) - 1), INT64S, st.just(0))
    | st.tuples(st.just(PING), st.integers(1, 9), INT64S, st.integers(9, 65535)),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1), st.integers(1, (1 << 63) - 1), REQUESTS)
def test_requests_come_out_as_they_went_in(generation: int, sender: int, first: int, requests: Any) -> None:
    entry = RequestPack(generation, sender, first, np.array(requests, REQUEST))
    assert same(decode_entry(encode_requests(entry)), entry)


BODIES = st.one_of(
    st.tuples(
        st.just("dimension"),
        st.fixed_dictionaries(
            {"kind": st.text(max_size=5), "type": st.integers(), "attribute": st.integers(), "dim": st.integers()}
        ),
    ),
    st.tuples(
        st.just("install"),
        st.fixed_dictionaries(
            {"id": st.integers(), "name": st.text(max_size=5), "plan": st.dictionaries(st.text(max_size=3), st.booleans())}
        ),
    ),
    st.tuples(st.just("barrier"), st.fixed_dictionaries({"id": st.integers(0, (1 << 63) - 1), "rounds": st.integers(1, 65535)})),
)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, (1 << 63) - 1), BODIES)
def test_control_items_come_out_as_they_went_in(number: int, what: tuple[str, dict[str, Any]]) -> None:
    item = ControlItem(number, *what)
    assert decode_entry(encode_control(item)) == item
    assert read_control_json(control_json(item)) == item


GOOD: dict[str, Any] = {"number": 1, "kind": "barrier", "body": {"id": 1, "rounds": 2}}
NO_NUMBERS: list[Any] = [None, 0, -1, 1 << 63, 1.0, "1", True, float("inf")]
NO_KINDS: list[Any] = [None, 1, []]
NO_BODIES: list[Any] = [None, [], {}, {"id": 1}, {"id": "1", "rounds": 2}, {"id": 1, "rounds": True}, [["id", 1], ["rounds", 2]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not a control item"),
        (b"\xff", "not a control item"),
        (b"[" * 100_000, "not a control item"),
        (b"[]", "is an object"),
        (b'"number"', "is an object"),
        *((json.dumps(GOOD | {"number": x}).encode(), "the number of a control item is") for x in NO_NUMBERS),
        *((json.dumps(GOOD | {"kind": x}).encode(), "the kind of a control item is") for x in NO_KINDS),
        *((json.dumps(GOOD | {"body": x}).encode(), "has other fields") for x in NO_BODIES),
        *(
            (json.dumps(GOOD | {"body": {"id": i, "rounds": r}}).encode(), "a barrier of")
            for i, r in ((1, 0), (1, 65536), (1 << 63, 1), (-1, 1))
        ),
    ],
)
def test_a_control_item_that_is_none_is_refused(text: bytes, message: str) -> None:
    for read in (read_control_json, lambda data: decode_entry(encode_frame(2, [data]))):
        with pytest.raises(CodecError, match=message):
            read(text)


# Frames that lie: the checksum is right, what stands in them does not fit ----------------------------------------------------


def lying(name: str, section: int, dtype: Any, field: str, row: int, value: int) -> bytes:
    """An entry of which one field was changed before it was sealed."""
    kind, sections = decode_frame(encode(ENTRIES[name]))
    sections[section].view(dtype)[row][field] = value
    return encode_frame(kind, sections)


HEAD = np.dtype([("generation", "<u4"), ("sender", "<u4"), ("first", "<u8")])
TOLD = [("position", "<u8"), ("number", "<u8"), ("watermark", "<i8"), ("oldest", "<u8"), ("appended_ms", "<u8"), ("flags", "V8")]
NOTE = np.dtype([*HEAD.descr, *TOLD])
TIME = np.dtype([("appended_ms", "<u8")])
LIES: list[tuple[Any, ...]] = [
    ("records", 0, TIME, "appended_ms", 0, 1 << 63),
    *(("records", 1, GROUP, "edge", 0, x) for x in (0, 2, 1 << 31)),
    ("records", 1, GROUP, "edge", 1, 1),
    *(("records", 1, GROUP, "count", 0, x) for x in (0, 1, 3, (1 << 32) - 1)),
    *(("records", 1, GROUP, "width", 1, x) for x in (0, 12, 14, (1 << 32) - 1)),
    ("records", 1, GROUP, "width", 2, 0),
    *(("requests", 0, HEAD, "first", 0, x) for x in (0, 1 << 63, (1 << 64) - 1)),
    *(("requests", 1, REQUEST, "kind", 1, x) for x in (0, 4, (1 << 32) - 1)),
    *(("requests", 1, REQUEST, "count", 2, x) for x in (1, 0, -1, 65536, (1 << 63) - 1)),
    *(("requests", 1, REQUEST, "operator", 2, x) for x in (0, -1, 4)),
    *(("blocks", 0, NOTE, "first", 0, x) for x in (0, 1 << 63)),
    *(("blocks", 0, NOTE, name, 0, 1 << 63) for name in ("position", "number", "oldest", "appended_ms")),
    *(("blocks", 1, BLOCK, "kind", 0, x) for x in (0, 5, 255, MARK, CONTROL, WHOLE)),
    ("blocks", 1, BLOCK, "kind", 3, DELTA + 4),
    ("blocks", 1, BLOCK, "kind", 4, DELTA),
    *(("blocks", 1, BLOCK, "count", 0, x) for x in (0, 1, 3)),
    *(("blocks", 1, BLOCK, "count", 1, x) for x in (1, 3)),
    *(("blocks", 1, BLOCK, "added", 0, x) for x in (0, 1, 3, 65535)),
    *(("blocks", 1, BLOCK, "removed", 0, x) for x in (0, 1, 3, 65535)),
    ("blocks", 1, BLOCK, "removed", 1, 1),
    *(("blocks", 1, BLOCK, "payload_bytes", 0, x) for x in (0, 9, 11, (1 << 32) - 1)),
    *(("blocks", 1, BLOCK, "operator", 3, x) for x in (0, -1, 4)),
    ("blocks", 1, BLOCK, "count", 3, 1),
    *(("blocks", 2, SLOT, "place", 0, x) for x in (-1, 3, 4, 1 << 30)),
    *(("blocks", 2, SLOT, "place", 1, x) for x in (0, 1, 4, -(1 << 31))),
    *(("blocks", 2, SLOT, "place", 3, x) for x in (0, 2)),
    ("blocks", 2, SLOT, "dst_type", 2, -1),
    *(("blocks", 3, np.dtype([("place", "<u2")]), "place", 0, x) for x in (1, 2, 3, 65535)),
    *(("blocks", 3, np.dtype([("place", "<u2")]), "place", 1, x) for x in (0, 3, 4, 65535)),
]


@pytest.mark.parametrize("lie", LIES)
def test_a_field_that_does_not_fit_is_refused(lie: tuple[Any, ...]) -> None:
    with pytest.raises(CodecError):
        decode_entry(lying(*lie))


def test_sums_that_fit_do_not_hide_heads_that_lie() -> None:
    """What one block promises too much the other promises too little."""
    kind, sections = decode_frame(encode(ENTRIES["blocks"]))
    heads = sections[1].view(BLOCK)
    for field, by in (("added", 1), ("removed", 1), ("payload_bytes", 1), ("payload_bytes", 3)):
        kept = heads.copy()
        heads[field][0] -= by
        heads[field][1] += by
        with pytest.raises(CodecError):
            decode_entry(encode_frame(kind, sections))
        heads[:] = kept


@pytest.mark.parametrize("name", list(ENTRIES))
def test_sections_too_few_too_many_or_of_another_length_are_refused(name: str) -> None:
    kind, sections = decode_frame(encode(ENTRIES[name]))
    for n in range(len(sections)):
        wrong = [sections[:n], [*sections[:n], *sections[n + 1 :]]]
        if len(sections[n]):
            wrong += [[*sections[:n], sections[n][:-1], *sections[n + 1 :]]]
        for changed in wrong:
            with pytest.raises(CodecError):
                decode_entry(encode_frame(kind, changed))
    with pytest.raises(CodecError):
        decode_entry(encode_frame(kind, [*sections, np.zeros(0, np.uint8)]))


@pytest.mark.parametrize("kind", [0, 5, 255])
def test_a_kind_that_nobody_knows_is_refused(kind: int) -> None:
    with pytest.raises(CodecError, match=f"unknown kind of entry: {kind}"):
        decode_entry(encode_frame(kind, []))


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(list(ENTRIES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    st.none() | st.integers(1, 4),
)
def test_whatever_stands_in_a_sealed_frame_it_fits_or_is_refused(
    name: str, changes: list[tuple[float, int]], other_kind: int | None
) -> None:
    kind, sections = decode_frame(encode(ENTRIES[name]))
    total = sum(map(len, sections))
    for where, value in changes:
        at = int(where * total)
        for section in sections:
            if at < len(section):
                section[at] = value
                break
            at -= len(section)
    try:
        entry = decode_entry(encode_frame(other_kind or kind, sections))
    except CodecError:
        return
    if isinstance(entry, BlockPack):
        check_blocks(entry)
    if isinstance(entry, RecordBatch):
        assert len(entry) == sum(len(g.payload) for g in entry.groups)


def check_blocks(pack: BlockPack) -> None:
    """What kernels rely on, told one by one."""
    a = r = p = 0
    for head in pack.blocks.heads.tolist():
        kind, _, count, added, removed, operator, size, *_ = head
        places = pack.blocks.additions["place"][a : a + added].tolist()
        removals = pack.blocks.removals[r : r + removed].tolist()
        a, r, p = a + added, r + removed, p + size
        assert kind in (DELTA, WHOLE, MARK, CONTROL)
        assert places == sorted(set(places) & set(range(count)))
        assert removals == sorted(set(removals) & set(range(count - added + removed)))
        if kind in (DELTA, WHOLE):
            assert size % max(added, 1) == 0
            assert (size > 0) == (added > 0)
        else:
            assert (added, removed) == (0, 0)
        assert kind != WHOLE or (added, removed) == (count, 0)
        assert kind != MARK or (1 <= operator <= count and size == 0)
    assert (a, r, p) == (len(pack.blocks.additions), len(pack.blocks.removals), len(pack.blocks.payload))
