"""Storage of an edge operator's rows: K slots a vertex, sorted best first, and the payload of each slot."""

import numpy as np

from dgs.core.blocks import SLOT
from dgs.core.layout import Layout
from dgs.core.slab import Slab
from dgs.core.strings import read_references
from dgs.core.types import Bytes, Int32s, Records, UInt64s

USED, FREE = 0, 1
"""Cursors: rows ever used (row 0 is the empty row of all who have none), rows on the free list."""


class RowTable:
    """Rows of one operator, by row number. Kernels work on the arrays; this class makes room.

    Attributes:
        fanout: K, slots a row.
        width: bytes of a payload.
        cursors: int64 [2], see USED and FREE.
    """

    def __init__(self, fanout: int, width: int) -> None:
        self.fanout = fanout
        self.width = width
        self.cursors = np.array([1, 0], np.int64)
        self._row_of = Slab("<i4")
        self._counts = Slab("<i4")
        self._slots = Slab(SLOT)
        self._payload = Slab("u1", width)
        self._free = Slab("<i4")
        self.reserve(1, 1)

    def reserve(self, vertices: int, rows: int) -> None:
        """Make room for vertex rows below `vertices` and for `rows` more rows."""
        self._row_of.reserve(vertices)
        total = int(self.cursors[USED]) + rows
        self._counts.reserve(total)
        self._free.reserve(total)
        self._slots.reserve(total * self.fanout)
        self._payload.reserve(total * self.fanout)

    @property
    def row_of(self) -> Int32s:
        """Row number by vertex row; 0 for none."""
        return self._row_of.array

    @property
    def counts(self) -> Int32s:
        """Filled slots by row number."""
        return self._counts.array

    @property
    def slots(self) -> Records:
        """SLOT [rows * K]."""
        return self._slots.array

    @property
    def payload(self) -> Bytes:
        """uint8 [rows * K, width]."""
        return self._payload.array

    @property
    def free(self) -> Int32s:
        """Rows to be given out again."""
        return self._free.array

    def widen(self, width: int) -> None:
        """Give payloads more bytes, absent at first."""
        if width == self.width:
            return
        wide = Slab("u1", width)
        wide.reserve(len(self._counts.array) * self.fanout)
        used = int(self.cursors[USED]) * self.fanout
        wide.array[:used, : self.width] = self._payload.array[:used]
        self._payload, self.width = wide, width

    def references(self, layout: Layout) -> list[UInt64s]:
        """Return the string references of all filled slots, an array for each string attribute."""
        used = int(self.cursors[USED])
        filled = (np.arange(self.fanout)[None, :] < self._counts.array[:used, None]).ravel()
        return [read_references(self._payload.array[: used * self.fanout], at)[filled] for at in layout.string_offsets]
