"""One log partition as it stands, in files or on Kafka: begin, end, segments, and its entries one after the other."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import Any, Self

from dgs.bus.base import Entry
from dgs.bus.log import Logs
from dgs.bus.open import open_logs
from dgs.core.errors import CodecError, InputError, NotFoundError, PositionError
from dgs.core.types import PartitionIndex, Position
from dgs.inspection.subject import Subject

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a log is.

    Attributes:
        begin: position of the first entry that is kept.
        end: position after the last entry.
        segments: number of files; None on Kafka, which has its own.
        bytes: their size on the disk; an append under way counts. None on Kafka.
    """

    begin: int
    end: int
    segments: int | None
    bytes: int | None


class LogView:
    """A log partition opened for reading, until `close` or the end of a `with` block.

    Args:
        subject: whose it is.
        topic: which one.
        partition: of the topic.
        logs: the subject's, where several are looked at; None to open them for this one.

    Raises:
        NotFoundError: there is no such topic or partition, or nothing was appended yet.
        StateError: its end is not recorded, or it is another deployment's.
        UnreachableError: it is on Kafka, and no broker answers.
    """

    def __init__(self, subject: Subject, topic: str, partition: int, logs: Logs | None = None) -> None:
        self._path = subject.log_files(topic, partition)
        with ExitStack() as stack:
            logs = logs or stack.enter_context(closing(_opened(subject)))
            self._log = stack.enter_context(closing(logs.open(topic, PartitionIndex(partition))))
            self._closing = stack.pop_all()

    def extent(self) -> Extent:
        """Return how large it is now."""
        begin, end = self._log.begin(), self._log.end()
        if self._path is None:
            return Extent(begin, end, None, None)
        sizes = [p.stat().st_size for p in self._path.glob("[0-9]*.log")]
        return Extent(begin, end, len(sizes), sum(sizes))

    def entries(self, start: int | None = None, stop: int | None = None) -> Iterator[Entry]:
        """Yield the entries from one position, the first one kept if None is given, up to another, or to where the log ends now.

        Raises:
            InputError: no entry can start there.
            CodecError: it is damaged; names file and position.
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
        """Close the files, or the connections."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def list_logs(subject: Subject) -> list[dict[str, Any]]:
    """Return all logs of a deployment as JSON values: topic, partition, whether it exists, and its `Extent`."""
    found = []
    with closing(_opened(subject)) as logs:
        for topic, count in subject.topics.items():
            for partition in range(count):
                about: dict[str, Any] = {"topic": topic, "partition": partition, "exists": True}
                try:
                    with LogView(subject, topic, partition, logs) as view:
                        found.append(about | asdict(view.extent()))
                except NotFoundError:
                    found.append(about | {"exists": False, **asdict(Extent(0, 0, 0, 0))})
    return found


def _opened(subject: Subject) -> Logs:
    return open_logs(subject.deployment, subject.directory.log, subject.kafka)
