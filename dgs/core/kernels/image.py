"""Keeping what memory held at one moment, unit by unit, while it goes on changing. See `dgs.core.image`."""

from dgs.core.kernels.jit import kernel
from dgs.core.kernels.memory import copy, load_u1, store_u1
from dgs.core.types import Int32s


@kernel
def preserve(units: Int32s, begin: int, end: int, size: int, live: int, shadow: int, kept: int) -> None:
    """Copy units that are about to change, those of begin … end - 1 that are not kept yet, to the shadow.

    Args: units [n], any number of times each; size: bytes of a unit; live, shadow: addresses of unit 0; kept: address of one byte
        a unit, 1 once it is kept.
    """
    for u in units:
        if begin <= u < end and load_u1(kept + u) == 0:
            copy(shadow + u * size, live + u * size, size)
            store_u1(kept + u, 1)


@kernel
def take_piece(begin: int, end: int, size: int, live: int, shadow: int, kept: int, out: int) -> None:
    """Put units begin … end - 1 as they were at address `out`: from the shadow where they are kept there, else from live memory."""
    copy(out, live + begin * size, (end - begin) * size)
    for u in range(begin, end):
        if load_u1(kept + u) != 0:
            copy(out + (u - begin) * size, shadow + u * size, size)
