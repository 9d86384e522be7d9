"""Entries of a log that cannot be read: kept with their place and the reason, so that nothing is lost without a trace.

Workers hand them to `DeadEntries`, which hands them on to a file of the data directory, each place of a log once, however often
the log is read again. `dgs inspect dead-letters` lists the files.
"""

import base64
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from dgs.bus.base import Entry
from dgs.core.errors import StateError
from dgs.core.types import Position
from dgs.telemetry import logs
from dgs.troubles import Troubles

_log = logs.get(__name__)


class DeadEntry(NamedTuple):
    """A log entry that a worker had to pass over."""

    topic: str
    partition: int
    entry: Entry
    reason: str


class KeptEntry(NamedTuple):
    """A dead entry as it was kept; `when` is RFC 3339 in UTC, or empty where an older version kept it."""

    dead: DeadEntry
    when: str


DeadLetters = Callable[[DeadEntry], None]
"""Takes a dead entry and returns once it is kept; OSError where that is not possible now."""


class DeadEntries:
    """Dead entries of one worker, on their way to where they are kept. While that place is full they wait here."""

    def __init__(self, keep: DeadLetters) -> None:
        self._keep = keep
        self._waiting: deque[DeadEntry] = deque()

    def add(self, dead: DeadEntry) -> None:
        """Have an entry kept, now or later."""
        self._waiting.append(dead)
        with suppress(OSError):
            self.flush()

    def flush(self) -> None:
        """Have all kept that wait. A state that has passed them may become durable only after this.

        Raises:
            OSError: that is not possible now; try again.
        """
        while self._waiting:
            self._keep(self._waiting[0])
            self._waiting.popleft()


class DeadEntryFile:
    """Keeps dead entries as JSON lines: topic, partition, position, next, reason, when, and the bytes in base64.

    Args:
        path: the file, made when it is needed; one writer at a time, the owner of the partition.
        now: the wall clock, in seconds since 1970.
        troubles: told when the file cannot be written.
    """

    def __init__(self, path: Path, *, now: Callable[[], float], troubles: Troubles | None = None) -> None:
        self._path = path
        self._now = now
        self._troubles = troubles or Troubles()
        self._places: set[tuple[str, int, int]] | None = None

    @property
    def count(self) -> int:
        """How many entries are kept, those of earlier runs too."""
        return len(self._known())

    @property
    def known(self) -> int | None:
        """The same; None where the file cannot be read."""
        try:
            return self.count
        except OSError:
            return None

    def __call__(self, dead: DeadEntry) -> None:
        """Keep an entry, unless its place is known already.

        Raises:
            OSError: it cannot be written now.
        """
        what = f"the dead letters {self._path}"
        try:
            known = self._known()
            place = (dead.topic, dead.partition, int(dead.entry.position))
            if place not in known:
                self._append(_line(dead, datetime.fromtimestamp(self._now(), UTC)))
                known.add(place)
        except OSError as e:
            self._troubles.begin(what, e)
            raise
        self._troubles.end(what)

    def _known(self) -> set[tuple[str, int, int]]:
        if self._places is None:
            places = set()
            try:
                for kept in read_dead_entries(self._path):
                    places.add((kept.dead.topic, kept.dead.partition, int(kept.dead.entry.position)))
            except StateError as e:
                _log.warning("dead letters cannot be read; what follows there may be kept twice", cause=e)
            self._places = places
        return self._places

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b", buffering=0) as file:
            # What a killed writer, or a full disk, has left of the last line.
            os.ftruncate(file.fileno(), _whole_bytes(file.fileno()))
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]


def read_dead_entries(path: Path) -> Iterator[KeptEntry]:
    """Yield what is kept in a file, in the order of keeping; nothing where there is no file. A line half-written is not there yet.

    Raises:
        StateError: a line is something else; names file and line.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                kept = _kept(json.loads(line))
            except (ValueError, KeyError, TypeError) as e:
                raise StateError(f"{path}: line {number} is no dead letter ({e!r}); move the file away to go on") from None
            yield kept


def _line(dead: DeadEntry, when: datetime) -> bytes:
    document = {
        "topic": dead.topic,
        "partition": dead.partition,
        "position": dead.entry.position,
        "next": dead.entry.next,
        "reason": dead.reason,
        "when": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": base64.b64encode(dead.entry.data).decode(),
    }
    return json.dumps(document).encode() + b"\n"


def _kept(document: dict[str, object]) -> KeptEntry:
    data = base64.b64decode(str(document["data"]))
    position = int(str(document["position"]))
    following = int(str(document.get("next", position)))
    entry = Entry(Position(position), Position(following), data)
    dead = DeadEntry(str(document["topic"]), int(str(document["partition"])), entry, str(document["reason"]))
    return KeptEntry(dead, str(document.get("when", "")))


def _whole_bytes(descriptor: int) -> int:
    """Return where the last complete line of a file ends."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - 4096)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
