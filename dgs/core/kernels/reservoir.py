"""A sampler partition's rows: offer edges, tell what changed, give whole rows.

Rows are sorted by (score, tie, destination, destination type, timestamp), largest first. `before_*` keep what a row was when the
current log entry touched it first; `touch` of a row is its place among the touched ones plus one.
"""

import numpy as np

from dgs.core.blocks import DELTA, WHOLE
from dgs.core.kernels.jit import kernel
from dgs.core.kernels.scores import mix
from dgs.core.types import AnyArray, Bytes, Fields, Int32s, Int64s, UInt16s, UInt64s


@kernel
def better(score: np.uint64, tie: np.uint64, dst: int, dst_type: int, timestamp: int, slot: Fields) -> bool:
    """Whether an edge stands before a slot."""
    if score != slot.score:
        return score > slot.score
    if tie != slot.tie:
        return tie > slot.tie
    if dst != slot.dst:
        return dst > slot.dst
    if dst_type != slot.dst_type:
        return dst_type > slot.dst_type
    return timestamp > slot.timestamp


@kernel
def copy_slot(slots: Fields, payload: Bytes, to: int, source_slots: Fields, source_payload: Bytes, at: int) -> None:
    """Copy a slot and its payload."""
    slots[to] = source_slots[at]
    for b in range(payload.shape[1]):
        payload[to, b] = source_payload[at, b]


@kernel
def row_checksum(slots: Fields, base: int, count: int) -> np.uint64:
    """Digest of a row: its slots in order."""
    c = np.uint64(count)
    for i in range(base, base + count):
        c = mix(mix(c ^ slots[i].score) ^ slots[i].tie)
    return c


@kernel
def allocate(vertex: int, row_of: Int32s, counts: Int32s, free: Int32s, cursors: Int64s) -> int:
    """Return the vertex's row, giving it an empty one if it has none."""
    row = row_of[vertex]
    if row == 0:
        if cursors[1] > 0:
            cursors[1] -= 1
            row = free[cursors[1]]
        else:
            row = np.int32(cursors[0])
            cursors[0] += 1
        counts[row] = 0
        row_of[vertex] = row
    return row


@kernel
def touch_row(
    vertex: int,
    row: int,
    k: int,
    counts: Int32s,
    slots: Fields,
    payload: Bytes,
    touch: Int32s,
    touched: Int32s,
    before_counts: Int32s,
    before_slots: Fields,
    before_payload: Bytes,
    refill: Bytes,
    n_touched: int,
) -> int:
    """Remember what the row was, if this entry has not touched it yet; return the number of touched rows."""
    if touch[row] != 0:
        return n_touched
    t = n_touched
    touch[row] = t + 1
    touched[t] = vertex
    refill[t] = 0
    before_counts[t] = counts[row]
    for i in range(counts[row]):
        copy_slot(before_slots, before_payload, t * k + i, slots, payload, row * k + i)
    return t + 1


@kernel
def offer(
    vertices: Int32s,
    dst: Int64s,
    dst_type: int,
    timestamps: Int64s,
    scores: UInt64s,
    ties: UInt64s,
    edge_payload: Bytes,
    weighted: bool,
    k: int,
    row_of: Int32s,
    counts: Int32s,
    slots: Fields,
    payload: Bytes,
    free: Int32s,
    cursors: Int64s,
    touch: Int32s,
    touched: Int32s,
    before_counts: Int32s,
    before_slots: Fields,
    before_payload: Bytes,
    refill: Bytes,
    n_touched: int,
) -> int:
    """Offer edges, in order, to the rows of their sources; return the number of touched rows.

    A row of fewer than K slots holds every live edge of its source that can be sampled; of a full row the others are not better
    than its last slot. An upsert that lowers an edge to the last place of a full row breaks that, as an edge outside may be
    better now: the row is marked for refill from history, and takes no more offers in this entry.
    """
    for e in range(len(vertices)):
        v = vertices[e]
        row = row_of[v]
        n = counts[row]
        base = row * k
        score, tie, d, t = scores[e], ties[e], dst[e], timestamps[e]
        never = weighted and score == np.uint64(0)
        beats_last = n < k or better(score, tie, d, dst_type, t, slots[base + n - 1])
        if not weighted and not beats_last:
            last = slots[base + n - 1]
            if not (last.dst == d and last.timestamp == t and last.dst_type == dst_type):
                continue  # the score is a function of the identity: were it in the row, it would not stand behind the last
        found = -1
        for i in range(n):
            s = slots[base + i]
            if s.timestamp == t and s.dst == d and s.dst_type == dst_type:
                found = i
                break
        if found < 0 and (never or not beats_last):
            continue
        if found >= 0 and slots[base + found].score == score:
            same = True
            for b in range(edge_payload.shape[1]):
                if payload[base + found, b] != edge_payload[e, b]:
                    same = False
                    break
            if same:
                continue
        if row == 0:
            row = allocate(v, row_of, counts, free, cursors)
            base = row * k
        if touch[row] != 0 and refill[touch[row] - 1] != 0:
            continue
        n_touched = touch_row(
            v, row, k, counts, slots, payload, touch, touched, before_counts, before_slots, before_payload, refill, n_touched
        )
        lowered = False
        was_full = n == k
        if found >= 0:
            lowered = score < slots[base + found].score
            for i in range(found, n - 1):
                copy_slot(slots, payload, base + i, slots, payload, base + i + 1)
            n -= 1
        elif was_full:
            n -= 1  # the last slot makes room
        place = n
        if never:
            counts[row] = n
        else:
            while place > 0 and better(score, tie, d, dst_type, t, slots[base + place - 1]):
                place -= 1
            for i in range(n, place, -1):
                copy_slot(slots, payload, base + i, slots, payload, base + i - 1)
            s = slots[base + place]
            s.score = score
            s.tie = tie
            s.timestamp = t
            s.dst = d
            s.dst_type = dst_type
            s.place = 0
            for b in range(edge_payload.shape[1]):
                payload[base + place, b] = edge_payload[e, b]
            counts[row] = n + 1
        if found >= 0 and was_full and lowered and place == k - 1:
            refill[touch[row] - 1] = 1
    return n_touched


@kernel
def replace_row(
    row: int,
    chosen: Int64s,
    new_slots: Fields,
    new_payload: Bytes,
    k: int,
    counts: Int32s,
    slots: Fields,
    payload: Bytes,
) -> None:
    """Fill a row with the chosen edges, best first."""
    counts[row] = len(chosen)
    for i in range(len(chosen)):
        copy_slot(slots, payload, row * k + i, new_slots, new_payload, chosen[i])


@kernel
def differences(
    order: Int64s,
    operator: int,
    ids: Int64s,
    k: int,
    row_of: Int32s,
    counts: Int32s,
    slots: Fields,
    payload: Bytes,
    touch: Int32s,
    touched: Int32s,
    before_counts: Int32s,
    before_slots: Fields,
    before_payload: Bytes,
    heads: Fields,
    changed: Int32s,
    additions: Fields,
    added_payload: Bytes,
    removals: UInt16s,
    sizes: Int64s,
) -> None:
    """Write a DELTA block for every touched row that changed, in the given order, and forget the touches.

    `changed` takes the vertex row of each block; `sizes` the number of blocks, additions and removals.
    """
    n_blocks = n_added = n_removed = 0
    width = payload.shape[1]
    for t in order:
        v = touched[t]
        row = row_of[v]
        touch[row] = 0
        old, old_base = before_counts[t], t * k
        new, base = counts[row], row * k
        i = j = added = removed = kept_removed = 0
        while i < old or j < new:
            side = 0  # 0: the same edge with the same score; -1: only in the old row; 1: only in the new one
            if j >= new:
                side = -1
            elif i >= old:
                side = 1
            else:
                o, s = before_slots[old_base + i], slots[base + j]
                same = o.score == s.score and o.tie == s.tie and o.dst == s.dst
                if not (same and o.dst_type == s.dst_type and o.timestamp == s.timestamp):
                    side = -1 if better(o.score, o.tie, o.dst, o.dst_type, o.timestamp, s) else 1
            replaced = False
            if side == 0:
                for b in range(width):
                    if before_payload[old_base + i, b] != payload[base + j, b]:
                        replaced = True
                        break
                if not replaced:
                    kept_removed = removed  # what is removed behind the last kept slot falls off the end by itself
            if side < 0 or replaced:
                removals[n_removed + removed] = i
                removed += 1
            if side > 0 or replaced:
                at = n_added + added
                copy_slot(additions, added_payload, at, slots, payload, base + j)
                additions[at].place = j
                added += 1
            if side <= 0:
                i += 1
            if side >= 0:
                j += 1
        if added == 0 and removed == 0:
            continue
        h = heads[n_blocks]
        h.kind = DELTA
        h.reserved = 0
        h.count = new
        h.added = added
        h.removed = kept_removed
        h.operator = operator
        h.payload_bytes = added * width
        h.vertex = ids[v]
        h.echo = 0
        h.checksum = row_checksum(slots, base, new)
        changed[n_blocks] = v
        n_blocks += 1
        n_added += added
        n_removed += kept_removed
    sizes[0], sizes[1], sizes[2] = n_blocks, n_added, n_removed


@kernel
def whole_rows(
    vertices: Int32s,
    wanted: Int64s,
    echoes: UInt64s,
    operator: int,
    k: int,
    row_of: Int32s,
    counts: Int32s,
    slots: Fields,
    payload: Bytes,
    heads: Fields,
    additions: Fields,
    added_payload: Bytes,
) -> int:
    """Write a WHOLE block for every vertex; return the number of slots written."""
    n_added = 0
    for i in range(len(vertices)):
        row = row_of[vertices[i]]
        base, count = row * k, counts[row]
        for j in range(count):
            copy_slot(additions, added_payload, n_added, slots, payload, base + j)
            additions[n_added].place = j
            n_added += 1
        h = heads[i]
        h.kind = WHOLE
        h.reserved = 0
        h.count = count
        h.added = count
        h.removed = 0
        h.operator = operator
        h.payload_bytes = count * payload.shape[1]
        h.vertex = wanted[i]
        h.echo = echoes[i]
        h.checksum = row_checksum(slots, base, count)
    return n_added


@kernel
def pack_rows(
    vertices: Int32s,
    k: int,
    row_of: Int32s,
    counts: Int32s,
    slots: AnyArray,
    payload: Bytes,
    heads: Bytes,
    out: Bytes,
    ends: Int64s,
) -> None:
    """Write head (uint8 [n, …]), filled slots (as bytes, uint8 [rows * K, 40]) and payloads of every vertex's row."""
    at = 0
    size, width = slots.shape[1], payload.shape[1]
    for i in range(len(vertices)):
        row = row_of[vertices[i]]
        for b in range(heads.shape[1]):
            out[at] = heads[i, b]
            at += 1
        for j in range(row * k, row * k + counts[row]):
            for b in range(size):
                out[at] = slots[j, b]
                at += 1
        for j in range(row * k, row * k + counts[row]):
            for b in range(width):
                out[at] = payload[j, b]
                at += 1
        ends[i] = at
