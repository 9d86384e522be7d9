"""Frames: sections come out as they went in, and bytes that are damaged, foreign or newer are told apart."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.codec.frame import VERSION, as_array, decode_frame, decode_strings, encode_frame, encode_strings
from dgs.core.errors import CodecError

SECTIONS = st.lists(st.binary(max_size=40), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 255), SECTIONS)
def test_sections_come_out_as_they_went_in(kind: int, sections: list[bytes]) -> None:
    data = encode_frame(kind, sections)
    found_kind, found = decode_frame(data)
    assert (found_kind, [s.tobytes() for s in found]) == (kind, sections)
    assert len(data) % 8 == 0
    for section in found:
        assert section.flags.writeable
        assert section.ctypes.data % 8 == 0


def test_arrays_are_sections_too_and_reading_leaves_the_bytes_alone() -> None:
    array = np.arange(6, dtype="<i4").reshape(2, 3)
    data = encode_frame(1, [array, array.ravel()[::2].copy()])
    before = bytes(data)
    _, (one, two) = decode_frame(data)
    assert as_array(one, "<i4", (2, 3)).tolist() == array.tolist()
    assert as_array(two, "<i4").tolist() == [0, 2, 4]
    one[:] = 0
    assert data == before


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 255), SECTIONS, st.integers(1, 255))
def test_no_byte_can_change_unnoticed(kind: int, sections: list[bytes], flip: int) -> None:
    data = encode_frame(kind, sections)
    for i in range(len(data)):
        with pytest.raises(CodecError):
            decode_frame(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
    for end in range(len(data)):
        with pytest.raises(CodecError):
            decode_frame(data[:end])
    for more in (b"\0", bytes(8), data):
        with pytest.raises(CodecError):
            decode_frame(data + more)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    for foreign in (data, b"DG" + data, b"DG\x01" + data):
        with pytest.raises(CodecError):
            decode_frame(foreign)


def test_messages_say_what_is_wrong() -> None:
    data = encode_frame(1, [b"x"])
    for wrong, message in [
        (b"", "0 bytes are too few"),
        (b"PK" + data[2:], "not a frame of DGS: it begins with b'PK'"),
        (data[:2] + bytes([VERSION + 1]) + data[3:], f"format version {VERSION + 1}; this program reads {VERSION}: upgrade it"),
        (data[:-1] + b"\x01", "wrong checksum"),
    ]:
        with pytest.raises(CodecError, match=message):
            decode_frame(wrong)


def resealed(body: bytes) -> bytes:
    """A frame of any body, with the right checksum."""
    head = b"DG" + bytes([VERSION, 1])
    return head + struct.pack("<I", zlib.crc32(head + body)) + body


@pytest.mark.parametrize(
    ("lengths", "rest", "message"),
    [
        ([5], bytes(4), "5 sections does not fit"),
        ([1 << 31], bytes(64), "sections does not fit"),
        ([2, 8, 9], bytes(4 + 16), "reaches beyond its frame"),
        ([1, 0xFFFFFFFF], bytes(16), "reaches beyond its frame"),
        ([1, 8], bytes(16), "8 bytes too many"),
        ([0, 0], bytes(8), "bytes too many"),
    ],
)
def test_lengths_that_do_not_fit_are_refused_even_under_a_right_checksum(lengths: list[int], rest: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode_frame(resealed(struct.pack(f"<{len(lengths)}I", *lengths) + rest))


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=8, max_size=80))
def test_any_body_under_a_right_checksum_is_a_frame_or_a_codec_error(body: bytes) -> None:
    try:
        decode_frame(resealed(body))
    except CodecError:
        return


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=10), max_size=6))
def test_strings_come_out_as_they_went_in(strings: list[bytes]) -> None:
    section = encode_strings(strings)
    assert decode_strings(np.frombuffer(section, np.uint8)) == strings
    for damaged in (*(section[:end] for end in range(1, len(section))), section + b"x"):
        with pytest.raises(CodecError):
            decode_strings(np.frombuffer(damaged, np.uint8))
    assert decode_strings(np.zeros(0, np.uint8)) == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30))
def test_any_bytes_are_strings_or_a_codec_error(data: bytes) -> None:
    try:
        decode_strings(np.frombuffer(data, np.uint8))
    except CodecError:
        return


def test_an_array_has_whole_elements_and_the_expected_shape() -> None:
    section = np.zeros(24, np.uint8)
    with pytest.raises(CodecError, match="no whole number of 16-byte elements"):
        as_array(section, np.dtype([("a", "<i8"), ("b", "<i8")]))
    for shape in [(2,), (4,), (0,), (1 << 63, 6), (1 << 32, 1 << 32)]:
        with pytest.raises(CodecError, match="holds 3 elements"):
            as_array(section, "<i8", shape)
