"""Logs in files, looked at as files: which segments hold a range, and a partition made of segments that come from elsewhere.

Checkpoints copy logs this way. Whoever asks for segments sees to it that none is truncated meanwhile.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from dgs.bus.segments import PartitionLog, segment_bases, segment_path
from dgs.bus.tail import Tail, TailFile
from dgs.core.errors import NotFoundError, PositionError, StateError
from dgs.core.types import PartitionIndex, Position


def open_files(directory: Path) -> PartitionLog:
    """Return a log as it stands, to be looked at; a service may work on it meanwhile.

    Raises:
        NotFoundError: nothing was appended yet.
        StateError: its end is not recorded.
    """
    with ExitStack() as stack:
        try:
            log = PartitionLog(directory, read_only=True)
        except FileNotFoundError:
            raise NotFoundError(f"{directory} holds no log: nothing has been appended to it yet") from None
        stack.callback(log.close)
        if log.tail.read() is None and segment_bases(directory):
            raise StateError(f"{log.tail.path} is damaged or empty; the next start of the service finds the end again")
        log.end()
        stack.pop_all()
    return log


class LogFiles:
    """See `dgs.bus.log.Logs`.

    Args:
        root: directory of a bus.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, topic: str, partition: PartitionIndex) -> PartitionLog:
        """See `Logs.open`."""
        return open_files(partition_directory(self._root, topic, partition))

    def close(self) -> None:
        """See `Logs.close`: they share nothing."""


class Segment(NamedTuple):
    """A segment file, as far as it belongs to a range."""

    path: Path
    base: Position
    nbytes: int
    """From its beginning on; the last one goes on behind the range."""


def partition_directory(root: Path, topic: str, partition: PartitionIndex) -> Path:
    """Return where a bus in a directory keeps a partition."""
    return root / topic / str(partition)


def segments(directory: Path, begin: Position, end: Position) -> list[Segment]:
    """Return the segments of a partition that hold the entries from `begin` to `end`, in order.

    Raises:
        PositionError: the beginning was truncated.
    """
    if begin == end:
        return []
    bases = segment_bases(directory)
    if not bases or bases[0] > begin:
        raise PositionError(f"{directory}: position {begin} is before the first kept entry: the log was truncated")
    limits = [*bases[1:], end]
    found = []
    for base, limit in zip(bases, limits, strict=True):
        if base < end and limit > begin:
            found.append(Segment(segment_path(directory, base), base, min(limit, end) - base))
    return found


def write_end(directory: Path, end: Position) -> None:
    """Let a partition that consists of segment files, or of none, end at a position."""
    bases = segment_bases(directory)
    tail = TailFile(directory / "end")
    try:
        tail.write(Tail(end, bases[-1] if bases else end))
    finally:
        tail.close()
