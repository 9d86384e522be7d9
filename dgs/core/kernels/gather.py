"""Columns of a walk as length-delimited fields: measured first, then written into one buffer.

What a field means, and every byte that does not come from a table, is the recipe's business (`dgs.codec.messages`); here a recipe
is elements, each of some parts, and literal bytes between them. Lengths are base-128 varints, as protobuf has them.
"""

from typing import Any

import numpy as np

from dgs.core.kernels.jit import kernel
from dgs.core.kernels.memory import copy, load_i4, load_i8, load_u1, store_i4, store_i8, store_u1
from dgs.core.kernels.walk import SLOT_BYTES, SLOT_TIMESTAMP
from dgs.core.types import Bytes, Fields, Int32s, Int64s

IDS, KNOWN, RECORD_TIMESTAMPS, SRC, DST, TIMESTAMPS, INT_SCORES, FLOAT_SCORES, VALUES, TEXTS = range(10)
"""What a part takes its bytes from: TEXTS are made outside of kernels."""
ALL, SOME, NONE = 0, 1, 2
"""How many rows of an element have an attribute; of no rows, all."""

ELEMENT = np.dtype(
    [
        ("tag", "<i4"),  # its field in the message
        ("edges", "<i4"),  # 1 of a group, 0 of a vertex type
        ("target", "<i4"),  # which one
        ("literal", "<i4"),  # literals[literal : literal + literal_bytes] come first
        ("literal_bytes", "<i4"),
        ("part0", "<i4"),
        ("parts", "<i4"),
        ("presence_bytes", "<i4"),
        ("payload", "<i8"),  # of a group: addresses of its table's payloads and slots
        ("width", "<i8"),
        ("slots", "<i8"),
        ("address0", "<i8"),  # result: where in `addresses` those of its rows begin
        ("rows", "<i8"),  # result
        ("size", "<i8"),  # result: bytes without tag and length
    ],
    align=True,
)
"""One message: the vertices of a type, or the edges of a group."""

PART = np.dtype(
    [
        ("source", "<i4"),
        ("tag", "<i4"),  # the field of the values, in the column or, for what is no column, in the element
        ("column", "<i4"),  # tag of the column's message in the element; 0 for what is no column
        ("literal", "<i4"),  # the column's own literals: name, type, length
        ("literal_bytes", "<i4"),
        ("offset", "<i4"),  # of VALUES: where they stand in a payload
        ("width", "<i4"),  # bytes a row
        ("bit", "<i4"),  # of a column: its presence bit
        ("present_tag", "<i4"),
        ("absent_tag", "<i4"),
        ("offsets_tag", "<i4"),
        ("texts", "<i8"),  # of TEXTS: address and length of the values, address of the offsets
        ("texts_bytes", "<i8"),
        ("offsets", "<i8"),
        ("presence", "<i4"),  # result: ALL, SOME or NONE
        ("size", "<i8"),  # result: bytes without a column's tag and length
    ],
    align=True,
)
"""One column, or one array that every row has."""


@kernel
def varint_bytes(value: int) -> int:
    """Bytes of a varint."""
    n = 1
    while value > 127:
        value >>= 7
        n += 1
    return n


@kernel
def put_varint(at: int, value: int) -> int:
    """Write a varint; return where it ends."""
    while value > 127:
        store_u1(at, np.uint8(value & 127 | 128))
        value >>= 7
        at += 1
    store_u1(at, np.uint8(value))
    return at + 1


@kernel
def field_bytes(size: int) -> int:
    """Bytes of a field of so many bytes, whose tag takes one; an empty one is left out."""
    return 1 + varint_bytes(size) + size if size > 0 else 0


@kernel
def put_field(at: int, tag: int, source: int, size: int) -> int:
    """Write a field from an address; return where it ends."""
    if size > 0:
        store_u1(at, np.uint8(tag))
        at = put_varint(at + 1, size)
        copy(at, source, size)
    return at + size


@kernel
def locate(elements: Fields, parts: Fields, groups: Fields, types: Fields, scratch: Int32s, addresses: Int64s, bits: Bytes) -> int:
    """Find where the payload of every row stands (0: nowhere) and which attributes all or some rows have.

    Args:
        elements, parts: see above; results are written into them.
        groups, types, scratch: of the walk.
        addresses: int64, takes one number a row, element by element.
        bits: uint8 [2 * most presence bytes].

    Returns:
        0, or how long `addresses` must be for another attempt.
    """
    top = 0
    half = len(bits) // 2
    for i in range(len(elements)):
        x = elements[i]
        n = groups[x.target].n if x.edges else types[x.target].used
        if top + n > len(addresses):
            return 2 * (top + n)
        elements[i].rows = n
        elements[i].address0 = top
        if x.edges:
            for r in range(n):
                addresses[top + r] = x.payload + np.int64(scratch[groups[x.target].slot + r]) * x.width
        else:
            t = types[x.target]
            for r in range(n):
                v = load_i4(t.members + 4 * r)
                here = load_u1(t.covered + r) != 0 and v < t.records_rows
                addresses[top + r] = t.records + v * t.records_width if here else np.int64(0)
        for b in range(x.presence_bytes):
            every, some = np.uint8(255), np.uint8(0)
            for r in range(top, top + n):
                byte = load_u1(addresses[r] + b) if addresses[r] else np.uint8(0)
                every &= byte
                some |= byte
            bits[b], bits[half + b] = every, some
        top += n
        for p in range(x.part0, x.part0 + x.parts):
            if parts[p].column:
                byte, flag = parts[p].bit >> 3, np.uint8(1 << (parts[p].bit & 7))
                if n == 0 or bits[byte] & flag:
                    parts[p].presence = ALL
                else:
                    parts[p].presence = SOME if bits[half + byte] & flag else NONE
    return 0


@kernel
def measure(elements: Fields, parts: Fields) -> int:
    """Fill the sizes of located elements; return the bytes of all of them, tags and lengths included."""
    total = 0
    for i in range(len(elements)):
        x = elements[i]
        size: Any = np.int64(x.literal_bytes)
        for p in range(x.part0, x.part0 + x.parts):
            part = parts[p]
            own: Any = np.int64(part.literal_bytes)
            if part.column and part.presence == NONE:
                own += 2
            elif part.source == TEXTS:
                own += field_bytes(part.texts_bytes) + field_bytes(4 * (x.rows + 1))
            else:
                own += field_bytes(x.rows * part.width)
            if part.column and part.presence == SOME:
                own += field_bytes(x.rows)
            parts[p].size = own
            size += own
            if part.column:
                size += 1 + varint_bytes(own)
        elements[i].size = size
        total += 1 + varint_bytes(size) + size
    return total


@kernel
def write(
    elements: Fields,
    parts: Fields,
    literals: int,
    groups: Fields,
    types: Fields,
    members_of_seeds: Int64s,
    scratch: Int32s,
    addresses: Int64s,
    at: int,
) -> int:
    """Write measured elements from an address on; return where they end."""
    for i in range(len(elements)):
        x = elements[i]
        store_u1(at, np.uint8(x.tag))
        at = put_varint(at + 1, x.size)
        copy(at, literals + x.literal, x.literal_bytes)
        at += x.literal_bytes
        rows = addresses[x.address0 : x.address0 + x.rows]
        for p in range(x.part0, x.part0 + x.parts):
            part = parts[p]
            if part.column:
                store_u1(at, np.uint8(part.column))
                at = put_varint(at + 1, part.size)
                copy(at, literals + part.literal, part.literal_bytes)
                at += part.literal_bytes
                if part.presence == NONE:
                    store_u1(at, np.uint8(part.absent_tag))
                    store_u1(at + 1, np.uint8(1))
                    at += 2
                    continue
            size = part.texts_bytes if part.source == TEXTS else x.rows * part.width
            if size > 0:
                store_u1(at, np.uint8(part.tag))
                at = put_varint(at + 1, size)
                if part.source == TEXTS:
                    copy(at, part.texts, size)
                elif x.edges:
                    _edge_column(part, groups[x.target], x, rows, scratch, at)
                else:
                    _vertex_column(part, types[x.target], rows, members_of_seeds, at)
                at += size
            if part.column and part.presence == SOME:
                store_u1(at, np.uint8(part.present_tag))
                at = put_varint(at + 1, x.rows)
                for r in range(x.rows):
                    byte = load_u1(rows[r] + (part.bit >> 3)) if rows[r] else np.uint8(0)
                    store_u1(at + r, byte >> np.uint8(part.bit & 7) & np.uint8(1))
                at += x.rows
            if part.source == TEXTS:
                store_u1(at, np.uint8(part.offsets_tag))
                at = put_varint(at + 1, 4 * (x.rows + 1))
                copy(at, part.offsets, 4 * (x.rows + 1))
                at += 4 * (x.rows + 1)
    return at


@kernel
def _values(part: Fields, rows: Int64s, at: int) -> None:
    width = np.int64(part.width)
    if width == 4:
        for r in range(len(rows)):
            store_i4(at + 4 * r, load_i4(rows[r] + part.offset) if rows[r] else np.int32(0))
    elif width == 8:
        for r in range(len(rows)):
            store_i8(at + 8 * r, load_i8(rows[r] + part.offset) if rows[r] else np.int64(0))
    else:
        for r in range(len(rows)):
            if rows[r]:
                copy(at + r * width, rows[r] + part.offset, width)
            else:
                for b in range(width):
                    store_u1(at + r * width + b, np.uint8(0))


@kernel
def _vertex_column(part: Fields, t: Fields, rows: Int64s, members_of_seeds: Int64s, at: int) -> None:
    if part.source == VALUES:
        _values(part, rows, at)
        return
    for r in range(len(rows)):
        v = load_i4(t.members + 4 * r)
        here = rows[r] != 0
        if part.source == IDS:
            store_i8(at + 8 * r, load_i8(t.ids + 8 * v) if v else members_of_seeds[r])
        elif part.source == KNOWN:
            covered = load_u1(t.covered + r)
            store_u1(at + r, (load_u1(t.known + v) if here else np.uint8(0)) if covered else np.uint8(255))
        else:
            store_i8(at + 8 * r, load_i8(t.timestamps + 8 * v) if here else np.int64(0))


@kernel
def _edge_column(part: Fields, group: Fields, x: Fields, rows: Int64s, scratch: Int32s, at: int) -> None:
    if part.source == VALUES:
        _values(part, rows, at)
        return
    for r in range(len(rows)):
        if part.source == SRC:
            store_i4(at + 4 * r, scratch[group.src + r])
        elif part.source == DST:
            store_i4(at + 4 * r, scratch[group.dst + r])
        else:
            slot = x.slots + SLOT_BYTES * np.int64(scratch[group.slot + r])
            if part.source == TIMESTAMPS:
                store_i8(at + 8 * r, load_i8(slot + SLOT_TIMESTAMP))
            else:
                bits = load_i8(slot)
                if part.source == INT_SCORES or bits < 0:  # both take the sign bit off; negative floats have all bits flipped
                    store_i8(at + 8 * r, bits ^ np.int64(-0x8000000000000000))
                else:
                    store_i8(at + 8 * r, ~bits)


@kernel
def references(rows: Int64s, offset: int, out: Int64s) -> None:
    """Take the string references at an offset of payloads; 0, the empty text, where there is none."""
    for r in range(len(rows)):
        out[r] = load_i8(rows[r] + offset) if rows[r] else np.int64(0)
