"""A sampler partition's part in checkpoints: what is committed goes to the destination.

Files are links until they are sent.
"""

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from dgs.core.deployment import Deployment
from dgs.core.types import PartitionIndex, Position
from dgs.store.manifest import SAMPLER, Part
from dgs.store.objects import Objects
from dgs.store.view import StoreView

FLUSH_POLL_S = 0.02
LEFT_OUT = ("LOCK", "LOG")
"""What opening a RocksDB makes anew, and nobody needs of another one."""


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


class SamplerPart:
    """See `dgs.store.participation.SendingPartition`.

    Args:
        deployment: whose partition it is.
        partition: which.
        store: what it commits to.
        folder: for links, on the disk of the store; nobody else's.
        view: opens what the store has made there.
    """

    def __init__(
        self,
        deployment: Deployment,
        partition: PartitionIndex,
        store: CopiedStore,
        folder: Path,
        view: Callable[[Path], AbstractContextManager[CopyView]] = StoreView,
    ) -> None:
        self._partition = partition
        self._begin = deployment.begin(partition)
        self._none_sent = [0] * deployment.serving_partitions
        self._store = store
        self._folder = folder
        self._view = view

    @property
    def name(self) -> str:
        """Its name as a part."""
        return f"{SAMPLER}-{self._partition}"

    async def prepare(self) -> None:
        """Link what is committed."""
        await asyncio.to_thread(self.clean_up)  # of a process that was killed
        await asyncio.to_thread(self._folder.parent.mkdir, parents=True, exist_ok=True)
        self._store.begin_flush()
        while self._store.flushing:  # noqa: ASYNC110  # RocksDB tells nobody
            await asyncio.sleep(FLUSH_POLL_S)
        self._store.copy(self._folder)

    def send(self, objects: Objects) -> Part:
        """Send what is linked; see `SendingPartition.send`."""
        with self._view(self._folder) as view:
            committed = view.committed()
        position, numbers = (self._begin, {}) if committed is None else (committed[0], json.loads(committed[1]))
        paths = [p for p in sorted(self._folder.iterdir()) if p.is_file() and p.name not in LEFT_OUT]
        files = [] if committed is None else [objects.put(path, path.name) for path in paths]
        received, sent = (numbers.get(direction, self._none_sent) for direction in ("received", "sent"))
        return Part(SAMPLER, self._partition, position, received, sent, files, objects.sent.sent_bytes)

    def clean_up(self) -> None:
        """Remove the links."""
        shutil.rmtree(self._folder, ignore_errors=True)
