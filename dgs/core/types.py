"""Names for the integers of the system, so that a reader and mypy can tell them apart."""

from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray

VertexId = NewType("VertexId", int)
"""A vertex id as the user knows it: int64, negative ids included."""
PartitionIndex = NewType("PartitionIndex", int)
"""A partition of a topic: 0 … P-1 of record-batches, 0 … S-1 of sample-batches."""
Position = NewType("Position", int)
"""A place in a log partition, always *next to read*: everything before it has been seen. It only grows; it is not dense."""
Number = NewType("Number", int)
"""The number of an item on its channel: 1, 2, 3, … without gaps; 0 means that nothing was sent yet."""

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int8s = NDArray[np.int8]
UInt64s = NDArray[np.uint64]
UInt16s = NDArray[np.uint16]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Records = NDArray[np.void]
"""An array of a structured dtype."""
Fields = Any
"""The same inside kernels, where fields are attributes that only numba knows."""
AnyArray = NDArray[Any]
