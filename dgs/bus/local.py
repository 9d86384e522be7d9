"""The bus of one host: logs in files that several processes append to and follow, without a broker.

`dgs up` and tests of real processes use it through `open_bus("local:///path")`. This module does the waiting — for the lock among
processes, for new entries, for the disk — and never blocks the event loop on another process; the files are the business of
`dgs.bus.segments`. Readers are woken by inotify and otherwise poll.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dgs.backoff import Backoff
from dgs.bus.base import Entry
from dgs.bus.frames import encode
from dgs.bus.inotify import Inotify
from dgs.bus.limits import NO_LIMITS, AppendLimits
from dgs.bus.segments import PartitionLog, sync_directory
from dgs.bus.wakeup import Wakeup
from dgs.core.errors import InputError, NotFoundError, StateError
from dgs.core.repair import ANEW
from dgs.core.types import PartitionIndex, Position
from dgs.telemetry import logs
from dgs.threads import in_thread

Fsync = Literal["never", "batch"]
"""What an acknowledged append survives: `never` a killed process, `batch` a power loss, too."""

SEGMENT_BYTES = 64 << 20
"""What truncation gives back at a time, and about what a process checks when it opens a log that has lost its `end`."""

_TOPIC_FILE = "topic.json"
_FORMAT = 1
_POLL_S_MIN, _POLL_S_MAX = 0.001, 0.05
_LOCK_TURNS = 8
"""How often a held lock is tried again in the next turn of the loop: it is mostly held for some 50 µs, a sleep takes 1 ms."""
_LOCK_S_MIN, _LOCK_S_MAX = 0.001, 0.01

_log = logs.get(__name__)


@dataclass(slots=True)
class _Partition:
    log: PartitionLog
    grown: Wakeup = field(default_factory=Wakeup)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """First come, first served among the tasks of this process, which all share one lock of the host."""
    watched: bool = False


class LocalBus:
    """See `dgs.bus.base.Bus`. One event loop; any number of processes, of which none may fork while it uses the bus.

    Errors of the system (disk full, no permission) are OSError; an append that meets one is cut off again. `limits` are those of
    this object's appends alone.
    """

    def __init__(
        self, root: Path, *, fsync: Fsync = "never", segment_bytes: int = SEGMENT_BYTES, limits: AppendLimits = NO_LIMITS
    ) -> None:
        self._root = root
        self._limits = limits
        self._durable = fsync == "batch"
        self._segment_bytes = segment_bytes
        self._counts: dict[str, int] = {}
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._inotify: Inotify | None = None
        self._polling = False
        self._closed = False

    async def ensure(self, topic: str, partitions: int, log_id: str = "") -> None:
        """See `Bus.ensure`; at least one partition, else InputError."""
        self._check_open()
        if partitions < 1:
            raise InputError(f"topic {topic} needs at least one partition, not {partitions}")
        directory = self._root / topic
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / _TOPIC_FILE).exists():
            with tempfile.NamedTemporaryFile("w", dir=directory) as draft:
                json.dump({"format": _FORMAT, "partitions": partitions, "log_id": log_id}, draft)
                draft.flush()
                os.fsync(draft.fileno())
                with suppress(FileExistsError):
                    # A hard link is made whole or not at all, and for one process only, however many are here at once.
                    (directory / _TOPIC_FILE).hardlink_to(draft.name)
        count = self._count(topic)
        if count != partitions:
            raise StateError(
                f"topic {topic} in {self._root} has {count} partitions, not {partitions}; their number is fixed when a data"
                " directory is made: use the old number, or load the data again into a new directory"
            )
        owner = json.loads((directory / _TOPIC_FILE).read_text()).get("log_id", "")
        if owner != log_id and owner and log_id:
            raise StateError(
                f"topic {topic} in {self._root} belongs to another deployment ({owner}, not {log_id}): give each data directory a"
                " bus of its own"
            )
        for index in range(partitions):
            (directory / str(index)).mkdir(exist_ok=True)
        if self._durable:
            for changed in (directory, self._root, self._root.parent):
                sync_directory(changed)

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        """Append entries in one write and return the position after the last.

        Raises:
            NotFoundError: no such topic or partition.
            TooLargeError: an entry is larger than a log takes; nothing was written.
            NoRoomError: a limit is reached; nothing was written.
            StateError: acknowledged entries are missing from the files.
            OSError: as the system says; nothing of the entries stays in the log.
        """
        opened = self._partition(topic, partition)
        parts = encode(entries)
        await asyncio.sleep(0)  # a writer in a loop leaves the other tasks their turn
        async with self._locked(opened):
            if not parts:
                return opened.log.end()
            self._check_room(f"{topic}/{partition}", opened.log)
            end = opened.log.write(parts)
            try:
                if self._durable:
                    await in_thread(opened.log.sync)
                opened.log.publish(end)
            except BaseException:  # a task cancelled here has not appended anything either
                opened.log.undo()
                raise
        opened.grown.ring()
        return end

    async def read(
        self, topic: str, partition: PartitionIndex, position: Position, *, max_bytes: int, wait_s: float
    ) -> list[Entry]:
        """Return entries from `position` on, waiting up to `wait_s` for the first; errors as in `Bus.read`.

        One call reads one segment, so at the end of one it may return less than would fit.
        """
        opened = await self._recovered(topic, partition)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + wait_s
        poll = Backoff(_POLL_S_MIN, _POLL_S_MAX)
        await asyncio.sleep(0)
        while not self._closed:
            watched = wait_s > 0 and self._watch(opened)
            ring = opened.grown.next_ring()
            entries = opened.log.read(position, max_bytes)
            remaining_s = deadline_s - loop.time()
            if entries or remaining_s <= 0:
                return entries
            await asyncio.wait([ring], timeout=remaining_s if watched else min(remaining_s, poll.next()))
        return []

    def processed(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """See `Bus.processed`; nobody asks."""

    async def end(self, topic: str, partition: PartitionIndex) -> Position:
        """Return the position after the last entry that was acknowledged (or could have been)."""
        return (await self._recovered(topic, partition)).log.end()

    async def ends(self, topics: Sequence[str]) -> dict[str, list[Position]]:
        """See `Bus.ends`. All locks are held at once, taken one after the other; an append holds one and waits for no other."""
        opened = {topic: [self._partition(topic, PartitionIndex(p)) for p in range(self._count(topic))] for topic in topics}
        async with AsyncExitStack() as stack:
            for partitions in opened.values():
                for partition in partitions:
                    await stack.enter_async_context(self._locked(partition))
            return {topic: [partition.log.end() for partition in partitions] for topic, partitions in opened.items()}

    async def truncate(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """Delete whole segments below `position`, never the last; PositionError if it is beyond the end."""
        opened = self._partition(topic, partition)
        more = True
        while more:  # each takes a while, and others append and answer in between
            async with self._locked(opened):
                more = opened.log.truncate(position)
            await asyncio.sleep(0)

    async def close(self) -> None:
        """End waiting reads and close all files, after appends under way; every later call is a StateError."""
        self._closed = True
        for opened in self._partitions.values():
            opened.grown.ring()
        while self._partitions:
            _, opened = self._partitions.popitem()
            async with opened.turn:
                opened.log.close()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    # -- below: opening, locking, waiting -----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"the bus in {self._root} was closed")

    def _count(self, topic: str) -> int:
        count = self._counts.get(topic)
        if count is None:
            path = self._root / topic / _TOPIC_FILE
            try:
                written = json.loads(path.read_text())
            except FileNotFoundError:
                raise NotFoundError(f"no topic {topic} in {self._root}: `ensure` makes it") from None
            except ValueError:
                raise StateError(f"{path} is damaged; {ANEW}") from None
            if written["format"] != _FORMAT:
                raise StateError(f"{path}: a log of format {written['format']}, this version reads {_FORMAT}; upgrade dgs")
            count = self._counts[topic] = int(written["partitions"])
        return count

    def _partition(self, topic: str, partition: PartitionIndex) -> _Partition:
        self._check_open()
        opened = self._partitions.get((topic, partition))
        if opened is None:
            count = self._count(topic)
            if not 0 <= partition < count:
                raise NotFoundError(f"topic {topic} has partitions 0 to {count - 1}, no {partition}")
            directory = self._root / topic / str(partition)
            log = PartitionLog(directory, durable=self._durable, segment_bytes=self._segment_bytes)
            opened = self._partitions[topic, partition] = _Partition(log)
        return opened

    async def _recovered(self, topic: str, partition: PartitionIndex) -> _Partition:
        opened = self._partition(topic, partition)
        if not opened.log.recovered:
            async with self._locked(opened):
                pass
        return opened

    def _check_room(self, name: str, log: PartitionLog) -> None:
        self._limits.check_disk(log.directory)
        if self._limits.log_bytes_max:
            self._limits.check_log(name, log.end() - log.begin())

    @asynccontextmanager
    async def _locked(self, opened: _Partition) -> AsyncIterator[None]:
        async with opened.turn:
            attempts, backoff = 0, Backoff(_LOCK_S_MIN, _LOCK_S_MAX)
            while True:
                self._check_open()
                if opened.log.tail.try_lock():
                    break
                attempts += 1
                if attempts <= _LOCK_TURNS:
                    await asyncio.sleep(0)
                else:
                    await asyncio.sleep(backoff.next())
            try:
                if not opened.log.recovered:
                    opened.log.recover()
                yield
            finally:
                opened.log.tail.unlock()

    def _watch(self, opened: _Partition) -> bool:
        """Have writes of other processes ring the bell; return whether that works."""
        if opened.watched or self._polling:
            return opened.watched
        try:
            if self._inotify is None:
                self._inotify = Inotify()
            self._inotify.watch(opened.log.tail.path, opened.grown.ring)
            opened.watched = True
        except OSError as error:
            self._polling = True
            _log.info("no inotify, polling", cause=error)
        return opened.watched
