"""The hash of the system, and who owns a vertex.

`mix` is one step of splitmix64 (golden-ratio increment, two xor-shift-multiply rounds), on unsigned 64 bits; ids and timestamps
enter it as two's complement. Loaders, clients of other languages and the kernels all compute the same values: `schemas/golden/`
fixes them.
"""

import numpy as np

from dgs.core.types import Int64s, PartitionIndex, UInt64s, VertexId

MASK64 = (1 << 64) - 1


def mix(x: int) -> int:
    """Mix one integer (any Python int, taken modulo 2**64) to 64 unsigned bits."""
    x = (x + 0x9E3779B97F4A7C15) & MASK64
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK64
    return x ^ x >> 31


def mix_array(values: Int64s | UInt64s) -> UInt64s:
    """Mix every element of an int64 or uint64 array."""
    x = values.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def partition_of(vertex: VertexId | int, partitions: int) -> PartitionIndex:
    """Return the partition that owns a vertex: of `record-batches` with P partitions, of `sample-batches` with S."""
    return PartitionIndex(mix(vertex) % partitions)


def partitions_of(vertices: Int64s, partitions: int) -> Int64s:
    """Return the owning partition of every vertex of an int64 array."""
    return (mix_array(vertices) % np.uint64(partitions)).astype(np.int64)
