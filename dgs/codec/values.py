"""Values of a sampler partition's store: rows with their subscribers, vertex records, and the payloads of history."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dgs.codec.frame import decode_strings, encode_strings
from dgs.core.blocks import SLOT
from dgs.core.errors import CodecError
from dgs.core.types import Bytes, Records, UInt64s

_ROW = struct.Struct("<HHH")
_FEATURE = struct.Struct("<qH")
_PAYLOAD = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it is stored: subscribers uint64 [words], slots SLOT [n], payload uint8 [n, width], strings it refers to."""

    subscribers: UInt64s
    slots: Records
    payload: Bytes
    strings: list[bytes]


def encode_row(count: int, width: int, subscribers: UInt64s, packed: bytes, strings: Sequence[bytes]) -> bytes:
    """Return a row; `packed` is its slots and then its payloads."""
    head = _ROW.pack(count, width, len(subscribers)) + subscribers.tobytes() + packed
    return head + encode_strings(strings) if strings else head


def decode_row(value: bytes) -> StoredRow:
    """Read what `encode_row` wrote.

    Raises:
        CodecError: lengths that do not fit.
    """
    try:
        count, width, words = _ROW.unpack_from(value)
        data = np.frombuffer(bytearray(value), np.uint8)
        at = _ROW.size
        subscribers, at = data[at : at + 8 * words].copy().view(np.uint64), at + 8 * words
        slots, at = data[at : at + SLOT.itemsize * count].copy().view(SLOT), at + SLOT.itemsize * count
        payload, at = data[at : at + width * count].reshape(count, width), at + width * count
    except (struct.error, ValueError) as e:
        raise CodecError(f"a stored row of {len(value)} bytes is damaged: {e}") from None
    return StoredRow(subscribers, slots, payload, decode_strings(data[at:]))


def encode_feature(timestamp: int, payload: bytes, strings: Sequence[bytes]) -> bytes:
    """Return a vertex record."""
    head = _FEATURE.pack(timestamp, len(payload)) + payload
    return head + encode_strings(strings) if strings else head


def decode_feature(value: bytes) -> tuple[int, Bytes, list[bytes]]:
    """Return timestamp, payload uint8 [width] and strings.

    Raises:
        CodecError: lengths that do not fit.
    """
    try:
        timestamp, width = _FEATURE.unpack_from(value)
    except struct.error as e:
        raise CodecError(f"a stored vertex record of {len(value)} bytes is damaged: {e}") from None
    data = np.frombuffer(bytearray(value), np.uint8)
    end = _FEATURE.size + width
    return timestamp, data[_FEATURE.size : end], decode_strings(data[end:])


def encode_payloads(payload: Bytes, texts: Sequence[Sequence[bytes]] | None) -> list[bytes]:
    """Return payloads (uint8 [n, width]) as values of history, each with the strings that it refers to."""
    width = payload.shape[1]
    head, data = _PAYLOAD.pack(width), payload.tobytes()
    values = [head + data[i : i + width] for i in range(0, len(data), width)]
    if texts is None:
        return values
    return [v + encode_strings(t) if t else v for v, t in zip(values, texts, strict=True)]


def decode_payload(value: bytes) -> tuple[Bytes, list[bytes]]:
    """Return a payload uint8 [width] and its strings."""
    (width,) = _PAYLOAD.unpack_from(value)
    data = np.frombuffer(bytearray(value), np.uint8)
    end = _PAYLOAD.size + width
    return data[_PAYLOAD.size : end], decode_strings(data[end:])
