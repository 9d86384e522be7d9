"""Blocks of whole lines, from a file larger than memory, a pipe, or standard input.

A block is about a megabyte of a file, or whatever a pipe holds at the moment, so that a trickling pipe is passed on at once. This
module never looks into a line.
"""

import os
import select
import stat
import threading
from typing import NamedTuple

BLOCK_BYTES = 1 << 20
LINE_BYTES_MAX = 4 << 20
"""A longer line is not loaded: it would have to be held in memory whole, and be carried by one log entry."""
_POLL_S = 0.1
"""How often a reader that waits for a pipe looks whether it was stopped."""


class Block(NamedTuple):
    """Whole lines, each ending in a newline, the last one of the input included.

    Attributes:
        data: the lines.
        first_line: number of the first one, from 1.
        cut: this is the head of one line that is longer than `LINE_BYTES_MAX`.
    """

    data: bytes
    first_line: int
    cut: bool = False

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.data.count(b"\n")

    def pieces(self, lines_max: int) -> list["Block"]:
        """Return the block in blocks of at most that many lines."""
        if self.lines <= lines_max:
            return [self]
        lines = [line + b"\n" for line in self.data.split(b"\n")[:-1]]
        return [
            Block(b"".join(lines[at : at + lines_max]), self.first_line + at, self.cut) for at in range(0, len(lines), lines_max)
        ]


class Reader:
    """Reads blocks from a file descriptor, which stays its owner's.

    Args:
        fd: of a file, a pipe or a terminal.
        block_bytes: how much is read at once.
        line_bytes_max: see `LINE_BYTES_MAX`; at least `block_bytes`.
    """

    def __init__(self, fd: int, *, block_bytes: int = BLOCK_BYTES, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._fd = fd
        self._block_bytes = block_bytes
        self._line_bytes_max = line_bytes_max
        self._stopped = threading.Event()
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._pushed_back = b""
        self._line = 1
        self._ended = False
        status = os.fstat(fd)
        self._is_file = stat.S_ISREG(status.st_mode)
        self.total_bytes: int | None = status.st_size if self._is_file else None
        """Size of a regular file, None of anything else."""

    def next(self) -> Block | None:
        """Return the next block, waiting for it; None at the end of the input, or once stopped.

        Raises:
            OSError: the input cannot be read.
        """
        while not self._ended:
            chunk = self._read()
            if chunk is None:
                return None
            self._ended = not chunk
            first, end = chunk.find(b"\n"), chunk.rfind(b"\n") + 1
            if self._rest_bytes + (first if end else len(chunk)) > self._line_bytes_max:
                return self._overlong(chunk)
            if end:
                block = self._block(chunk[:end])
                self._rest, self._rest_bytes = [chunk[end:]], len(chunk) - end
                return block
            self._rest.append(chunk)
            self._rest_bytes += len(chunk)
        if not self._rest_bytes:
            return None
        block = self._block(b"\n")
        self._rest, self._rest_bytes = [], 0
        return block

    def stop(self) -> None:
        """Make a `next` that waits in another thread return None soon."""
        self._stopped.set()

    def _block(self, end: bytes) -> Block:
        data = b"".join((*self._rest, end))
        block = Block(data, self._line)
        self._line += block.lines
        return block

    def _overlong(self, chunk: bytes) -> Block:
        """Return the head of the line that goes on in this chunk, and forget the rest of the line."""
        head = b"".join((*self._rest, chunk))[: self._line_bytes_max]
        self._rest, self._rest_bytes = [], 0
        block = Block(head + b"\n", self._line, cut=True)
        self._line += 1
        at: bytes | None = chunk
        while at and (end := at.find(b"\n") + 1) == 0:
            at = self._read()
        if at:
            self._pushed_back = at[end:]
        return block

    def _read(self) -> bytes | None:
        """Return the bytes at hand, waiting for the first; b"" at the end, None once stopped."""
        if self._pushed_back:
            chunk, self._pushed_back = self._pushed_back, b""
            return chunk
        while not self._is_file and not select.select([self._fd], [], [], _POLL_S)[0]:
            if self._stopped.is_set():
                return None
        if self._stopped.is_set():
            return None
        parts = [os.read(self._fd, self._block_bytes)]
        size = len(parts[0])
        # A pipe gives 64 KiB at most per read; a busy one deserves full blocks.
        while parts[-1] and size < self._block_bytes and not self._is_file and select.select([self._fd], [], [], 0)[0]:
            parts.append(os.read(self._fd, self._block_bytes - size))
            size += len(parts[-1])
        return b"".join(parts)
