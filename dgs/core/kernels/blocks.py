"""Whether blocks that come from elsewhere are what kernels that apply them may meet.

What depends on the row (its K, its layout) is not looked at here.
"""

from dgs.core.blocks import CONTROL, DELTA, MARK, WHOLE
from dgs.core.kernels.jit import kernel
from dgs.core.types import Fields, UInt16s

FINE = 0
SIZES, KIND, TOO_MANY, REMOVES, PAYLOAD, ROUND, ADDITION, REMOVAL = range(1, 9)
"""What can be wrong; the codec has the words."""


@kernel
def fault_of(heads: Fields, additions: Fields, removals: UInt16s, payload_bytes: int) -> int:
    """Return what is wrong with the first block that is not right, or FINE."""
    a = r = p = 0
    for i in range(len(heads)):
        h = heads[i]
        count, added, removed, size = int(h.count), int(h.added), int(h.removed), int(h.payload_bytes)
        if h.kind < DELTA or h.kind > CONTROL:
            return KIND
        if a + added > len(additions) or r + removed > len(removals) or p + size > payload_bytes:
            return SIZES
        about_row = h.kind <= WHOLE
        if added > (count if about_row else 0) or (h.kind == WHOLE and added != count):
            return TOO_MANY
        if removed > 0 and h.kind != DELTA:
            return REMOVES
        if about_row and ((size == 0) != (added == 0) or (added > 0 and size % added != 0)):
            return PAYLOAD
        if h.kind == MARK:
            if size > 0:
                return PAYLOAD
            if h.operator < 1 or h.operator > count:
                return ROUND
        before = -1
        for j in range(a, a + added):
            if additions[j].dst_type < 0 or additions[j].place <= before or additions[j].place >= count:
                return ADDITION
            before = additions[j].place
        # A removal stands before the last slot that is kept: what comes behind it falls off by itself.
        before = -1
        for j in range(r, r + removed):
            if removals[j] <= before or removals[j] >= count - added + removed - 1:
                return REMOVAL
            before = int(removals[j])
        a += added
        r += removed
        p += size
    return FINE if a == len(additions) and r == len(removals) and p == payload_bytes else SIZES
