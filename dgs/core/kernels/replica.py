"""A serving partition's rows: apply blocks, and count which rows its own slots need.

`states` of a row (operator, vertex): NONE, SUBSCRIBED, PENDING (subscribed, and the whole row has not come yet). Rows that are fed
without asking stay NONE.
"""

from dgs.core.blocks import WHOLE
from dgs.core.kernels.jit import kernel
from dgs.core.kernels.reservoir import allocate, copy_slot, row_checksum
from dgs.core.types import Bytes, Fields, Int8s, Int32s, Int64s, UInt16s, UInt64s

NONE, SUBSCRIBED, PENDING = 0, 1, 2


@kernel
def accept(head: Fields, fed: int, vertex: int, states: Bytes, numbers: UInt64s) -> bool:
    """Whether a row takes this block; a whole row that echoes the pending subscribe ends its wait."""
    if head.kind == WHOLE:
        if vertex != 0 and states[vertex] == PENDING and numbers[vertex] == head.echo:
            states[vertex] = SUBSCRIBED
            return True
        return False
    return fed != 0 or (vertex != 0 and states[vertex] == SUBSCRIBED)


@kernel
def apply_edge_blocks(
    heads: Fields,
    items: Int32s,
    vertices: Int32s,
    fed: Int32s,
    additions: Fields,
    dst_rows: Int32s,
    removals: UInt16s,
    added_payload: Bytes,
    k: int,
    row_of: Int32s,
    counts: Int32s,
    slots: Fields,
    payload: Bytes,
    free: Int32s,
    cursors: Int64s,
    states: Bytes,
    numbers: UInt64s,
    old_slots: Fields,
    old_payload: Bytes,
    delta_rows: Int32s,
    delta_types: Int32s,
    delta_signs: Int8s,
    delta_items: Int32s,
    sizes: Int64s,
) -> None:
    """Apply the blocks of one edge operator, in order.

    Args (what is not a table's array): heads BLOCK [n]; items: place of each block in the chunk; vertices: row of each block's
        vertex, 0 if it has none; fed: 1 where the row is sent without asking; additions SLOT [m] with dst_rows [m] and
        added_payload [m, width']; old_*: room for one row; delta_*: take, for every slot that came or went, the destination's
        row and type, +1 or -1, and the item; sizes: takes the number of deltas, of ignored blocks, 1 + the index of the first
        block after which the row is not the sampler's (0 for none; the rest is not applied then), and the number of rows that wait
        no longer.
    """
    width = added_payload.shape[1]
    a = r = n = ignored = arrived = 0
    sizes[2] = 0
    for i in range(len(heads)):
        h = heads[i]
        v = vertices[i]
        first_addition, first_removal = a, r
        a += h.added
        r += h.removed
        if not accept(h, fed[i], v, states, numbers):
            ignored += 1
            continue
        row = allocate(v, row_of, counts, free, cursors)
        base, old = row * k, counts[row]
        for j in range(old):
            copy_slot(old_slots, old_payload, j, slots, payload, base + j)
        nxt, gone, o = first_addition, first_removal, 0
        if h.kind == WHOLE:
            arrived += 1
            for j in range(old):
                n = _delta(
                    old_slots[j].place, old_slots[j].dst_type, -1, items[i], delta_rows, delta_types, delta_signs, delta_items, n
                )
            o = old
        fits = h.count <= k
        for j in range(min(h.count, k)):
            if nxt < a and additions[nxt].place == j:
                slots[base + j] = additions[nxt]
                slots[base + j].place = dst_rows[nxt]
                for b in range(width):
                    payload[base + j, b] = added_payload[nxt, b]
                for b in range(width, payload.shape[1]):
                    payload[base + j, b] = 0
                n = _delta(
                    dst_rows[nxt], additions[nxt].dst_type, 1, items[i], delta_rows, delta_types, delta_signs, delta_items, n
                )
                nxt += 1
                continue
            while gone < r and o == removals[gone]:
                n = _delta(
                    old_slots[o].place, old_slots[o].dst_type, -1, items[i], delta_rows, delta_types, delta_signs, delta_items, n
                )
                o += 1
                gone += 1
            if o >= old:
                fits = False
                break
            copy_slot(slots, payload, base + j, old_slots, old_payload, o)
            o += 1
        while o < old:
            n = _delta(
                old_slots[o].place, old_slots[o].dst_type, -1, items[i], delta_rows, delta_types, delta_signs, delta_items, n
            )
            o += 1
        if not fits or nxt != a:
            sizes[2] = i + 1
            break
        counts[row] = h.count
        if row_checksum(slots, base, h.count) != h.checksum:
            sizes[2] = i + 1
            break
    sizes[0], sizes[1], sizes[3] = n, ignored, arrived


@kernel
def _delta(
    row: int,
    dst_type: int,
    sign: int,
    item: int,
    delta_rows: Int32s,
    delta_types: Int32s,
    delta_signs: Int8s,
    delta_items: Int32s,
    n: int,
) -> int:
    delta_rows[n] = row
    delta_types[n] = dst_type
    delta_signs[n] = sign
    delta_items[n] = item
    return n + 1


@kernel
def apply_vertex_blocks(
    heads: Fields,
    vertices: Int32s,
    fed: Int32s,
    additions: Fields,
    added_payload: Bytes,
    known: Bytes,
    timestamps: Int64s,
    payload: Bytes,
    states: Bytes,
    numbers: UInt64s,
) -> tuple[int, int]:
    """Apply the blocks of one vertex operator, in order; return how many were ignored, and how many rows wait no longer."""
    a = ignored = arrived = 0
    width = added_payload.shape[1]
    for i in range(len(heads)):
        h = heads[i]
        v = vertices[i]
        at = a
        a += h.added
        if not accept(h, fed[i], v, states, numbers):
            ignored += 1
            continue
        if h.kind == WHOLE:
            arrived += 1
        known[v] = h.count
        if h.added == 0:
            timestamps[v] = 0
            for b in range(payload.shape[1]):
                payload[v, b] = 0
            continue
        timestamps[v] = additions[at].timestamp
        for b in range(width):
            payload[v, b] = added_payload[at, b]
        for b in range(width, payload.shape[1]):
            payload[v, b] = 0
    return ignored, arrived


@kernel
def count_needs(
    rows: Int32s,
    signs: Int8s,
    items: Int32s,
    applied: int,
    fed: Int32s,
    needs: Int32s,
    states: Bytes,
    idle_since: Int64s,
    wanted: Int32s,
    wanted_items: Int32s,
    idle: Int32s,
    sizes: Int64s,
) -> None:
    """Count needs of one operator's rows: slots came (+1) or went (-1) that name their vertices, in the order of items.

    Args: rows, signs, items [n]; applied: items applied before this chunk; fed [n]: 1 where the row is sent without asking and
        needs no count; wanted, wanted_items: take the rows to subscribe to, now PENDING; idle: takes the rows whose need fell to 0;
        sizes: takes both numbers.
    """
    n_wanted = n_idle = 0
    for i in range(len(rows)):
        if fed[i] != 0:
            continue
        v = rows[i]
        needs[v] += signs[i]
        if signs[i] < 0:
            if needs[v] == 0:
                idle_since[v] = applied + items[i] + 1
                idle[n_idle] = v
                n_idle += 1
        elif states[v] == NONE:
            states[v] = PENDING
            wanted[n_wanted] = v
            wanted_items[n_wanted] = items[i]
            n_wanted += 1
    sizes[0], sizes[1] = n_wanted, n_idle


@kernel
def release(
    vertices: Int32s,
    k: int,
    row_of: Int32s,
    counts: Int32s,
    slots: Fields,
    free: Int32s,
    cursors: Int64s,
    delta_rows: Int32s,
    delta_types: Int32s,
) -> int:
    """Drop the rows of vertices; return how many slots went, whose destinations stand in `delta_rows` and `delta_types`."""
    n = 0
    for v in vertices:
        row = row_of[v]
        if row == 0:
            continue
        for j in range(row * k, row * k + counts[row]):
            delta_rows[n] = slots[j].place
            delta_types[n] = slots[j].dst_type
            n += 1
        counts[row] = 0
        row_of[v] = 0
        free[cursors[1]] = row
        cursors[1] += 1
    return n
