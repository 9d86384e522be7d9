"""Frames: the envelope of every log entry and stored file part. Versioned, checksummed, made of aligned binary sections.

Bytes, little endian: magic "DG" | version u8 | kind u8 | crc32 of all but itself u32 | section count u32 | length of each section
u32 | zeros up to a multiple of 8 | the sections, each followed by zeros up to a multiple of 8.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dgs.core.errors import CodecError
from dgs.core.types import AnyArray, Bytes

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

MAGIC = b"DG"
VERSION = 2
_HEAD = struct.Struct("<2sBB")
_CRC = struct.Struct("<I")
_PAD = bytes(8)


def encode_frame(kind: int, sections: Sequence["Buffer | AnyArray"]) -> bytes:
    """Return the frame of these sections (bytes, or C-contiguous arrays)."""
    parts: list[bytes] = [b""]
    lengths = [len(sections)]
    for section in sections:
        raw = section.tobytes() if isinstance(section, np.ndarray) else bytes(section)
        lengths.append(len(raw))
        parts.append(raw)
        parts.append(_PAD[: -len(raw) % 8])
    table = struct.pack(f"<{len(lengths)}I", *lengths)
    parts[0] = table + _PAD[: -len(table) % 8]
    body = b"".join(parts)
    head = _HEAD.pack(MAGIC, VERSION, kind)
    return head + _CRC.pack(zlib.crc32(body, zlib.crc32(head))) + body


def decode_frame(data: bytes) -> tuple[int, list[Bytes]]:
    """Return the kind and the sections, as writable, 8-byte aligned uint8 arrays over a private copy.

    Kernels are compiled for writable aligned arrays; a view on immutable bytes would be another signature.

    Raises:
        CodecError: foreign bytes, a newer version, a wrong checksum, or lengths that do not fit.
    """
    if len(data) < 16:
        raise CodecError(f"{len(data)} bytes are too few for a frame")
    magic, version, kind = _HEAD.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _HEAD.size)
    if magic != MAGIC:
        raise CodecError(f"not a frame of DGS: it begins with {data[:2]!r}")
    if version != VERSION:
        outdated = "it" if version > VERSION else "what wrote it"
        raise CodecError(f"format version {version}; this program reads {VERSION}: upgrade {outdated}")
    buffer = np.frombuffer(bytearray(data), np.uint8)
    if zlib.crc32(memoryview(data)[8:], zlib.crc32(data[: _HEAD.size])) != crc:
        raise CodecError("wrong checksum: the bytes are damaged")
    count = int.from_bytes(data[8:12], "little")
    at = 12 + 4 * count
    if count > 1 << 16 or at > len(data):
        raise CodecError(f"a frame of {count} sections does not fit into {len(data)} bytes")
    lengths = struct.unpack_from(f"<{count}I", data, 12)
    at += -at % 8
    sections = []
    for length in lengths:
        if at + length > len(data):
            raise CodecError("a section reaches beyond its frame")
        sections.append(buffer[at : at + length])
        at += length + -length % 8
    if at != len(data):
        raise CodecError(f"{len(data) - at} bytes too many behind the last section")
    return kind, sections


def as_array(section: Bytes, dtype: np.dtype[np.void] | str, shape: tuple[int, ...] | None = None) -> AnyArray:
    """Return a section as an array of this dtype, checked against the expected shape where one is given.

    Raises:
        CodecError: the length does not fit.
    """
    dt = np.dtype(dtype)
    if len(section) % dt.itemsize:
        raise CodecError(f"a section of {len(section)} bytes holds no whole number of {dt.itemsize}-byte elements")
    array: AnyArray = section.view(dt)
    if shape is None:
        return array
    if array.size != math.prod(shape):
        raise CodecError(f"a section holds {array.size} elements where {shape} are expected")
    return array.reshape(shape)


def encode_strings(strings: Sequence[bytes]) -> bytes:
    """Return texts as one section: count u32, lengths u32, bytes."""
    return struct.pack(f"<{len(strings) + 1}I", len(strings), *map(len, strings)) + b"".join(strings)


def decode_strings(section: Bytes) -> list[bytes]:
    """Read what `encode_strings` wrote; an empty section is no strings.

    Raises:
        CodecError: lengths that do not fit.
    """
    data = section.tobytes()
    if not data:
        return []
    count = int.from_bytes(data[:4], "little")
    at = 4 + 4 * count
    if at > len(data):
        raise CodecError("the table of strings is cut off")
    found = []
    for length in struct.unpack_from(f"<{count}I", data, 4):
        found.append(data[at : at + length])
        at += length
    if at != len(data):
        raise CodecError("strings do not fill their section")
    return found
