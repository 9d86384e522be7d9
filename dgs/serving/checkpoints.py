"""A serving partition's part in checkpoints: its newest snapshot goes to the destination.

A snapshot is durable only when all that was emitted up to its cut is acknowledged, so the logs have what follows. It is linked
first, as it may be removed once there are newer ones.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dgs.core.types import PartitionIndex
from dgs.serving.snapshots import Snapshots
from dgs.store.manifest import SERVING, Part
from dgs.store.objects import Objects
from dgs.store.snapshots import SnapshotReader

PREPARE_WAIT_S = 60.0
"""How long a snapshot that was begun may take."""
PATIENCE_S = 0.5
"""Where no entry comes for so long, there is not much log behind the last snapshot either."""
ATTEMPTS = 5
"""A snapshot may be removed between listing and linking it; then there is a newer one."""


class ServingPart:
    """See `dgs.store.participation.SendingPartition`.

    Args:
        partition: which.
        partitions: how many channels it has.
        snapshots: its snapshots.
        link: where the snapshot is linked to while it is sent, on the same disk; nobody else's.
    """

    def __init__(self, partition: PartitionIndex, partitions: int, snapshots: Snapshots, link: Path) -> None:
        self._partition = partition
        self._partitions = partitions
        self._snapshots = snapshots
        self._folder = snapshots.folder
        self._link = link

    @property
    def name(self) -> str:
        """Its name as a part."""
        return f"{SERVING}-{self._partition}"

    async def prepare(self) -> None:
        """Have a snapshot made of what is there now, so that there is little log behind it; after a while, the last one will do."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PREPARE_WAIT_S):
                await self._snapshots.ask(PATIENCE_S)

    def send(self, objects: Objects) -> Part:
        """Send the newest snapshot, if there is one; see `SendingPartition.send`."""
        self._link.parent.mkdir(parents=True, exist_ok=True)
        self.clean_up()  # of a process that was killed
        name = self._linked()
        if name is None:
            none: Sequence[int] = [0] * self._partitions
            return Part(SERVING, self._partition, 0, none, none, [], 0)
        with SnapshotReader(self._link) as reader:
            meta = json.loads(reader.read())
        file = objects.put(self._link, name)
        sent_bytes = objects.sent.sent_bytes
        return Part(SERVING, self._partition, meta["position"], meta["received"], meta["sent"], [file], sent_bytes)

    def clean_up(self) -> None:
        """Remove the link."""
        self._link.unlink(missing_ok=True)

    def _linked(self) -> str | None:
        for _ in range(ATTEMPTS):
            files = self._folder.files()
            if not files:
                return None
            with suppress(FileNotFoundError):
                self._link.hardlink_to(files[0].path)
                return files[0].path.name
        raise OSError(f"{self._folder.path}: no snapshot stays there")
