"""Hypothesis strategies for damage: bytes and JSON documents that were right before something happened to them."""

import copy
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

Edit = Callable[[bytes], bytes]

ODD_INTEGERS = [0, 1, 2, 3, 4, 5, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 16, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 62]
ODD_INTEGERS += [(1 << 63) - 1, 1 << 63, (1 << 64) - 1]


@st.composite
def _edits(draw: st.DrawFn, others: st.SearchStrategy[bytes]) -> Edit:
    """Draw one change of bytes, whatever their length. Numbers are written where numbers may stand: at multiples of their size."""
    kind = draw(st.sampled_from(["write", "write", "write", "byte", "cut", "insert", "remove", "repeat", "splice"]))
    place = draw(st.floats(0, 1, exclude_max=True))
    size = draw(st.sampled_from([1, 2, 4, 8]))
    number = draw(st.sampled_from(ODD_INTEGERS) | st.integers(0, (1 << 64) - 1)) & ((1 << 8 * size) - 1)
    other = draw(others)
    length = draw(st.integers(1, 48))

    def edit(data: bytes) -> bytes:
        at = int(place * len(data))
        if kind == "write":
            at -= at % size
            return data[:at] + number.to_bytes(size, "little") + data[at + size :]
        if kind == "byte":
            return data[:at] + bytes([number & 0xFF]) + data[at + 1 :]
        if kind == "cut":
            return data[:at]
        if kind == "insert":
            return data[:at] + other[:length] + data[at:]
        if kind == "remove":
            return data[:at] + data[at + length :]
        if kind == "repeat":
            return data[:at] + data[at : at + length] * 2 + data[at + length :]
        return data[:at] + other[at : at + length] + data[at + length :]

    return edit


def damaged(corpus: Sequence[bytes], mend: Edit = lambda data: data) -> st.SearchStrategy[bytes]:
    """Return one of the corpus after up to six changes; most often what `mend` makes of it, which may set a checksum right."""

    def apply(data: bytes, edits: list[Edit], mended: bool) -> bytes:
        for edit in edits:
            data = edit(data)
        return mend(data) if mended else data

    # By index: Hypothesis writes out what `sampled_from` is given, and a corpus is long.
    one = st.integers(0, len(corpus) - 1).map(lambda i: corpus[i])
    edits = st.lists(_edits(one), max_size=6)
    return st.builds(apply, one, edits, st.sampled_from([True, True, True, False]))


def with_frame_checksum(data: bytes) -> bytes:
    """Return a frame of `dgs.codec.frame` with the checksum that fits it, so that what is behind the checksum is met, too."""
    if len(data) < 8:
        return data
    return data[:4] + zlib.crc32(data[8:], zlib.crc32(data[:4])).to_bytes(4, "little") + data[8:]


# JSON -----------------------------------------------------------------------------------------------------------------------------


def nested(depth: int, inner: Any = 0) -> Any:
    """Return an array in an array in an array …"""
    for _ in range(depth):
        inner = [inner]
    return inner


texts = st.text(max_size=8) | st.sampled_from(["", "0", "timestamp", "weight", "\ud800", "\x00", "user", "a,b", "a\nb", "INT64"])
numbers = st.sampled_from([*ODD_INTEGERS, -1, -(1 << 63), 10**30, 1e308, 0.5, -0.0, float("inf"), float("nan")]) | st.integers(
    -3, 12
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.one_of(
    scalars,
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12),
    st.sampled_from([20, 63, 70, 400]).map(nested),
)
"""Any JSON value, and some that only Python's reader takes for JSON."""


@st.composite
def damaged_documents(draw: st.DrawFn, corpus: Sequence[Any], at_most: int = 5) -> Any:
    """Draw one of the documents after some changes of its parts."""
    document = copy.deepcopy(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(0, at_most))):
        document = _changed(draw, document)
    return document


def _changed(draw: st.DrawFn, document: Any) -> Any:
    """Change one part: replace, remove or double it, or put a part of the document in its place."""
    holder: Any = None
    key: Any = None
    part = document
    while isinstance(part, dict | list) and part and (holder is None or draw(st.integers(0, 5))):
        holder, key = part, draw(st.sampled_from(sorted(part, key=repr) if isinstance(part, dict) else range(len(part))))
        part = part[key]
    if holder is None:
        return draw(values)
    action = draw(st.sampled_from(["replace", "replace", "remove", "double", "swap", "add"]))
    if action == "remove":
        del holder[key]
    elif action == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(part))
    elif action == "swap":
        other = draw(st.sampled_from(sorted(holder, key=repr) if isinstance(holder, dict) else range(len(holder))))
        holder[key], holder[other] = holder[other], holder[key]
    elif action == "add" and isinstance(holder, dict):
        holder[draw(texts)] = draw(values)
    else:
        holder[key] = draw(values)
    return document
