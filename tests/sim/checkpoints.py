"""Checkpoints of a simulated deployment: created by the production code, and what is restored of them.

They exist where coordinator and serving partitions are one process, as in `dgs up`. A sampler's store is copied as one file, and
logs are files like those of a local bus; all else is production code. A data directory, and what finds things in it, there is none.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dgs.bus.base import Bus, Entry
from dgs.bus.frames import parse
from dgs.coordinator.checkpoints import CheckpointCreator
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.truncation import Truncation
from dgs.core.deployment import Deployment
from dgs.core.errors import NotFoundError
from dgs.core.types import PartitionIndex, Position
from dgs.datadir import DataDir
from dgs.recovery.restore import rename_snapshot, restore_part
from dgs.sampler.checkpoints import SamplerPart
from dgs.serving.checkpoints import ServingPart
from dgs.serving.snapshots import Snapshots
from dgs.store.checkpoints import LATEST, Checkpoints
from dgs.store.destination import Destination
from dgs.store.manifest import SERVING, LogRange, Manifest, Part
from dgs.store.objects import fetch
from dgs.store.participation import Participation, Sending
from dgs.testing.process import Life
from dgs.testing.store import OpenedStore, SimStoreView

KEPT = 2


class SimCheckpoints:
    """The checkpoints of one deployment, over all lives of its processes.

    Args:
        folder: for the destination, and links to what is being sent.
    """

    def __init__(self, folder: Path, deployment: Deployment) -> None:
        folder.mkdir()
        self._folder = folder
        self._deployment = deployment
        self._snapshots: dict[int, tuple[Life, Snapshots]] = {}
        self._destination = Destination(str(folder / "place"))
        self._creator: tuple[Life, CheckpointCreator] | None = None
        self._committed: Callable[[int], int | None] = lambda _: None

    async def run(self, life: Life, coordinator: Coordinator, bus: Bus, logs: Path, committed: Callable[[int], int | None]) -> None:
        """Create checkpoints when asked to, and truncate logs, as a part of the frontend, until cancelled."""
        self._committed = committed
        truncation = Truncation(bus, coordinator.deployment, self)
        clock = asyncio.get_running_loop().time
        creator = CheckpointCreator(
            coordinator, logs, self._opened, _reached, truncation, interval_s=0, kept=KEPT, wall_clock=clock
        )
        self._creator = life, creator
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(creator.run())
            tasks.create_task(truncation.run())

    def records_needed(self, partition: int) -> int | None:
        """See `dgs.coordinator.truncation.Needs`; what is known is of this very moment."""
        return self._committed(partition)

    def samples_needed(self, partition: int) -> int | None:
        """See `dgs.coordinator.truncation.Needs`; a coordinator that starts knows nothing of what was before."""
        life, snapshots = self._snapshots.get(partition, (None, None))
        return snapshots.needed if life is not None and life.alive and snapshots is not None else None

    def sampler(self, partition: int, store: OpenedStore) -> Participation:
        """Return how a sampler partition takes part."""
        link = self._folder / f"sampler-{partition}"
        part = SamplerPart(self._deployment, PartitionIndex(partition), store, link, SimStoreView)
        return Participation(part, self._asked, Sending(lambda: "", lambda _: self._opened()))

    def serving(self, partition: int, snapshots: Snapshots, life: Life) -> Participation:
        """Return how a serving partition takes part."""
        self._snapshots[partition] = life, snapshots
        part = ServingPart(PartitionIndex(partition), self._deployment.partitions, snapshots, self._folder / f"serving-{partition}")
        return Participation(part, self._asked, Sending(lambda: "", lambda _: self._opened()))

    def _asked(self) -> str | None:
        return self._creator[1].asked if self._creator is not None and self._creator[0].alive else None

    def begin(self) -> None:
        """Have a checkpoint created, if there is somebody to do that."""
        if self._creator is not None and self._creator[0].alive:
            life, creator = self._creator

            async def begun() -> None:
                creator.begin()

            life.spawn(begun())

    def newest(self, log_id: str) -> Manifest | None:
        """Return the newest checkpoint of a deployment."""
        with suppress(NotFoundError):
            return self._opened().manifest(LATEST, log_id)
        return None

    def restore(self, part: Part, folder: Path, log_id: str | None = None) -> Path:
        """Put a part's state into a folder, and return where it stands there; it may be that of another log id from then on."""
        directory = DataDir(folder)
        restore_part(self._destination, part, directory)
        if part.kind != SERVING:
            return directory.sampler(part.partition)
        for file in part.files if log_id is not None else []:
            rename_snapshot(directory.serving(part.partition) / file.path, str(log_id))
        return directory.serving(part.partition)

    def log_of(self, log: LogRange, folder: Path) -> list[Entry]:
        """Return the entries of a log that stand in a checkpoint and are needed."""
        for ref in log.files:
            fetch(self._destination, ref, folder / ref.path)
        data = b"".join((folder / ref.path).read_bytes() for ref in log.files)
        return [entry for entry in parse(data, Position(0)) if entry.position >= log.begin]

    def _opened(self) -> Checkpoints:
        return Checkpoints(self._destination)


def _reached() -> None:
    """All partitions reach the destination."""
