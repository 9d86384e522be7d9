"""One partition of the local log on disk: segment files, how they grow, how they are read, how they are given up.

A partition is a directory of segment files, named by their first position, and the file `end` (see `dgs.bus.tail`). A position is
a byte offset over the whole partition. Everything below the recorded end is whole, never changes, and is all that readers see;
so a bad frame there is damage. What lies beyond it is an append under way or one that was cut short. It never waits and knows
nothing of asyncio: `dgs.bus.local` calls it, and holds the lock for the methods that say so.
"""

import os
from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path

from dgs.bus.base import READERS, Entry
from dgs.bus.frames import diagnose, read_frames
from dgs.bus.tail import Tail, TailFile
from dgs.core.errors import CodecError, PositionError, StateError
from dgs.core.repair import ANEW, state_anew
from dgs.core.types import Position
from dgs.telemetry import logs

_SUFFIX = ".log"
_OPEN_SEGMENTS = 2
"""Segments kept open for reading, per partition: the newest, and one for a reader that lags."""
_SCAN_BYTES = 1 << 20
_IOV_MAX = 1024
"""As many pieces as one `pwritev` takes on Linux."""

_log = logs.get(__name__)


class PartitionLog:
    """The files of one partition. Not for several threads; other processes may work on the same files.

    `durable`: what was written is synced before its end is recorded. `read_only`: nothing is appended, no file is made or locked.
    """

    def __init__(self, directory: Path, *, durable: bool = False, segment_bytes: int = 0, read_only: bool = False) -> None:
        self.directory = directory
        self.recovered = False
        """Whether `recover` has run; before that only `tail` may be used."""
        self.tail = TailFile(directory / "end", read_only=read_only)
        self._durable = durable
        self._segment_bytes = segment_bytes
        self._end = Position(0)
        self._base = Position(0)
        self._bases: list[Position] = []
        self._reading: OrderedDict[Position, int] = OrderedDict()
        self._writing: int | None = None
        self._writing_base = Position(0)

    # -- appending: under the lock ------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Find the end of the log as a process that knows nothing yet; under the lock.

        After a power loss the recorded end may be older than the entries (they are synced, it is not); a copy of a log may come
        without it. So whole entries after it are taken in, and segments that go on where the last one stops.

        Raises:
            StateError: the log is shorter than its recorded end, or its segments do not fit together.
            CodecError: without a recorded end, a damaged entry with others after it.
        """
        recorded = self.tail.read()
        bases = self._list_bases()
        self._end, self._base = recorded or (Tail(bases[-1], bases[-1]) if bases else Tail(Position(0), Position(0)))
        self._adopt(trusted=recorded is not None)
        for base in bases:
            if base > self._base:
                if base != self._end:
                    raise StateError(
                        f"{self._path(base)}: this segment does not go on where the log stops ({self._end}): entries between"
                        f" are lost (a power loss with fsync=never?); {ANEW}"
                    )
                self._base = base
                self._adopt(trusted=recorded is not None)
        if recorded != (self._end, self._base):
            self.tail.write(Tail(self._end, self._base))
            if self._durable:
                # An end that is old says enough after a power loss; with none, nothing would tell a cut write from damage.
                self.tail.sync()
                sync_directory(self.directory)
        self.recovered = True

    def write(self, parts: list[bytes]) -> Position:
        """Write frames after the end and return where they stop; under the lock. They count after `publish`, not before.

        Raises:
            StateError: acknowledged entries are missing from the files.
            OSError: the disk is full, …; what was written of the frames is cut off again.
        """
        self._settle()
        if self._end - self._base >= self._segment_bytes:
            self._roll()
        fd, start, size = self._writing_fd(), self._end - self._base, sum(map(len, parts))
        try:
            written = os.pwritev(fd, parts if len(parts) <= _IOV_MAX else [b"".join(parts)], start)
            if written < size:  # a disk that fills up takes a part first; the next attempt says what is wrong
                rest = memoryview(b"".join(parts))[written:]
                while rest:
                    rest = rest[os.pwrite(fd, rest, start + size - len(rest)) :]
        except OSError:
            self.undo()
            raise
        return Position(self._end + size)

    def sync(self) -> None:
        """Make what was written survive a power loss. Blocks; may run in another thread while the lock is held."""
        os.fdatasync(self._writing_fd())

    def publish(self, end: Position) -> None:
        """Let the log end there, for all processes; under the lock."""
        self.tail.write(Tail(end, self._base))
        self._end = end

    def undo(self) -> None:
        """Cut off what `write` wrote and `publish` did not confirm; under the lock.

        It raises nothing: what cannot be cut now, the next `write` of whichever process takes in or cuts.
        """
        try:
            os.ftruncate(self._writing_fd(), self._end - self._base)
        except OSError as e:
            _log.warning("append not cut off", log=self.directory, end=self._end, cause=e)

    def truncate(self, position: Position) -> bool:
        """Delete the oldest segment if it ends at or before `position` and is not the last; under the lock.

        Returns:
            whether there was one; then there may be another.

        Raises:
            PositionError: the position is beyond the end.
        """
        self._settle()
        self._check(position)
        bases = self._refresh_bases()
        if len(bases) < 2 or bases[1] > position:
            return False
        self._path(bases[0]).unlink(missing_ok=True)
        self._forget(bases[0])
        self._refresh_bases()
        return True

    # -- reading: without the lock ------------------------------------------------------------------------------------

    def begin(self) -> Position:
        """Return the position of the first entry that is kept."""
        return self._refresh_bases()[0]

    def end(self) -> Position:
        """Return the position after the last entry that counts."""
        recorded = self.tail.read()
        if recorded is not None and recorded.end >= self._end:
            self._end, self._base = recorded
        return self._end

    def read(self, position: Position, max_bytes: int) -> list[Entry]:
        """Return entries of one segment from `position` on; [] at the end of the log.

        Raises:
            PositionError: beyond the end, or before the first kept entry.
            CodecError: no whole entry is where one must be.
        """
        if position >= self._end:
            self.end()
            self._check(position)
            if position == self._end:
                return []
        base, limit, fd = self._open_at(position)
        entries = read_frames(fd, position - base, limit - base, position, max_bytes)
        if not entries:
            raise self._damage(base, position, diagnose(fd, position - base, limit - base).reason)
        return entries

    def close(self) -> None:
        """Close all files."""
        while self._reading:
            self._forget(next(iter(self._reading)))
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None
        self.tail.close()

    # -- below: the parts of appending --------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Take over what other processes did since, and what a dead one left behind."""
        recorded = self.tail.read()
        if recorded is not None:
            self._end, self._base = recorded
        if self._adopt(trusted=recorded is not None) or recorded is None:
            self.tail.write(Tail(self._end, self._base))

    def _adopt(self, *, trusted: bool) -> bool:
        """Take in whole entries after the known end of the segment, cut off the rest; return whether the end moved.

        `trusted`: the end was recorded, so whatever is bad beyond it was never acknowledged, and may go. Otherwise only what
        looks like a write cut short goes, and anything else is damage.
        """
        start = self._end - self._base
        try:
            fd = self._writing_fd()
            status = os.fstat(fd)
            size = status.st_size if status.st_nlink else 0  # 0 links: deleted under our hands
        except FileNotFoundError:
            fd, size = -1, 0
        if size == start:
            return False
        if size < start:
            raise StateError(
                f"{self._path(self._base)}: {size} bytes are there where {start} were written, so acknowledged entries are"
                f" lost (a power loss with fsync=never?); {ANEW}; or, to go on without"
                f" them, stop all processes and delete {self.tail.path}"
            )
        end = self._end
        while entries := read_frames(fd, end - self._base, size, end, _SCAN_BYTES):
            end = entries[-1].next
        torn_bytes = size - (end - self._base)
        if torn_bytes:
            fault = diagnose(fd, end - self._base, size)
            if not trusted and not fault.torn:
                raise self._damage(self._base, end, fault.reason)
            os.ftruncate(fd, end - self._base)
            _log.warning("torn tail cut off", log=self.directory, end=end, bytes=torn_bytes)
        if self._durable:
            os.fdatasync(fd)
        moved, self._end = end != self._end, end
        return moved

    def _roll(self) -> None:
        """Begin a new segment at the end of the log.

        It is recorded before its file is made: a process killed between the two leaves a record that the next `write` makes good,
        not a file that others do not know of.
        """
        self.tail.write(Tail(self._end, self._end))
        self._base = self._end
        self._writing_fd()

    def _writing_fd(self) -> int:
        """Return the file of the last segment; made if nothing is in it yet."""
        if self._writing is not None and self._writing_base != self._base:
            os.close(self._writing)
            self._writing = None
        if self._writing is None:
            create = os.O_CREAT if self._end == self._base else 0
            self._writing = os.open(self._path(self._base), os.O_RDWR | os.O_CLOEXEC | create, 0o644)
            self._writing_base = self._base
            if create and self._durable:
                sync_directory(self.directory)
        return self._writing

    # -- below: the parts of reading ----------------------------------------------------------------------------------

    def _open_at(self, position: Position) -> tuple[Position, Position, int]:
        """Return base, limit and file of the segment that holds the position."""
        while True:
            base, limit = self._locate(position)
            fd = self._reading.get(base)
            if fd is not None:
                self._reading.move_to_end(base)
                return base, limit, fd
            try:
                fd = os.open(self._path(base), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                # Either another process has truncated, and a new look says so; or the file was taken away by hand.
                self.end()
                if base in self._refresh_bases():
                    raise
                continue
            self._reading[base] = fd
            if len(self._reading) > _OPEN_SEGMENTS:
                self._forget(next(iter(self._reading)))
            return base, limit, fd

    def _locate(self, position: Position) -> tuple[Position, Position]:
        if position >= self._base:
            return self._base, self._end
        index = bisect_right(self._bases, position)
        if not 0 < index < len(self._bases):
            self._refresh_bases()
            index = bisect_right(self._bases, position)
        if index == 0:
            raise PositionError(
                f"{self.directory}: position {position} is before the first kept entry ({self._bases[0]}): the log was"
                f" truncated, and what would read on from there is of an older state, or has lost its own; {self._state_anew()}"
            )
        return self._bases[index - 1], self._bases[index]

    def _refresh_bases(self) -> list[Position]:
        # Listing a directory that changes may show a new file and miss an older new one. Files below the known base were all
        # there before, so only these are believed.
        self._bases = [base for base in self._list_bases() if base < self._base] + [self._base]
        return self._bases

    def _list_bases(self) -> list[Position]:
        return segment_bases(self.directory)

    def _forget(self, base: Position) -> None:
        fd = self._reading.pop(base, None)
        if fd is not None:
            os.close(fd)

    def _path(self, base: Position) -> Path:
        return segment_path(self.directory, base)

    def _check(self, position: Position) -> None:
        if position > self._end:
            raise PositionError(
                f"{self.directory}: position {position} is beyond the end of the log ({self._end}): the data directory that"
                f" keeps this position and this log do not belong together; {ANEW}"
            )

    def _state_anew(self) -> str:
        return state_anew(READERS.get(self.directory.parent.name), self.directory.name)

    def _damage(self, base: Position, position: Position, reason: str) -> CodecError:
        return CodecError(
            f"{self._path(base)}: the entry at position {position} (byte {position - base} of the file) is damaged, or no entry"
            f" starts there: {reason}; {ANEW}"
        )


def segment_bases(directory: Path) -> list[Position]:
    """Return the first positions of the segments in a partition's directory, ascending."""
    return sorted(Position(int(path.stem)) for path in directory.glob(f"[0-9]*{_SUFFIX}"))


def segment_path(directory: Path, base: Position) -> Path:
    """Return the segment that begins at a position."""
    return directory / f"{base:020d}{_SUFFIX}"


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a power loss."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
