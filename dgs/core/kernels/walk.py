"""The walk of a request: from seeds, node by node of the plan, through rows that all stand in one serving partition.

A vertex gets a place among the members of its type when it is met first, so nothing is hashed and nothing appears twice. Tags tell
members of this walk from those of walks before: one 64-bit word a vertex row, the walk's stamp above the place.
"""

from typing import Any

import numpy as np

from dgs.core.kernels.jit import kernel
from dgs.core.kernels.memory import load_i4, load_i8, load_u1, prefetch, store_i4, store_i8, store_u1
from dgs.core.kernels.replica import PENDING
from dgs.core.kernels.scores import mix
from dgs.core.types import Fields, Int32s, Int64s

SLOT_BYTES, SLOT_TIMESTAMP, SLOT_DST_TYPE, SLOT_PLACE = 40, 16, 32, 36
"""Of `dgs.core.blocks.SLOT`; a test holds them to it."""

AHEAD, LINE_BYTES = 8, 64
"""Rows that are fetched before they are read, and how much memory comes at once."""

TYPE = np.dtype(
    [
        ("used", "<i8"),  # members so far
        ("tags", "<i8"),  # address of tags by vertex row, int64
        ("members", "<i8"),  # address of vertex rows by place, int32; 0 is a seed that nobody has named
        ("marks", "<i8"),  # address of marks by place, int64: which node has taken the place into its frontier last
        ("covered", "<i8"),  # address of flags by place, uint8: a vertex operator covers it
        ("ids", "<i8"),  # address of ids by vertex row, int64
        ("table", "<i8"),  # address of the index's table, int32
        ("mask", "<i8"),
        ("shift", "<u8"),
        ("known", "<i8"),  # addresses by vertex row, of the vertex operator that covers members of this type
        ("timestamps", "<i8"),
        ("records", "<i8"),
        ("records_rows", "<i8"),  # vertex rows that the three have room for; 0 without such an operator
        ("records_width", "<i8"),
    ],
    align=True,
)
"""One vertex type of a plan; the seed's comes first."""

NODE = np.dtype(
    [
        ("type", "<i4"),  # index of the type that it starts from
        ("edges", "<i4"),  # 1 it samples edges, 0 it looks at records
        ("limit", "<i4"),  # slots of a row that are wanted
        ("fanout", "<i4"),  # slots that a row has room for
        ("feed0", "<i4"),  # feeds[feed0 : feed0 + feeds]: groups whose destinations it starts from; -1 for the seeds
        ("feeds", "<i4"),
        ("group0", "<i4"),  # its groups, one per destination type
        ("groups", "<i4"),
        ("twin", "<i4"),  # an earlier node with the same operator, or -1
        ("frontier0", "<i8"),  # result: scratch[frontier0 : frontier0 + frontier] are the places that it started from
        ("frontier", "<i8"),
        ("pending", "<i8"),  # result: rows that have not arrived and no twin counts
        ("row_of", "<i8"),  # addresses of a `RowTable`
        ("rows", "<i8"),  # vertex rows that row_of has room for
        ("counts", "<i8"),
        ("slots", "<i8"),
        ("states", "<i8"),  # address of states by vertex row
        ("states_rows", "<i8"),
    ],
    align=True,
)
"""One node of a plan, behind its upstreams."""

GROUP = np.dtype(
    [
        ("dst_type", "<i4"),  # as slots have it
        ("type", "<i4"),  # the same as an index of the types
        ("n", "<i8"),  # result: edges
        ("src", "<i8"),  # result: where in scratch their sources' places begin, their destinations' places, their slots
        ("dst", "<i8"),
        ("slot", "<i8"),
    ],
    align=True,
)
"""The edges of one node towards one destination type."""


@kernel
def _find(t: Fields, id: int) -> int:
    at = np.int64(mix(np.uint64(id)) >> t.shift) & t.mask
    while True:
        row = load_i4(t.table + 4 * at)
        if row == 0 or load_i8(t.ids + 8 * row) == id:
            return row
        at = (at + 1) & t.mask


@kernel
def walk(
    nodes: Fields,
    feeds: Int32s,
    groups: Fields,
    types: Fields,
    seeds: Int64s,
    seed_places: Int32s,
    members_of_seeds: Int64s,
    stamp: int,
    mark: int,
    scratch: Int32s,
) -> int:
    """Collect the ego-graphs of seeds; return 0, or how long `scratch` must be for another attempt under another stamp.

    Args:
        nodes, groups, types: see above; results are written into them.
        feeds: see NODE.
        seeds: int64 [s].
        seed_places: int32 [s], takes the place of each seed; of the distinct ones these are 0, 1, 2, … in order of appearance.
        members_of_seeds: int64 [s], takes the distinct seeds.
        stamp: of this walk, 1 to 2**31 - 1, larger than any before on the same tags.
        mark: marks mark, mark + 1, … (one a node) were never used on the same marks.
        scratch: int32, takes frontiers and edges.
    """
    for i in range(len(types)):
        types[i].used = 0
    tag: Any = np.int64(stamp) << 32
    used = 0
    t0 = types[0]
    for i in range(len(seeds)):
        row = _find(t0, seeds[i])
        place: Any = np.int64(-1)
        if row != 0:
            found = load_i8(t0.tags + 8 * row)
            if found >> 32 == stamp:
                place = found & 0xFFFFFFFF
        else:
            for p in range(used):
                if members_of_seeds[p] == seeds[i]:
                    place = p
                    break
        if place < 0:
            place = used
            if row != 0:
                store_i8(t0.tags + 8 * row, tag | place)
            store_i4(t0.members + 4 * place, row)
            store_u1(t0.covered + place, np.uint8(0))
            members_of_seeds[used] = seeds[i]
            used += 1
        seed_places[i] = place
    types[0].used = used
    top = 0
    for i in range(len(nodes)):
        node = nodes[i]
        t = types[node.type]
        most = 0
        for f in range(node.feed0, node.feed0 + node.feeds):
            most += used if feeds[f] < 0 else groups[feeds[f]].n
        if top + most > len(scratch):
            return top + most
        frontier, size = top, 0
        for f in range(node.feed0, node.feed0 + node.feeds):
            count = used if feeds[f] < 0 else groups[feeds[f]].n
            for e in range(count):
                to: Any = np.int32(e) if feeds[f] < 0 else scratch[groups[feeds[f]].dst + e]
                if load_i8(t.marks + 8 * to) != mark + i:
                    store_i8(t.marks + 8 * to, mark + i)
                    scratch[frontier + size] = to
                    size += 1
        top += size
        nodes[i].frontier0 = frontier
        nodes[i].frontier = size
        nodes[i].pending = _pending(nodes, i, t, scratch)
        if node.edges == 0:
            for e in range(frontier, frontier + size):
                store_u1(t.covered + scratch[e], np.uint8(1))
            continue
        for g in range(node.group0, node.group0 + node.groups):
            most = size * node.limit
            if top + 3 * most > len(scratch):
                return top + 3 * most
            groups[g].src = top
            groups[g].dst = top + most
            groups[g].slot = top + 2 * most
            groups[g].n = _expand(node, t, groups[g], types, tag, scratch)
            top += 3 * most
    return 0


@kernel
def _expand(node: Fields, t: Fields, group: Fields, types: Fields, tag: int, scratch: Int32s) -> int:
    """Collect the slots of a frontier's rows that lead to one type, source by source, best first; return how many."""
    n = 0
    d = types[group.type]
    used = d.used
    end = node.frontier0 + node.frontier
    # Rows stand all over memory: while some are read, those that come next are on their way.
    for e in range(node.frontier0, min(node.frontier0 + AHEAD, end)):
        _fetch_row(node, t, scratch[e])
    for e in range(node.frontier0, end):
        if e + AHEAD < end:
            _fetch_row(node, t, scratch[e + AHEAD])
        place = scratch[e]
        v = load_i4(t.members + 4 * place)
        if v >= node.rows:
            continue
        row = np.int64(load_i4(node.row_of + 4 * v))
        slot = row * node.fanout
        for j in range(slot, slot + min(load_i4(node.counts + 4 * row), node.limit)):
            s = node.slots + SLOT_BYTES * j
            if load_i4(s + SLOT_DST_TYPE) != group.dst_type:
                continue
            w = load_i4(s + SLOT_PLACE)
            found = load_i8(d.tags + 8 * w)
            if (found ^ tag) >> 32 == 0:
                to: Any = np.int32(found & 0xFFFFFFFF)
            else:
                to = np.int32(used)
                store_i8(d.tags + 8 * w, tag | used)
                store_i4(d.members + 4 * used, w)
                store_u1(d.covered + used, np.uint8(0))
                used += 1
                _fetch_vertex(d, w)
            scratch[group.src + n] = place
            scratch[group.dst + n] = to
            scratch[group.slot + n] = j
            n += 1
    types[group.type].used = used
    return n


@kernel
def _fetch_row(node: Fields, t: Fields, place: int) -> None:
    v = load_i4(t.members + 4 * place)
    if v < node.rows:
        row = np.int64(load_i4(node.row_of + 4 * v))
        prefetch(node.counts + 4 * row)
        at = node.slots + SLOT_BYTES * row * node.fanout
        for line in range(at, at + SLOT_BYTES * node.limit, LINE_BYTES):
            prefetch(line)


@kernel
def _fetch_vertex(t: Fields, v: int) -> None:
    """What is going to be gathered of a vertex."""
    prefetch(t.ids + 8 * v)
    if v < t.records_rows:
        prefetch(t.known + v)
        prefetch(t.timestamps + 8 * v)
        prefetch(t.records + v * t.records_width)


@kernel
def _pending(nodes: Fields, i: int, t: Fields, scratch: Int32s) -> int:
    """Rows of a node's frontier that have not arrived; those that an earlier node with the same operator counts are its."""
    node = nodes[i]
    n = 0
    for e in range(node.frontier0, node.frontier0 + node.frontier):
        v = load_i4(t.members + 4 * scratch[e])
        if v >= node.states_rows or load_u1(node.states + v) != PENDING:
            continue
        counted = False
        twin = node.twin
        while twin >= 0 and not counted:
            for f in range(nodes[twin].frontier0, nodes[twin].frontier0 + nodes[twin].frontier):
                if scratch[f] == scratch[e]:
                    counted = True
                    break
            twin = nodes[twin].twin
        if not counted:
            n += 1
    return n
