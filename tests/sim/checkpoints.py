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
from dgs.checkpoint_request import CheckpointRequest
from dgs.coordinator.checkpoints import CheckpointCreator
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.truncation import Truncation
from dgs.core.errors import NotFoundError, NotReadyError
from dgs.core.types import PartitionIndex, Position
from dgs.datadir import DataDir
from dgs.recovery.restore import rename_snapshot, restore_part
from dgs.sampler.checkpoints import SamplerCheckpoints
from dgs.serving.checkpoints import ServingCheckpoints
from dgs.serving.snapshots import Snapshots
from dgs.store.checkpoints import LATEST, Checkpoints
from dgs.store.destination import Destination
from dgs.store.manifest import SERVING, LogRange, Manifest, Part
from dgs.store.objects import Objects, fetch
from dgs.testing.process import Life
from dgs.testing.store import OpenedStore, SimStoreView

KEPT = 2


class SimCheckpoints:
    """The checkpoints of one deployment, over all lives of its processes.

    Args:
        folder: for the destination, and links to what is being sent.

    Attributes:
        snapshots: of the serving partitions that run.
    """

    def __init__(self, folder: Path, partitions: int, serving_partitions: int) -> None:
        folder.mkdir()
        self.snapshots: dict[int, Snapshots] = {}
        self._folder = folder
        self._partitions = partitions
        self._serving_partitions = serving_partitions
        self._request = CheckpointRequest(folder / "request.json")
        self._destination = Destination(str(folder / "place"))
        self._creator: tuple[Life, CheckpointCreator] | None = None
        self._truncation: Truncation | None = None

    async def run(
        self, life: Life, coordinator: Coordinator, bus: Bus, logs: Path, committed: Callable[[PartitionIndex], int | None]
    ) -> None:
        """Create checkpoints when asked to, as a part of the frontend, until cancelled."""
        self._truncation = Truncation(bus, coordinator.deployment, committed)
        parts = [_ServingPart(self, PartitionIndex(s)) for s in range(self._serving_partitions)]
        creator = CheckpointCreator(
            coordinator,
            logs,
            self._opened,
            parts,
            self._request.publish,
            self._truncation,
            interval_s=0,
            kept=KEPT,
            wall_clock=asyncio.get_running_loop().time,
        )
        self._creator = life, creator
        await creator.run()

    async def truncate(self, partition: PartitionIndex, oldest: Position) -> None:
        """Give back what neither a serving partition's snapshots nor checkpoints need."""
        if self._truncation is not None:
            await self._truncation.snapshots_kept(partition, oldest)

    def sampler(self, partition: int, store: OpenedStore) -> SamplerCheckpoints:
        """Return a sampler partition's part."""
        return SamplerCheckpoints(
            PartitionIndex(partition),
            self._serving_partitions,
            store,
            self._folder / f"sampler-{partition}",
            asked=self._request.read,
            opened=self._opened,
            view=SimStoreView,
        )

    def serving(self, partition: PartitionIndex) -> ServingCheckpoints:
        """Return a serving partition's part; NotReadyError while it does not run."""
        if partition not in self.snapshots:
            raise NotReadyError(f"serving partition {partition} does not run")
        return ServingCheckpoints(partition, self._partitions, self.snapshots[partition], self._folder / f"serving-{partition}")

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


class _ServingPart:
    """A serving partition's part, whichever of its lives it is in."""

    def __init__(self, checkpoints: SimCheckpoints, partition: PartitionIndex) -> None:
        self._checkpoints = checkpoints
        self._partition = partition

    async def prepare(self) -> None:
        """See `SendingPartition.prepare`."""
        await self._checkpoints.serving(self._partition).prepare()

    def send(self, objects: Objects) -> Part:
        """See `SendingPartition.send`."""
        return self._checkpoints.serving(self._partition).send(objects)
