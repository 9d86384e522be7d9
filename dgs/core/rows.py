"""Storage of an edge operator's rows: K slots a vertex, sorted best first, and the payload of each slot."""

import numpy as np

from dgs.core.blocks import SLOT
from dgs.core.image import Part
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

    def append(self, vertices: Int32s, slots: Records, payload: Bytes) -> None:
        """Give rows to vertices that have none: int32 [n], SLOT [n, count], uint8 [n, count, width]."""
        n, count = slots.shape
        self.reserve(int(vertices.max(initial=0)) + 1, n)
        first = int(self.cursors[USED])
        assert not self.row_of[vertices].any(), "a vertex has a row already"
        places = slice(first * self.fanout, (first + n) * self.fanout)
        self.row_of[vertices] = np.arange(first, first + n, dtype=np.int32)
        self.counts[first : first + n] = count
        self.slots[places].reshape(n, self.fanout)[:, :count] = slots
        self.payload[places].reshape(n, self.fanout, self.width)[:, :count] = payload
        self.cursors[USED] += n

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

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        return sum(slab.nbytes for slab in (self._row_of, self._counts, self._slots, self._payload, self._free))

    def widen(self, width: int) -> None:
        """Give payloads more bytes, absent at first."""
        if width == self.width:
            return
        wide = Slab("u1", width)
        wide.reserve(len(self._counts.array) * self.fanout)
        used = int(self.cursors[USED]) * self.fanout
        wide.array[:used, : self.width] = self._payload.array[:used]
        self._payload, self.width = wide, width

    def parts(self, vertices: int) -> dict[str, Part]:
        """Return what has to be kept to have this table again, for vertex rows below `vertices`; see `restored`."""
        used = int(self.cursors[USED])
        return {
            "row_of": Part(self._row_of, min(vertices, len(self.row_of))),
            "counts": Part(self._counts, used),
            "slots": Part(self._slots, used, self.fanout),
            "payload": Part(self._payload, used, self.fanout),
        }

    def restored(self) -> None:
        """Make what follows from the parts, once they and `cursors[USED]` are what they were: rows that no vertex has are free.

        Raises:
            ValueError: two vertices have one row, or one that was never used: these are not the parts of a table.
        """
        used = int(self.cursors[USED])
        mine = self.row_of[self.row_of != 0]
        if len(mine) and not 0 < int(mine.min()) <= int(mine.max()) < used:
            raise ValueError("a vertex has a row that was never used")
        owners = np.bincount(mine, minlength=used)
        owners[0] = 1
        if owners.max() > 1:
            raise ValueError("two vertices have one row")
        free = np.flatnonzero(owners == 0)
        self.counts[free] = 0
        self.free[: len(free)] = free
        self.cursors[FREE] = len(free)

    def references(self, layout: Layout, begin: int = 0, end: int | None = None) -> list[UInt64s]:
        """Return the string references of filled slots, of rows begin … end - 1 or of all, an array for each string attribute."""
        end = int(self.cursors[USED]) if end is None else min(end, int(self.cursors[USED]))
        filled = (np.arange(self.fanout)[None, :] < self._counts.array[begin:end, None]).ravel()
        slots = slice(begin * self.fanout, end * self.fanout)
        return [read_references(self._payload.array[slots], at)[filled] for at in layout.string_offsets]
