"""The lines and fields of a block as arrays of offsets, so that columns can be read without making an object per field.

It finds where things are and never reads a value. The parser makes one for every block.
"""

from collections.abc import Sequence

import numpy as np

from dgs.core.types import Bytes, Int64s
from dgs_loader.reader import Block

_NEWLINE, _RETURN = 10, 13


class Lines:
    """The lines of a block.

    Attributes:
        data: the bytes that offsets point into.
        starts, ends: of each line, without its newline and a carriage return before it: int64 [lines].
        broken: indices of the lines that are not UTF-8, in order.
    """

    def __init__(self, block: Block, delimiter: bytes) -> None:
        self.data = block.data
        self._first_line = block.first_line
        self._bytes: Bytes = np.frombuffer(block.data, np.uint8)
        newlines = np.flatnonzero(self._bytes == _NEWLINE)
        self.starts: Int64s = np.concatenate(([0], newlines[:-1] + 1))
        self.ends: Int64s = newlines
        if b"\r" in block.data:
            self.ends = newlines - ((newlines > self.starts) & (self._bytes[newlines - 1] == _RETURN))
        self.broken = self._broken()
        # Two sentinels: a line without a delimiter still has a "next" one to look at.
        found = np.flatnonzero(self._bytes == delimiter[0])
        self._delimiters: Int64s = np.concatenate((found, [len(block.data)] * 2))
        # Lines follow each other, so the delimiters before a line's start are those before the last line's end.
        before_end = np.searchsorted(found, newlines)
        self._first: Int64s = np.concatenate(([0], before_end[:-1]))
        self._count: Int64s = before_end - self._first

    def __len__(self) -> int:
        return len(self.starts)

    def number(self, line: int) -> int:
        """Return the number of a line in the input, from 1."""
        return self._first_line + line

    def line(self, line: int) -> bytes:
        """Return the bytes of a line."""
        return self.data[self.starts[line] : self.ends[line]]

    def named(self, name: bytes, among: Int64s) -> Int64s:
        """Return those of the lines whose first field is `name`."""
        starts = self.starts[among]
        first_delimiter = self._delimiters[self._first[among]]
        found = np.flatnonzero(np.minimum(first_delimiter, self.ends[among]) - starts == len(name))
        for place, character in enumerate(name):
            found = found[self._bytes[starts[found] + place] == character]
        return among[found]

    def with_columns(self, columns: int, among: Int64s) -> tuple[Int64s, Int64s]:
        """Return those of the lines with that number of columns, and where their last fields end.

        An empty column more, behind a trailing delimiter, does not count.
        """
        more = self._count[among] + 1 - columns
        ends = self.ends[among]
        trailing = (more == 1) & (self._delimiters[self._first[among] + self._count[among] - 1] == ends - 1)
        right = (more == 0) | trailing
        return among[right], (ends - trailing)[right]

    def fields(self, column: int, columns: int, among: Int64s, ends: Int64s) -> tuple[Int64s, Int64s]:
        """Return where column `column` (from 1; not the type name) of lines of `columns` columns starts and ends."""
        first = self._first[among] + column
        return self._delimiters[first - 1] + 1, ends if column == columns - 1 else self._delimiters[first]

    def slices(self, starts: Int64s, ends: Int64s) -> list[bytes]:
        """Return the bytes of fields."""
        data = self.data
        return [data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]

    def _broken(self) -> Sequence[int]:
        if self.data.isascii():
            return ()
        try:
            self.data.decode()
        except UnicodeDecodeError:
            high = np.unique(np.searchsorted(self.ends, np.flatnonzero(self._bytes > 127)))
            return [int(i) for i in high if not _is_utf8(self.line(int(i)))]
        return ()


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
