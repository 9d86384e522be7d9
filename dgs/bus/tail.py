"""The file `end` of a partition directory: where the log ends for everybody, and the lock of those who append to it.

An append counts once its end stands here. Readers never look beyond it, so what a killed writer left half-written is nothing to
them, and the next writer may cut it off. It never moves back. Only the segments use it; inotify watches it, because every append
writes to it last.
"""

import fcntl
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from dgs.core.types import Position

_RECORD = struct.Struct("<QQI")
_ATTEMPTS = 16
"""A read that meets a write of the same 20 bytes may see a mixture; the checksum tells, and the next read is right."""


class Tail(NamedTuple):
    """Where a log ends, and in which segment."""

    end: Position
    base: Position
    """First position of the segment that appends go to; with nothing in it yet, its file need not exist."""


class TailFile:
    """The opened `end` file. Raises OSError as the system does; one that is `read_only` makes no file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT) | os.O_CLOEXEC, 0o644)

    def try_lock(self) -> bool:
        """Take the lock among all processes of the host, without waiting; return whether that went well."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """Give the lock back. A process that dies gives it back, too."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def read(self) -> Tail | None:
        """Return what is recorded, or None where nothing (readable) is."""
        for _ in range(_ATTEMPTS):
            raw = os.pread(self._fd, _RECORD.size, 0)
            if len(raw) < _RECORD.size:
                return None
            end, base, checksum = _RECORD.unpack(raw)
            if zlib.crc32(raw[:-4]) == checksum and base <= end:
                return Tail(Position(end), Position(base))
        return None

    def write(self, tail: Tail) -> None:
        """Record a new end; only under the lock."""
        raw = _RECORD.pack(tail.end, tail.base, 0)
        raw = raw[:-4] + zlib.crc32(raw[:-4]).to_bytes(4, "little")
        if os.pwrite(self._fd, raw, 0) != len(raw):
            raise OSError(f"{self.path}: the end of the log could not be recorded: the write stopped half-way")

    def sync(self) -> None:
        """Make what is recorded survive a power loss, and that there is such a file."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Release the file and, with it, the lock."""
        os.close(self._fd)
