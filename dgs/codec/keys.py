"""Keys of a sampler partition's store. Big endian with the sign bit flipped, so that keys sort as their numbers do."""

import struct
from collections.abc import Sequence

import numpy as np

from dgs.core.records import EdgeRecords
from dgs.core.types import AnyArray, Int64s, UInt64s

ROWS, FEATURES, HISTORY = b"r", b"f", b"h"
"""First byte: rows of operators; newest vertex records; all edges."""

_KEY = struct.Struct(">cIQ")
_ELEMENT = np.dtype([("table", "S1"), ("owner", ">u4"), ("vertex", ">u8")])
_HISTORY_PREFIX = struct.Struct(">cIIQ")
_SIGN = 1 << 63
_HISTORY = np.dtype(
    [
        ("tag", "S1"),
        ("etype", ">u4"),
        ("src_type", ">u4"),
        ("src", ">u8"),
        ("timestamp", ">u8"),
        ("dst_type", ">u4"),
        ("dst", ">u8"),
    ]
)
PREFIX_BYTES = _HISTORY_PREFIX.size
"""Length of the part of a history key that names the source."""
HISTORY_BYTES = _HISTORY.itemsize


def element_key(table: bytes, owner: int, vertex: int) -> bytes:
    """Return the key of a row (owner: operator) or of a vertex record (owner: vertex type)."""
    return _KEY.pack(table, owner, (vertex ^ _SIGN) & (2 * _SIGN - 1))


def element_keys(table: bytes, owner: int, vertices: Int64s) -> list[bytes]:
    """Return `element_key` of many vertices: int64 [n]."""
    keys = np.zeros(len(vertices), _ELEMENT)
    keys["table"], keys["owner"], keys["vertex"] = table, owner, _flip(vertices)
    data, size = keys.tobytes(), _ELEMENT.itemsize
    return [data[at : at + size] for at in range(0, len(data), size)]


def read_element_key(key: bytes) -> tuple[int, int]:
    """Return owner and vertex id."""
    _, owner, vertex = _KEY.unpack(key)
    return owner, vertex - _SIGN


def read_element_keys(keys: Sequence[bytes]) -> tuple[int, Int64s]:
    """Return the owner of keys (one at least) that have the same one, and the vertex ids: int64 [n]."""
    raw = np.frombuffer(b"".join(keys), _ELEMENT)
    return int(raw["owner"][0]), _unflip(raw["vertex"])


def history_prefix(etype: int, src_type: int, src: int) -> bytes:
    """Return what the keys of all edges of a source begin with."""
    return _HISTORY_PREFIX.pack(HISTORY, etype, src_type, (src ^ _SIGN) & (2 * _SIGN - 1))


def read_history_head(key: bytes) -> tuple[int, int]:
    """Return edge type and source type of a history key."""
    _, etype, src_type, _ = _HISTORY_PREFIX.unpack_from(key)
    return etype, src_type


def history_keys(edges: EdgeRecords) -> bytes:
    """Return the keys of edges, HISTORY_BYTES each, one behind the other."""
    keys = np.zeros(len(edges.src), _HISTORY)
    keys["tag"] = HISTORY
    keys["etype"], keys["src_type"], keys["dst_type"] = edges.etype, edges.src_type, edges.dst_type
    keys["src"], keys["dst"], keys["timestamp"] = _flip(edges.src), _flip(edges.dst), _flip(edges.timestamps)
    return keys.tobytes()


def read_history_keys(keys: list[bytes]) -> tuple[Int64s, AnyArray, Int64s]:
    """Return timestamps int64, destination types int32 and destinations int64 of history keys."""
    raw = np.frombuffer(b"".join(keys), _HISTORY)
    return _unflip(raw["timestamp"]), raw["dst_type"].astype(np.int32), _unflip(raw["dst"])


def read_history_sources(keys: list[bytes]) -> tuple[AnyArray, AnyArray, Int64s]:
    """Return edge types int32, source types int32 and sources int64 of history keys."""
    raw = np.frombuffer(b"".join(keys), _HISTORY)
    return raw["etype"].astype(np.int32), raw["src_type"].astype(np.int32), _unflip(raw["src"])


def _flip(values: Int64s) -> UInt64s:
    flipped: UInt64s = values.view(np.uint64) ^ np.uint64(_SIGN)
    return flipped


def _unflip(values: AnyArray) -> Int64s:
    ids: Int64s = (values.astype(np.uint64) ^ np.uint64(_SIGN)).view(np.int64)
    return ids
