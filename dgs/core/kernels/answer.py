"""One request in one call: walk, gather, and write the graph's message. All that it needs stands in one record.

A kernel that takes one record costs a request a microsecond; one that takes the thirty arrays behind it would cost ten.
"""

import numpy as np
from numba.np.numpy_support import carray

from dgs.core.kernels.gather import ELEMENT, PART, field_bytes, locate, measure, put_field, put_varint, varint_bytes, write
from dgs.core.kernels.jit import kernel
from dgs.core.kernels.memory import copy, pointer, store_u1
from dgs.core.kernels.walk import GROUP, NODE, TYPE, walk
from dgs.core.types import Fields

DONE, SCRATCH, ADDRESSES, OUT, STAMPS = range(5)
"""What a call returns: done, or which buffer has to be larger (`wanted` says how large), or that stamps are used up."""
STAMPS_MOST = (1 << 31) - 2

CONTEXT = np.dtype(
    [
        *[(name, "<i8") for name in ("nodes", "nodes_n", "feeds", "feeds_n", "groups", "groups_n", "types", "types_n")],
        *[(name, "<i8") for name in ("elements", "elements_n", "parts", "parts_n", "literals")],
        ("head", "<i8"),  # literal bytes that the graph begins with
        ("head_bytes", "<i8"),
    ],
    align=True,
)
"""A program and one of its recipes: addresses and lengths of arrays."""

ROOM = np.dtype(
    [
        ("seeds", "<i8"),  # addresses of int64, int32, int32, int64: what is asked, the places, and distinct seeds
        ("asked", "<i8"),
        ("places", "<i8"),
        ("distinct", "<i8"),
        ("seeds_n", "<i8"),
        *[(name, "<i8") for name in ("scratch", "scratch_n", "addresses", "addresses_n", "bits", "bits_n")],
        ("reflected", "<i8"),  # fields that say what the graph reflects
        ("reflected_bytes", "<i8"),
        *[(name, "<i8") for name in ("out", "out_n")],
        ("tags", "<i8"),  # tags of the fields of a graph, one byte each: graphs, seeds, asked, seed_rows, pending
        ("stamp", "<i8"),  # of the walk before
        ("mark", "<i8"),  # the first that no walk has used
        ("wanted", "<i8"),  # result: length that a buffer must have
        ("size", "<i8"),  # result: bytes written
        ("pending", "<i8"),  # result
    ],
    align=True,
)
"""Buffers that requests share, and what a request and its answer are."""

WALK, WRITE, BOTH = 1, 2, 3
"""Stages: texts are looked up between the two, where there are any."""
TAGS_N = 5


@kernel
def answer(context: Fields, room: Fields, stages: int) -> int:
    """Answer one request; see the constants above.

    Args:
        context: CONTEXT [1].
        room: ROOM [1].
        stages: WALK, WRITE after that, or BOTH. `elements_n` may be 0 in a WALK whose columns nobody gathers.
    """
    c, r = context[0], room[0]
    nodes = carray(pointer(c.nodes), (c.nodes_n,), NODE)
    groups = carray(pointer(c.groups), (c.groups_n,), GROUP)
    types = carray(pointer(c.types), (c.types_n,), TYPE)
    elements = carray(pointer(c.elements), (c.elements_n,), ELEMENT)
    parts = carray(pointer(c.parts), (c.parts_n,), PART)
    scratch = carray(pointer(r.scratch), (r.scratch_n,), np.int32)
    addresses = carray(pointer(r.addresses), (r.addresses_n,), np.int64)
    distinct = carray(pointer(r.distinct), (r.seeds_n,), np.int64)
    if stages & WALK:
        feeds = carray(pointer(c.feeds), (c.feeds_n,), np.int32)
        seeds = carray(pointer(r.seeds), (r.seeds_n,), np.int64)
        places = carray(pointer(r.places), (r.seeds_n,), np.int32)
        if r.stamp >= STAMPS_MOST:
            return STAMPS
        r.stamp += 1
        mark = r.mark
        r.mark += c.nodes_n  # those of this walk; the next one may be of another query, on the same marks
        r.wanted = walk(nodes, feeds, groups, types, seeds, places, distinct, r.stamp, mark, scratch)
        if r.wanted:
            return SCRATCH
        r.pending = 0
        for i in range(c.nodes_n):
            r.pending += nodes[i].pending
        bits = carray(pointer(r.bits), (r.bits_n,), np.uint8)
        r.wanted = locate(elements, parts, groups, types, scratch, addresses, bits)
        if r.wanted:
            return ADDRESSES
    if stages & WRITE:
        own = c.head_bytes + r.reflected_bytes
        own += field_bytes(8 * r.seeds_n) + 2 * field_bytes(4 * r.seeds_n)
        if r.pending:
            own += 1 + varint_bytes(r.pending)
        own += measure(elements, parts)
        r.size = 1 + varint_bytes(own) + own
        if r.size > r.out_n:
            r.wanted = r.size
            return OUT
        tags = carray(pointer(r.tags), (TAGS_N,), np.uint8)
        store_u1(r.out, tags[0])
        at = put_varint(r.out + 1, own)
        copy(at, c.head, c.head_bytes)
        at += c.head_bytes
        at = put_field(at, tags[1], r.seeds, 8 * r.seeds_n)
        at = put_field(at, tags[2], r.asked, 4 * r.seeds_n)
        at = put_field(at, tags[3], r.places, 4 * r.seeds_n)
        copy(at, r.reflected, r.reflected_bytes)
        at += r.reflected_bytes
        if r.pending:
            store_u1(at, tags[4])
            at = put_varint(at + 1, r.pending)
        write(elements, parts, c.literals, groups, types, distinct, scratch, addresses, at)
    return DONE
