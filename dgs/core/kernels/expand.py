"""One hop of a request: from vertices to their sampled edges, collecting each destination once."""

from dgs.core.kernels.jit import kernel
from dgs.core.types import Bytes, Fields, Int32s, Int64s, UInt64s


@kernel
def collect(rows: Int32s, stamp: int, stamps: Int32s, places: Int32s, members: Int32s, used: int, out: Int32s) -> int:
    """Give every vertex row a place among the members of its type (`used` so far), once per stamp; return the new `used`."""
    for i in range(len(rows)):
        v = rows[i]
        if stamps[v] != stamp:
            stamps[v] = stamp
            places[v] = used
            members[used] = v
            used += 1
        out[i] = places[v]
    return used


@kernel
def distinct(places: Int32s, seen: Bytes, out: Int32s) -> int:
    """Write each place once, in order of first appearance; `seen` is zero before. Return how many."""
    n = 0
    for p in places:
        if seen[p] == 0:
            seen[p] = 1
            out[n] = p
            n += 1
    return n


@kernel
def expand(
    frontier: Int32s,
    members: Int32s,
    dst_type: int,
    k: int,
    row_of: Int32s,
    counts: Int32s,
    slots: Fields,
    payload: Bytes,
    src: Int32s,
    dst_rows: Int32s,
    timestamps: Int64s,
    scores: UInt64s,
    out_payload: Bytes,
) -> int:
    """Write the slots that lead to `dst_type`, of every place of the frontier in order, best first; return how many."""
    n = 0
    for place in frontier:
        v = members[place]
        if v >= len(row_of):
            continue
        row = row_of[v]
        for j in range(row * k, row * k + counts[row]):
            s = slots[j]
            if s.dst_type != dst_type:
                continue
            src[n] = place
            dst_rows[n] = s.place
            timestamps[n] = s.timestamp
            scores[n] = s.score
            for b in range(payload.shape[1]):
                out_payload[n, b] = payload[j, b]
            n += 1
    return n
