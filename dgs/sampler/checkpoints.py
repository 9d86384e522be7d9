"""A sampler partition's part in checkpoints: when one is asked for, what is committed goes to the destination.

It runs beside the worker and never touches its machine. A commit is durable only when all that was emitted up to it is
acknowledged, so any copy of the store will do, and the logs have what follows. Files are links until they are sent, in a thread.
"""

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from dgs.core.types import PartitionIndex, Position
from dgs.store.checkpoints import Checkpoints
from dgs.store.manifest import SAMPLER, Part
from dgs.store.objects import Objects, Pace
from dgs.store.view import StoreView
from dgs.telemetry import logs

POLL_S = 0.2
"""How often it looks for a request."""
FLUSH_POLL_S = 0.02
LEFT_OUT = ("LOCK", "LOG")
"""What opening a RocksDB makes anew, and nobody needs of another one."""

_log = logs.get(__name__)


class CopiedStore(Protocol):
    """A store whose committed state can be linked into a folder."""

    def begin_flush(self) -> None:
        """Begin to write what is in memory into files."""

    @property
    def flushing(self) -> bool:
        """Whether that goes on."""

    def copy(self, folder: Path) -> None:
        """Make a copy of what is committed in a new folder; raises OSError."""


class CopyView(Protocol):
    """A copy of a store, for looking only."""

    def committed(self) -> tuple[Position, bytes] | None:
        """See `Store.committed`."""


class SamplerCheckpoints:
    """Takes part in checkpoints for one partition.

    Args:
        partition: which.
        serving_partitions: how many channels it has.
        store: what it commits to.
        folder: for links, on the disk of the store; nobody else's.
        asked: returns the id of the checkpoint that is being created, if one is.
        opened: opens the destination; in a thread.
        view: opens what the store has made in the folder.
    """

    def __init__(
        self,
        partition: PartitionIndex,
        serving_partitions: int,
        store: CopiedStore,
        folder: Path,
        *,
        asked: Callable[[], str | None],
        opened: Callable[[], Checkpoints],
        view: Callable[[Path], AbstractContextManager[CopyView]] = StoreView,
    ) -> None:
        self._partition = partition
        self._none_sent = [0] * serving_partitions
        self._store = store
        self._folder = folder
        self._asked = asked
        self._opened = opened
        self._view = view
        self._checkpoints: Checkpoints | None = None
        self._objects: Objects | None = None
        self._pace = Pace()
        self._done: str | None = None

    async def run(self) -> None:
        """Take part until cancelled; what fails is told to whoever creates the checkpoint."""
        try:
            while True:
                asked = self._asked()
                if asked is not None and asked != self._done:
                    await self._take_part(asked)
                    self._done = asked
                await asyncio.sleep(POLL_S)
        finally:
            self._pace.stop()

    async def _take_part(self, checkpoint: str) -> None:
        name = f"{SAMPLER}-{self._partition}"
        try:
            await asyncio.to_thread(self._begin)
            self._store.begin_flush()
            while self._store.flushing:  # noqa: ASYNC110  # RocksDB tells nobody
                await asyncio.sleep(FLUSH_POLL_S)
            self._store.copy(self._folder)
            await asyncio.to_thread(self._send, checkpoint)
        except Exception as e:  # the worker goes on whatever it is
            _log.error("no part in the checkpoint", partition=self._partition, checkpoint=checkpoint, cause=e)
            await asyncio.to_thread(self._fail, checkpoint, name, str(e))
        finally:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _begin(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # of a process that was killed
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        if self._checkpoints is None:
            self._checkpoints = self._opened()
            self._objects = Objects(self._checkpoints.destination, self._pace)

    def _send(self, checkpoint: str) -> None:
        assert self._checkpoints is not None, "sent before it was opened"
        assert self._objects is not None, "sent before it was opened"
        self._objects.reset()
        with self._view(self._folder) as view:
            committed = view.committed()
        position, numbers = (0, {}) if committed is None else (committed[0], json.loads(committed[1]))
        paths = [p for p in sorted(self._folder.iterdir()) if p.is_file() and p.name not in LEFT_OUT]
        files = [] if committed is None else [self._objects.put(path, path.name) for path in paths]
        none = self._none_sent
        self._checkpoints.put_part(
            checkpoint,
            Part(
                SAMPLER,
                self._partition,
                position,
                numbers.get("received", none),
                numbers.get("sent", none),
                files,
                self._objects.sent.sent_bytes,
            ),
        )
        _log.info("part of a checkpoint sent", partition=self._partition, checkpoint=checkpoint, position=position)

    def _fail(self, checkpoint: str, name: str, why: str) -> None:
        try:
            if self._checkpoints is not None:
                self._checkpoints.put_failure(checkpoint, name, why)
        except OSError as e:
            _log.error("the destination of checkpoints refuses", partition=self._partition, cause=e)
