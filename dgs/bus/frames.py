"""The bytes of a local log: entries as frames of (length u32, checksum u32, payload), little endian.

It never decides what a bad frame means for the log (the segments do), it only says whether a frame is there, and if not, why.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from dgs.bus.base import Entry
from dgs.core.errors import TooLargeError
from dgs.core.types import Position

ENTRY_BYTES_MAX = 1 << 30
"""A length above it cannot have been written: it is damage. Far above what any writer has a use for."""

_HEADER = struct.Struct("<II")
_ALL_BITS = 0xFFFFFFFF
_SCAN_BYTES = 1 << 20


class Fault(NamedTuple):
    """Why no frame can be read at a place."""

    reason: str
    torn: bool
    """A write that stopped half-way looks like this: nothing else follows it, or zero bytes that a file system has put there."""


def encode(entries: Sequence[bytes]) -> list[bytes]:
    """Return headers and payloads in turn, ready for `writev`; TooLargeError above ENTRY_BYTES_MAX.

    The checksum starts from the complement of the length, not from 0: it covers the length too, and a run of zero bytes, which a
    file system may leave behind after a power loss, is not a run of valid empty entries.
    """
    parts: list[bytes] = []
    for data in entries:
        length = len(data)
        if length > ENTRY_BYTES_MAX:
            raise TooLargeError(f"an entry of {length} bytes is above the {ENTRY_BYTES_MAX} that a log takes; split it")
        parts.append(_HEADER.pack(length, zlib.crc32(data, length ^ _ALL_BITS)))
        parts.append(data)
    return parts


def parse(buffer: bytes, position: Position) -> list[Entry]:
    """Return the frames from the start of the buffer up to the first that is not whole or not right."""
    unpack, crc32, header_bytes, stop = _HEADER.unpack_from, zlib.crc32, _HEADER.size, len(buffer)
    entries: list[Entry] = []
    offset = 0
    while offset + header_bytes <= stop:
        length, checksum = unpack(buffer, offset)
        start, offset = offset + header_bytes, offset + header_bytes + length
        data = buffer[start:offset]
        if offset > stop or crc32(data, length ^ _ALL_BITS) != checksum:
            break
        following = Position(position + header_bytes + length)
        entries.append(Entry(position, following, data))
        position = following
    return entries


def read_frames(fd: int, offset: int, limit: int, position: Position, max_bytes: int) -> list[Entry]:
    """Read frames between two offsets of a file: at least one if a good one is there, then what fits into `max_bytes`."""
    available = limit - offset
    buffer = os.pread(fd, min(max(max_bytes, _HEADER.size), available), offset)
    entries = parse(buffer, position)
    if not entries and len(buffer) >= _HEADER.size:
        whole = _HEADER.size + int(_HEADER.unpack_from(buffer)[0])
        if len(buffer) < whole <= available:
            entries = parse(os.pread(fd, whole, offset), position)
    return entries


def diagnose(fd: int, offset: int, limit: int) -> Fault:
    """Say why `read_frames` found nothing at this offset."""
    header = os.pread(fd, min(_HEADER.size, limit - offset), offset)
    if len(header) < _HEADER.size:
        return Fault(f"only {len(header)} bytes of its header are there", torn=True)
    length = int(_HEADER.unpack(header)[0])
    stop = offset + _HEADER.size + length
    if length > ENTRY_BYTES_MAX:
        return Fault(f"its length of {length} bytes cannot be", torn=False)
    if length == 0 and _zeros(fd, offset, limit):
        return Fault("nothing but zero bytes follow", torn=True)
    if stop > limit:
        return Fault(f"it says {length} bytes, {limit - offset - _HEADER.size} are there", torn=True)
    return Fault(f"its checksum does not fit its {length} bytes", torn=stop == limit)


def _zeros(fd: int, offset: int, limit: int) -> bool:
    """Return whether there are only zero bytes between two offsets of a file."""
    while offset < limit:
        piece = os.pread(fd, min(_SCAN_BYTES, limit - offset), offset)
        if not piece or piece.count(0) < len(piece):
            return False
        offset += len(piece)
    return True
