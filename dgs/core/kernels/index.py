"""Open addressing from vertex ids to rows. The table takes the high bits of `mix`, as partitioning has used the low ones."""

import numpy as np

from dgs.core.kernels.jit import kernel
from dgs.core.kernels.scores import mix
from dgs.core.types import Int32s, Int64s


@kernel
def find(wanted: Int64s, table: Int32s, shift: np.uint64, ids: Int64s, out: Int32s) -> None:
    """Fill `out` with the row of every wanted id, 0 where there is none. `table` holds rows, 0 is empty."""
    mask = len(table) - 1
    for i in range(len(wanted)):
        v = wanted[i]
        at = np.int64(mix(np.uint64(v)) >> shift) & mask
        while table[at] != 0 and ids[table[at]] != v:
            at = (at + 1) & mask
        out[i] = table[at]


@kernel
def intern(wanted: Int64s, table: Int32s, shift: np.uint64, ids: Int64s, used: int, out: Int32s) -> int:
    """As `find`, but give rows from `used` on to ids that have none; return the new `used`. The table must have room."""
    mask = len(table) - 1
    for i in range(len(wanted)):
        v = wanted[i]
        at = np.int64(mix(np.uint64(v)) >> shift) & mask
        while table[at] != 0 and ids[table[at]] != v:
            at = (at + 1) & mask
        if table[at] == 0:
            table[at] = used
            ids[used] = v
            used += 1
        out[i] = table[at]
    return used


@kernel
def rebuild(table: Int32s, shift: np.uint64, ids: Int64s, used: int) -> None:
    """Fill an empty table with rows 1 … used - 1."""
    mask = len(table) - 1
    for row in range(1, used):
        at = np.int64(mix(np.uint64(ids[row])) >> shift) & mask
        while table[at] != 0:
            at = (at + 1) & mask
        table[at] = row


@kernel
def owned_by(ids: Int64s, partitions: np.uint64, partition: np.uint64, out: Int32s) -> None:
    """Fill `out` with 1 where `partition_of(id, partitions)` is `partition`, else 0."""
    for i in range(len(ids)):
        out[i] = np.int32(mix(np.uint64(ids[i])) % partitions == partition)
