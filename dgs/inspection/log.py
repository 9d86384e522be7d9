"""One log partition as its files are: begin, end, segments, and its entries one after the other."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from dgs.bus.base import Entry
from dgs.bus.segments import PartitionLog
from dgs.core.errors import CodecError, InputError, NotFoundError, PositionError, StateError
from dgs.core.types import Position
from dgs.inspection.subject import Subject

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a log is.

    Attributes:
        begin: position of the first entry that is kept.
        end: position after the last entry.
        segments: number of files.
        bytes: their size on the disk; an append under way counts.
    """

    begin: int
    end: int
    segments: int
    bytes: int


class LogView:
    """A log partition opened for reading, until `close` or the end of a `with` block.

    Raises:
        NotFoundError: nothing was appended yet.
        StateError: its end is not recorded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as stack:
            try:
                self._log = PartitionLog(path, read_only=True)
            except FileNotFoundError:
                raise NotFoundError(f"{path} holds no log: nothing has been appended to it yet") from None
            stack.callback(self._log.close)
            if self._log.tail.read() is None and any(path.glob("[0-9]*.log")):
                raise StateError(f"{self._log.tail.path} is damaged or empty; the next start of the service finds the end again")
            self._log.end()
            stack.pop_all()

    def extent(self) -> Extent:
        """Return how large it is now."""
        sizes = [p.stat().st_size for p in self._path.glob("[0-9]*.log")]
        return Extent(self._log.begin(), self._log.end(), len(sizes), sum(sizes))

    def entries(self, start: int | None = None, stop: int | None = None) -> Iterator[Entry]:
        """Yield the entries from one position, the first one kept if None is given, up to another, or to where the log ends now.

        Raises:
            InputError: no entry can start there.
            CodecError: the file is damaged; names file and position.
        """
        end = self._log.end() if stop is None else Position(stop)
        at = Position(self._log.begin() if start is None else start)
        while at < end:
            try:
                entries = self._log.read(at, _READ_BYTES)
            except PositionError as e:
                raise InputError(str(e)) from None
            except CodecError as e:
                if at == start:
                    raise CodecError(
                        f"{e}. If the position was a guess: entries start at those that `dgs inspect log` shows"
                    ) from None
                raise
            for entry in entries:
                if entry.position >= end:
                    return
                yield entry
                at = entry.next
        if start is not None and start > end:
            raise InputError(f"position {start} is beyond the end of the log ({end})")

    def close(self) -> None:
        """Close the files."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def list_logs(subject: Subject) -> list[dict[str, Any]]:
    """Return all logs of a deployment as JSON values: topic, partition, whether it exists, and its `Extent`."""
    found = []
    for topic, count in subject.topics.items():
        for partition in range(count):
            about: dict[str, Any] = {"topic": topic, "partition": partition, "exists": True}
            try:
                with LogView(subject.log(topic, partition)) as view:
                    found.append(about | asdict(view.extent()))
            except NotFoundError:
                found.append(about | {"exists": False, **asdict(Extent(0, 0, 0, 0))})
    return found
