"""Slabs: arrays that grow without being copied.

A slab is anonymous memory whose mapping is enlarged in place (or moved by its page tables), so growing to hundreds of megabytes
does not stall whoever serves from it. Pages that were never written cost nothing; those of a large slab are huge, where the system
has such. New elements are zero.
"""

import mmap
from contextlib import suppress

import numpy as np

from dgs.core.types import AnyArray

_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
_LEAST = 1 << 12
HUGE_BYTES = 1 << 21
"""From here on the system is asked for huge pages: a request reads rows from all over, and would miss the TLB at each of them."""


class Slab:
    """A growable array of one dtype, with one dimension, or two where `columns` is given.

    Attributes:
        array: the whole capacity, C-contiguous; its length only grows. Take it anew after `reserve`, never keep it.
        moves: of all slabs of the process: how often memory was mapped or enlarged. An address holds while this stays as it is.
    """

    moves = 0

    def __init__(self, dtype: np.dtype[np.void] | str, columns: int | None = None) -> None:
        self._dtype = np.dtype(dtype)
        self._columns = columns
        self._row_bytes = self._dtype.itemsize * (1 if columns is None else columns)
        self._map: mmap.mmap | None = None
        self._bytes = 0
        self.array: AnyArray = self._view()

    def _view(self) -> AnyArray:
        rows = self._bytes // self._row_bytes
        flat: AnyArray
        if self._map is None:
            flat = np.zeros(0, self._dtype)
        else:
            # Through a memoryview, which counts as a user of the mapping: without it a forgotten view would dangle after a move.
            flat = np.frombuffer(memoryview(self._map), self._dtype, count=rows * (self._columns or 1))
        return flat if self._columns is None else flat.reshape(-1, self._columns)

    def reserve(self, rows: int) -> AnyArray:
        """Make room for at least that many rows and return the array.

        Raises:
            BufferError: someone still holds a view of the array, and memory would move under it.
        """
        needed = rows * self._row_bytes
        if needed > self._bytes:
            size = max(_LEAST, 1 << (needed - 1).bit_length())
            if self._map is None:
                self._map = mmap.mmap(-1, size, **_PRIVATE)
            else:
                self.array = np.zeros(0, self._dtype)  # the mapping cannot move while an array looks into it
                try:
                    self._map = _enlarge(self._map, size)
                except BufferError:
                    self.array = self._view()
                    raise
            if size >= HUGE_BYTES:
                _ask_for_huge_pages(self._map)
            self._bytes = size
            self.array = self._view()
            Slab.moves += 1
        return self.array

    @property
    def address(self) -> int:
        """Where the array begins in memory, for kernels that take addresses; 0 before the first `reserve`."""
        return int(self.array.__array_interface__["data"][0]) if self._bytes else 0

    @property
    def row_bytes(self) -> int:
        """Bytes of an element, or of a row where there are columns."""
        return self._row_bytes

    @property
    def nbytes(self) -> int:
        """Bytes of address space taken."""
        return self._bytes


def _enlarge(old: mmap.mmap, size: int) -> mmap.mmap:
    try:
        old.resize(size)
        return old
    except SystemError:  # no mremap on this system
        new = mmap.mmap(-1, size, **_PRIVATE)
        new[: len(old)] = old[:]
        return new


def _ask_for_huge_pages(memory: mmap.mmap) -> None:
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel that is built without them
            memory.madvise(mmap.MADV_HUGEPAGE)
