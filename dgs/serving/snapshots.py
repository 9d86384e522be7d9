"""Takes snapshots of one serving partition while it works, keeps the newest, and knows from where on these need the log.

A snapshot counts, that is, stands under its name, only once all that was emitted up to its cut is acknowledged, and the barrier
rounds that were told are durable: whoever starts from it does not say these things again. The worker says when a cut may be made,
and has the newest one restored when it starts. The event loop is held for one piece at a time; files are written in threads.
"""

import asyncio
from collections.abc import Awaitable, Callable

from dgs.bus.base import SAMPLES, Bus
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, PositionError, StateError
from dgs.core.repair import partition_anew
from dgs.core.types import PartitionIndex, Position
from dgs.serving.image import StateImage
from dgs.serving.restore import restore
from dgs.serving.state import ServingState
from dgs.store.snapshots import SnapshotFile, SnapshotFolder
from dgs.telemetry import logs
from dgs.threads import in_thread
from dgs.troubles import Troubles

_log = logs.get(__name__)

ASK_POLL_S = 0.05
KEPT = 2
"""Snapshots that are kept: where the newest turns out to be damaged, there is another, and the log behind it."""
MOVED_BYTES_LEAST = 1 << 20
"""Of the log since the last snapshot; less is replayed as fast as it is read."""
MOVED_SHARE_LEAST = 1 / 32
"""Of the size of the last snapshot, as the log must have moved too: a large state is not written again for a little log."""


class Snapshots:
    """The snapshots of one serving partition.

    Args:
        folder: where they are kept.
        interval_s: begin one when so long has passed since the last; 0 for none, but those that stand there are still used.
        clock: seconds, monotonic.
        troubles: told when the disk refuses.

    Attributes:
        folder: where they are kept.
        newest: the newest that is durable.
        needed: from here on the log is needed, even if the newest snapshot is lost; None while all of it is.
    """

    def __init__(
        self,
        folder: SnapshotFolder,
        deployment: Deployment,
        partition: PartitionIndex,
        bus: Bus,
        *,
        interval_s: float,
        clock: Callable[[], float],
        troubles: Troubles | None = None,
    ) -> None:
        self.folder = folder
        self._deployment = deployment
        self._partition = partition
        self._bus = bus
        self._interval_s = interval_s
        self._clock = clock
        self._troubles = troubles or Troubles()
        self._begun_at = clock()
        self._moved_bytes = self._moved_at_cut = 0
        self._applied = -1
        self._taking = self._asked = False
        self._what = f"the snapshot of serving partition {partition}"
        self.newest: SnapshotFile | None = None
        self.needed: Position | None = None

    async def restored(self) -> tuple[ServingState, Position] | None:
        """Return the newest state that can be read, with its position; None where the log has to be replayed from its start.

        Raises:
            StateError: a snapshot is not this partition's or of a newer program; or none can be read, and the log has no start.
            OSError: the folder cannot be read.
        """
        await in_thread(self.folder.clear_drafts)
        for file in await in_thread(self.folder.files):
            try:
                state, position = await in_thread(restore, file, self._deployment, self._partition)
            except CodecError as e:
                name = await in_thread(self.folder.set_aside, file)
                _log.error("snapshot is damaged; it is set aside, and an older state is taken", file=file.path, now=name, cause=e)
                continue
            self.newest, self._applied = file, state.applied
            self._note_kept(await in_thread(self.folder.files))
            _log.info("snapshot restored", partition=self._partition, position=position, file=file.path)
            return state, position
        await self._check_start()
        return None

    async def _check_start(self) -> None:
        """Check that the log still has its start."""
        try:
            await self._bus.read(SAMPLES, self._partition, Position(0), max_bytes=1, wait_s=0)
        except PositionError as e:
            damaged = [str(path) for path in await in_thread(self.folder.damaged)]
            what = f"damaged: {', '.join(damaged)}" if damaged else f"none in {self.folder.path}"
            raise StateError(
                f"serving partition {self._partition} has no snapshot that can be read ({what}), and its log lacks the start"
                f" ({str(e).partition(';')[0]}); {partition_anew('serving', self._partition)}"
            ) from None

    async def ask(self, patience_s: float) -> None:
        """Have a snapshot made at the next entry, if anything was applied since the last; return when it is durable, or given up.

        Where no entry comes for so many seconds, none is made: then there is not much behind the last one either.
        """
        self._asked = True
        begun_by = self._clock() + patience_s
        while self._taking or (self._asked and self._clock() < begun_by):  # noqa: ASYNC110  # the worker tells nobody
            await asyncio.sleep(ASK_POLL_S)
        self._asked = False

    def moved(self, nbytes: int) -> None:
        """Take note of how much more of the log was read."""
        self._moved_bytes += nbytes

    def due_in_s(self, applied: int) -> float | None:
        """Return in how many seconds to ask again, 0 if a cut is due here; None until more has been applied."""
        if self._taking:
            return self._interval_s or None
        if self._asked and applied != self._applied:
            return 0.0
        if self._interval_s <= 0 or applied == self._applied:
            return None
        size = self.newest.nbytes if self.newest is not None else 0
        if self._moved_bytes < max(MOVED_BYTES_LEAST, size * MOVED_SHARE_LEAST):
            return None
        return max(0.0, self._begun_at + self._interval_s - self._clock())

    def cut(self, state: ServingState, position: Position) -> StateImage | None:
        """Begin a snapshot of the state as it is now; the position is that of the next entry. `write` has to follow.

        Returns:
            None where the system has no memory for it; the next interval is another attempt.
        """
        self._begun_at = self._clock()
        self._asked = False
        try:
            image = StateImage(state, position)
        except OSError as e:
            self._troubles.begin(self._what, e)
            return None
        self._taking, self._moved_at_cut = True, self._moved_bytes
        return image

    async def write(self, image: StateImage, settled: Callable[[], Awaitable[None]]) -> None:
        """Write a snapshot, and remove older ones.

        What the disk refuses, or a control item makes useless, is left out: the next snapshot is another attempt.

        Args:
            image: as `cut` has returned it.
            settled: waits until all that was emitted, told or passed over up to the cut is safe; may raise OSError.
        """
        try:
            if await self._written(image, settled):
                self._note_kept(await in_thread(self.folder.keep, KEPT))
            self._troubles.end(self._what)
        except OSError as e:
            self._troubles.begin(self._what, e)
        finally:
            image.release()
            self._taking = False

    async def _written(self, image: StateImage, settled: Callable[[], Awaitable[None]]) -> bool:
        draft = self.folder.draft(image.position)
        try:
            await in_thread(draft.add, image.meta)
            while (piece := image.take()) is not None:
                await in_thread(draft.add, piece)
            if image.abandoned:
                self._begun_at = self._clock() - self._interval_s
                _log.info("snapshot given up for a control item; another one follows", partition=self._partition)
                return False
            await settled()
            await in_thread(draft.finish)
        finally:
            await in_thread(draft.discard)
        self.newest, self._applied = (await in_thread(self.folder.files))[0], image.applied
        self._moved_bytes -= self._moved_at_cut
        _log.info("snapshot written", partition=self._partition, position=image.position, bytes=self.newest.nbytes)
        return True

    def _note_kept(self, kept: list[SnapshotFile]) -> None:
        """Take note of the snapshots that there are, newest first; with fewer than are to be kept, all of the log is needed."""
        self.needed = kept[KEPT - 1].position if len(kept) >= KEPT else None
