"""Values of a sampler partition's store: rows with their subscribers, vertex records, and the payloads of history."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dgs.codec.frame import decode_strings, encode_strings
from dgs.core.blocks import SLOT
from dgs.core.errors import CodecError
from dgs.core.types import Bytes, Int32s, Int64s, Records, UInt64s

_ROW = struct.Struct("<HHI")
_ROW_DTYPE = np.dtype([("count", "<u2"), ("words", "<u2"), ("width", "<u4")])
_FEATURE = struct.Struct("<qI")
_FEATURE_DTYPE = np.dtype([("timestamp", "<i8"), ("width", "<u4")])
_PAYLOAD = struct.Struct("<I")
ROW_SHAPE, FEATURE_SHAPE = slice(0, _ROW.size), slice(8, _FEATURE.size)
"""Parts of a row and of a vertex record that are the same where their columns are of the same length."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it is stored: subscribers uint64 [words], slots SLOT [n], payload uint8 [n, width], strings it refers to."""

    subscribers: UInt64s
    slots: Records
    payload: Bytes
    strings: list[bytes]


def row_heads(counts: Int32s, width: int, subscribers: UInt64s) -> Bytes:
    """Return the heads of rows: uint8 [n, …]. A row is its head, its slots, its payloads, and the strings that these refer to.

    Args:
        counts: int32 [n], slots of each row.
        width: bytes of a payload.
        subscribers: uint64 [n, words].
    """
    n, words = subscribers.shape
    heads = np.zeros(n, _ROW_DTYPE)
    heads["count"], heads["words"], heads["width"] = counts, words, width
    as_bytes = [heads.view(np.uint8).reshape(n, -1), np.ascontiguousarray(subscribers).view(np.uint8).reshape(n, -1)]
    return np.concatenate(as_bytes, axis=1)


def decode_row(value: bytes) -> StoredRow:
    """Read a row, see `row_heads`.

    Raises:
        CodecError: lengths that do not fit.
    """
    count, words, width = _head(_ROW, value, "row")
    at = _ROW.size
    data = _data(value, at + 8 * words + (SLOT.itemsize + width) * count, "row")
    subscribers, at = data[at : at + 8 * words].copy().view(np.uint64), at + 8 * words
    slots, at = data[at : at + SLOT.itemsize * count].copy().view(SLOT), at + SLOT.itemsize * count
    payload, at = data[at : at + width * count].reshape(count, width), at + width * count
    return StoredRow(subscribers, slots, payload, decode_strings(data[at:]))


class StoredRows(NamedTuple):
    """Rows of one shape: subscribers uint64 [n, words], slots SLOT [n, count], payload uint8 [n, count, width]."""

    subscribers: UInt64s
    slots: Records
    payload: Bytes


def decode_rows(values: Sequence[bytes]) -> StoredRows:
    """Read rows (one at least) that have the same ROW_SHAPE and no strings.

    Raises:
        CodecError: lengths that do not fit.
    """
    count, words, width = _head(_ROW, values[0], "row")
    at, slots = _ROW.size + 8 * words, SLOT.itemsize * count
    data = _alike(values, at + slots + width * count, "row")
    if np.any(data[:, : _ROW.size] != data[0, : _ROW.size]):
        raise CodecError("stored rows are damaged: they are not of one shape")
    return StoredRows(
        np.ascontiguousarray(data[:, _ROW.size : at]).view(np.uint64),
        np.ascontiguousarray(data[:, at : at + slots]).view(SLOT) if count else np.zeros((len(values), 0), SLOT),
        np.ascontiguousarray(data[:, at + slots :]).reshape(len(values), count, width),
    )


def encode_feature(timestamp: int, payload: bytes, strings: bytes) -> bytes:
    """Return a vertex record; `strings` is what `encode_strings` gave, or nothing."""
    return _FEATURE.pack(timestamp, len(payload)) + payload + strings


def decode_feature(value: bytes) -> tuple[int, Bytes, list[bytes]]:
    """Return timestamp, payload uint8 [width] and strings.

    Raises:
        CodecError: lengths that do not fit.
    """
    timestamp, width = _head(_FEATURE, value, "vertex record")
    end = _FEATURE.size + width
    data = _data(value, end, "vertex record")
    return timestamp, data[_FEATURE.size : end], decode_strings(data[end:])


def decode_features(values: Sequence[bytes]) -> tuple[Int64s, Bytes]:
    """Return timestamps int64 [n] and payloads uint8 [n, width] of records (one at least) of one FEATURE_SHAPE, without strings.

    Raises:
        CodecError: lengths that do not fit.
    """
    _, width = _head(_FEATURE, values[0], "vertex record")
    data = _alike(values, _FEATURE.size + width, "vertex record")
    heads = np.ascontiguousarray(data[:, : _FEATURE.size]).view(_FEATURE_DTYPE)[:, 0]
    if np.any(heads["width"] != width):
        raise CodecError("stored vertex records are damaged: they are not of one shape")
    return heads["timestamp"].astype(np.int64), np.ascontiguousarray(data[:, _FEATURE.size :])


def encode_payloads(payload: Bytes, texts: Sequence[Sequence[bytes]] | None) -> list[bytes]:
    """Return payloads (uint8 [n, width]) as values of history, each with the strings that it refers to."""
    width = payload.shape[1]
    head, data = _PAYLOAD.pack(width), payload.tobytes()
    values = [head + data[i : i + width] for i in range(0, len(data), width)]
    if texts is None:
        return values
    return [v + encode_strings(t) if t else v for v, t in zip(values, texts, strict=True)]


def decode_payload(value: bytes) -> tuple[Bytes, list[bytes]]:
    """Return a payload uint8 [width] and its strings.

    Raises:
        CodecError: lengths that do not fit.
    """
    (width,) = _head(_PAYLOAD, value, "edge")
    end = _PAYLOAD.size + width
    data = _data(value, end, "edge")
    return data[_PAYLOAD.size : end], decode_strings(data[end:])


def decode_payloads(values: Sequence[bytes]) -> Bytes:
    """Return payloads (one at least) of one width and without strings, as most are: uint8 [n, width].

    Raises:
        CodecError: lengths that do not fit.
    """
    (width,) = _head(_PAYLOAD, values[0], "edge")
    data = _alike(values, _PAYLOAD.size + width, "edge")
    if np.any(data[:, : _PAYLOAD.size] != data[0, : _PAYLOAD.size]):
        raise CodecError("stored edges are damaged: they are not of one width")
    return np.ascontiguousarray(data[:, _PAYLOAD.size :])


def _alike(values: Sequence[bytes], size: int, what: str) -> Bytes:
    """Return values that all have this size as uint8 [n, size]."""
    joined = b"".join(values)
    if any(len(value) != size for value in values):
        raise CodecError(f"a stored {what} is damaged: its head promises {size} bytes")
    return np.frombuffer(bytearray(joined), np.uint8).reshape(len(values), size)


def _head(head: struct.Struct, value: bytes, what: str) -> tuple[Any, ...]:
    if len(value) < head.size:
        raise CodecError(f"a stored {what} of {len(value)} bytes is damaged: it has no head")
    return head.unpack_from(value)


def _data(value: bytes, least: int, what: str) -> Bytes:
    if len(value) < least:
        raise CodecError(f"a stored {what} of {len(value)} bytes is damaged: its head promises {least}")
    return np.frombuffer(bytearray(value), np.uint8)
