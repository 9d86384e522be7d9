"""The vertices of one type that a machine knows, each under a small row number, so that nothing else has to hash ids."""

import numpy as np

from dgs.core.image import Part
from dgs.core.kernels import index
from dgs.core.slab import Slab
from dgs.core.types import Int32s, Int64s


class VertexIndex:
    """Vertex ids under rows 1, 2, 3, … in the order of arrival; row 0 is no vertex. Rows are never given back.

    Attributes:
        used: one more than the largest row.
    """

    def __init__(self) -> None:
        self.used = 1
        self._ids = Slab("<i8")
        self._ids.reserve(1)
        self._size(1 << 10)

    @property
    def ids(self) -> Int64s:
        """Id by row, int64 with spare room behind `used`."""
        return self._ids.array

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        return self._ids.nbytes + self._table.nbytes

    @property
    def addresses(self) -> tuple[int, int, int, int]:
        """For kernels: where ids by row and the hash table stand in memory, the table's mask, and its shift.

        They hold while `Slab.moves` stays as it is.
        """
        places = [int(a.__array_interface__["data"][0]) for a in (self._ids.array, self._table)]
        return places[0], places[1], len(self._table) - 1, int(self._shift)

    def _size(self, capacity: int) -> None:
        Slab.moves += 1  # the table is no slab, but who holds addresses asks nothing else
        self._table = np.zeros(capacity, np.int32)
        self._shift = np.uint64(65 - capacity.bit_length())
        index.rebuild(self._table, self._shift, self._ids.array, self.used)

    def part(self) -> Part:
        """Return what has to be kept to have this index again; none of it ever changes."""
        return Part(self._ids, self.used)

    def reserve(self, used: int) -> None:
        """Begin to bring back an empty index that had so many rows: its part is to be filled, and then `restored` called."""
        self._ids.reserve(used)
        self.used = used

    def restored(self) -> None:
        """Make the hash table that follows from the ids."""
        self._size(max(len(self._table), 1 << (2 * self.used).bit_length()))

    def find(self, ids: Int64s) -> Int32s:
        """Return the row of every id, 0 where it is not known."""
        rows: Int32s = np.empty(len(ids), np.int32)
        index.find(ids, self._table, self._shift, self._ids.array, rows)
        return rows

    def intern(self, ids: Int64s) -> Int32s:
        """Return the row of every id, giving rows to those that have none."""
        most = self.used + len(ids)
        if 2 * most > len(self._table):
            self._size(1 << (2 * most).bit_length())
        self._ids.reserve(most)
        rows: Int32s = np.empty(len(ids), np.int32)
        self.used = index.intern(ids, self._table, self._shift, self._ids.array, self.used, rows)
        return rows
