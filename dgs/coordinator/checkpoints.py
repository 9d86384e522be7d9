"""Checkpoints of the deployment: when one is created, and in which order, so that a restore finds states and logs that go together.

Steps: 1 every partition sends a state that is durable (`dgs.store.participation`); 2 with orders held, the coordinator's state and
then the ends of all logs, at one moment, are taken; 3 the logs from the states to those ends are sent, unless the bus keeps them;
4 the manifest is written; 5 what is not needed any more goes, at the destination and in the logs. What is read and sent waits in
one thread; nobody who reads or writes the graph waits for it. Why the order is right is told in ADR 13.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from dgs.backoff import Backoff
from dgs.bus.archive import partition_directory, segments
from dgs.bus.base import RECORDS, SAMPLES
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.truncation import Truncation
from dgs.core.errors import CodecError, InputError, NotFoundError, NotReadyError, StateError
from dgs.core.types import PartitionIndex, Position
from dgs.store.checkpoints import Checkpoints, new_id
from dgs.store.destination import Destination
from dgs.store.manifest import SAMPLER, SERVING, LogRange, Manifest, Part
from dgs.store.objects import Objects
from dgs.store.uploads import Uploader, Uploads
from dgs.telemetry import logs

PARTS_WAIT_S = 600.0
"""How long partitions may take to send their parts."""
POLL_S = 0.2
RETRY_FIRST_S, RETRY_MOST_S = 5.0, 300.0
"""Pauses between attempts to create a checkpoint that is due."""

_log = logs.get(__name__)
T = TypeVar("T")


class CreationState(StrEnum):
    """How far a creation is."""

    CREATING = "CREATING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Creation:
    """A checkpoint that is being created, or was, since this process started.

    Attributes:
        id: of the checkpoint.
        state: how far it is.
        parts_sent: of how many partitions the state is at the destination.
        parts: how many partitions there are.
        reason: why it failed, else empty.
    """

    id: str
    state: CreationState
    parts_sent: int
    parts: int
    reason: str = ""


class CheckpointCreator:
    """Creates the checkpoints of one deployment, one at a time.

    Args:
        coordinator: whose state belongs to them.
        log: directory of the bus; None where that is not in files, and keeps what kept checkpoints need.
        opened: opens the destination; in a thread.
        check: raises StateError where not all partitions reach it.
        truncation: told what is kept.
        interval_s: create one so long after the last; 0 for none.
        kept: how many of this deployment stay at the destination.
        wall_clock: seconds since 1970.
        uploading: returns what sends files to the destination.

    Attributes:
        newest: the newest checkpoint of this deployment; None if none is known.
        creation: what was begun last; None before the first.
        asked: the checkpoint that all partitions are to send their parts of; None for none.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        log: Path | None,
        opened: Callable[[], Checkpoints],
        check: Callable[[], None],
        truncation: Truncation,
        *,
        interval_s: float,
        kept: int,
        wall_clock: Callable[[], float],
        uploading: Callable[[Destination], Uploads] = Uploader,
    ) -> None:
        self._coordinator = coordinator
        self._deployment = coordinator.deployment
        self._logs = log
        self._opened = opened
        self._check = check
        self._truncation = truncation
        self._interval_s = interval_s
        self._kept = kept
        self._wall_clock = wall_clock
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._uploading = uploading
        self._store: tuple[Checkpoints, Objects] | None = None
        self._under_way: asyncio.Task[Manifest] | None = None
        self.newest: Manifest | None = None
        self.creation: Creation | None = None
        self.asked: str | None = None

    async def run(self) -> None:
        """Find out what there is, and create checkpoints when they are due, until cancelled."""
        try:
            await self._insist("look for checkpoints", self._look)
            while True:
                await asyncio.sleep(self._due_in_s())
                await self._insist("create a checkpoint", self.create)
        finally:
            if self._store is not None:
                self._store[1].stop()
            if self._under_way is not None:
                self._under_way.cancel()
                await asyncio.gather(self._under_way, return_exceptions=True)
            self._thread.shutdown(wait=False, cancel_futures=True)

    def begin(self) -> Creation:
        """Begin to create a checkpoint, unless one is under way; return that one."""
        if self._under_way is None or self._under_way.done():
            partitions = self._deployment.partitions + self._deployment.serving_partitions
            checkpoint = new_id(self._deployment.log_id, self._wall_clock())
            self.creation = Creation(checkpoint, CreationState.CREATING, 0, partitions)
            self._under_way = asyncio.create_task(self._create(checkpoint))
            self._under_way.add_done_callback(self._ended)
        assert self.creation is not None, "under way without a name"
        return self.creation

    async def create(self) -> Manifest:
        """Create a checkpoint, or wait for the one that is under way.

        Raises:
            DgsError, OSError: why there is none.
        """
        self.begin()
        assert self._under_way is not None, "begun"
        return await asyncio.shield(self._under_way)

    async def manifests(self) -> list[Manifest]:
        """Return all checkpoints at the destination that can be read, newest first.

        Raises:
            OSError: it refuses.
        """
        return await self._in_thread(self._all)

    async def manifest(self, checkpoint: str) -> Manifest:
        """Return one checkpoint.

        Raises:
            NotFoundError: there is none.
            CodecError: its manifest is damaged.
            OSError: the destination refuses.
        """
        return await self._in_thread(lambda: self._open()[0].manifest(checkpoint))

    # When -----------------------------------------------------------------------------------------------------------------------

    def _due_in_s(self) -> float:
        if not self._interval_s:
            return 1e9
        age_s = 0.0 if self.newest is None else self._wall_clock() - self.newest.created_ms / 1000
        return max(0.0, self._interval_s - age_s)

    async def _look(self) -> None:
        """Take note of the checkpoints of this deployment; until that is done, no log is truncated."""
        own = [m for m in await self.manifests() if m.log_id == self._deployment.log_id]
        self.newest = own[0] if own else None
        self._truncation.checkpoints_kept(own)

    async def _insist(self, what: str, call: Callable[[], Awaitable[object]]) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
        while True:
            try:
                await call()
                return
            except Exception as e:  # whatever it is, the service goes on, and it is tried again
                _log.warning("checkpoints: tried again later", what=what, cause=e)
            await asyncio.sleep(backoff.next())

    # How ------------------------------------------------------------------------------------------------------------------------

    async def _create(self, checkpoint: str) -> Manifest:
        try:
            manifest = await self._created(checkpoint)
        except Exception:
            await self._clean_up()  # what was sent in vain takes room
            raise
        self.newest = manifest
        _log.info("checkpoint created", id=checkpoint, bytes=manifest.nbytes, sent_bytes=manifest.sent_bytes)
        await self._clean_up()  # 5
        return manifest

    async def _created(self, checkpoint: str) -> Manifest:
        self._check()
        began = self._wall_clock()
        with self._truncation.held():
            parts = await self._parts(checkpoint)  # 1
            state, ends = await self._coordinator.at_one_moment()  # 2
            store, objects = await self._in_thread(self._open)
            objects.reset()
            ranges = [await self._in_thread(self._send_log, objects, part, ends) for part in parts]  # 3
            now = self._wall_clock()
            manifest = Manifest(
                checkpoint,
                int(now * 1000),
                round(now - began, 3),
                sum(p.sent_bytes for p in parts) + objects.sent.sent_bytes,
                self._deployment.identity(),
                self._deployment.schema.text,
                state,
                parts,
                ranges,
                bus=self._deployment.bus if self._logs is None else "",
                beginning=self._deployment.beginning,
            )
            await self._in_thread(store.put, manifest)  # 4
        return manifest

    async def _clean_up(self) -> None:
        try:
            store, _ = await self._in_thread(self._open)
            kept = await self._in_thread(store.keep, self._deployment.log_id, self._kept, self._wall_clock())
            self._truncation.checkpoints_kept(kept)
        except (OSError, InputError, StateError) as e:  # the next checkpoint does the rest
            _log.warning("what no checkpoint needs is not removed yet", cause=e)

    async def _parts(self, checkpoint: str) -> list[Part]:
        """Return the parts of all partitions, once they are sent."""
        store, _ = await self._in_thread(self._open)
        d = self._deployment
        missing = [f"{SERVING}-{s}" for s in range(d.serving_partitions)] + [f"{SAMPLER}-{p}" for p in range(d.partitions)]
        parts: list[Part] = []
        deadline = asyncio.get_running_loop().time() + PARTS_WAIT_S
        self.asked = checkpoint
        try:
            while missing:
                part = await self._in_thread(store.part, checkpoint, missing[0])
                if part is not None:
                    parts.append(part)
                    missing.pop(0)
                    self._progress(len(parts))
                elif asyncio.get_running_loop().time() > deadline:
                    raise NotReadyError(f"{missing[0]} has not sent its part within {PARTS_WAIT_S:g} s; is it running?")
                else:
                    await asyncio.sleep(POLL_S)
        finally:
            self.asked = None
        return sorted(parts, key=lambda p: (p.kind, p.partition))

    def _send_log(self, objects: Objects, part: Part, ends: dict[str, list[Position]]) -> LogRange:
        """Send the log that a part's state reads on from."""
        topic = RECORDS if part.kind == SAMPLER else SAMPLES
        end = ends[topic][part.partition]
        if self._logs is None:
            return LogRange(topic, part.partition, part.position, end, [])
        directory = partition_directory(self._logs, topic, PartitionIndex(part.partition))
        found = segments(directory, Position(part.position), end)
        return LogRange(topic, part.partition, part.position, end, [objects.put(s.path, s.path.name, s.nbytes) for s in found])

    def _progress(self, parts_sent: int) -> None:
        assert self.creation is not None, "under way without a name"
        self.creation = replace(self.creation, parts_sent=parts_sent)

    def _ended(self, task: "asyncio.Task[Manifest]") -> None:
        assert self.creation is not None, "ended without a name"
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self.creation = replace(self.creation, state=CreationState.COMPLETE)
        else:
            self.creation = replace(self.creation, state=CreationState.FAILED, reason=str(error))
            _log.error("no checkpoint", id=self.creation.id, cause=error)

    # In the thread --------------------------------------------------------------------------------------------------------------

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _open(self) -> tuple[Checkpoints, Objects]:
        if self._store is None:
            checkpoints = self._opened()
            self._store = checkpoints, Objects(checkpoints.destination, self._uploading(checkpoints.destination))
        return self._store

    def _all(self) -> list[Manifest]:
        store, found = self._open()[0], list[Manifest]()
        for checkpoint in store.ids():
            try:
                found.append(store.manifest(checkpoint))
            except NotFoundError:  # removed meanwhile
                continue
            except CodecError as e:  # the others are as good as before
                _log.error("a checkpoint is damaged; remove its folder", id=checkpoint, cause=e)
        return found
