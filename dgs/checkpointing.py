"""Puts together what creates checkpoints: the creator in the frontend, and a part beside each sampler partition.

Called by `dgs.app`, as that is called by the commands; it knows where things stand in a data directory, and nothing of what they
do.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dgs.bus.base import Bus
from dgs.bus.open import kafka_address
from dgs.checkpoint_request import CheckpointRequest
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir
from dgs.telemetry.reports import ReportSource

if TYPE_CHECKING:
    from dgs.coordinator.checkpoints import CheckpointCreator
    from dgs.coordinator.coordinator import Coordinator
    from dgs.coordinator.truncation import Truncation
    from dgs.sampler.checkpoints import SamplerCheckpoints
    from dgs.serving.snapshots import Snapshots
    from dgs.store.checkpoints import Checkpoints
    from dgs.store.rocks import RocksStore


class Checkpointing:
    """The parts of one deployment that have to do with checkpoints.

    Args:
        settings: where checkpoints go, and when.
        directory: the data directory.
        deployment: which.
        log: directory of its bus; None where that is not in files. On Kafka the logs go on after a restore; in memory they do not,
            so there are no checkpoints.
    """

    def __init__(self, settings: Settings, directory: DataDir, deployment: Deployment, log: Path | None) -> None:
        self._settings = settings
        self._directory = directory
        self._deployment = deployment
        self._log = log
        self._possible = log is not None or kafka_address(deployment.bus) is not None
        self._request = CheckpointRequest(directory.checkpoint_request)

    async def truncation(self, bus: Bus, reports: ReportSource) -> "Truncation":
        """Return what truncates the logs."""
        from dgs.coordinator.truncation import Truncation

        def committed(partition: PartitionIndex) -> int | None:
            report = reports.latest(partition)
            return None if report is None else report.figures.committed

        truncation = Truncation(bus, self._deployment, committed)
        if not self._possible:
            await truncation.checkpoints_kept([])
        return truncation

    def creator(
        self,
        coordinator: "Coordinator",
        snapshots: "Sequence[Snapshots]",
        truncation: "Truncation",
        *,
        wall_clock: Callable[[], float],
    ) -> "CheckpointCreator | None":
        """Return what creates checkpoints, where that is possible."""
        from dgs.coordinator.checkpoints import CheckpointCreator
        from dgs.serving.checkpoints import ServingCheckpoints

        if not self._possible:
            return None
        link, partitions = self._directory.checkpoint_link, self._deployment.partitions
        serving = [ServingCheckpoints(PartitionIndex(s), partitions, own, link(f"serving-{s}")) for s, own in enumerate(snapshots)]
        return CheckpointCreator(
            coordinator,
            self._log,
            self._opened,
            serving,
            self._request.publish,
            truncation,
            interval_s=self._settings.checkpoint_interval_s,
            kept=self._settings.checkpoints_kept,
            wall_clock=wall_clock,
        )

    def sampler_part(self, partition: PartitionIndex, store: "RocksStore") -> "SamplerCheckpoints":
        """Return a sampler partition's part."""
        from dgs.sampler.checkpoints import SamplerCheckpoints

        return SamplerCheckpoints(
            partition,
            self._deployment.serving_partitions,
            store,
            self._directory.checkpoint_link(f"sampler-{partition}"),
            asked=self._request.read,
            opened=self._opened,
        )

    def _opened(self) -> "Checkpoints":
        return open_checkpoints(self._settings.checkpoint_url, self._directory, free_min_bytes=self._settings.disk_free_min_bytes)


def open_checkpoints(url: str | None, directory: DataDir | None, *, free_min_bytes: int = 0) -> "Checkpoints":
    """Return the checkpoints at a URL, else those in a data directory; those who create some leave so much of a disk to others.

    Raises:
        InputError: the URL is not understood.
    """
    from dgs.store.checkpoints import Checkpoints
    from dgs.store.destination import Destination

    if url is None:
        assert directory is not None, "neither a URL nor a data directory"
        url = str(directory.checkpoints.absolute())
    return Checkpoints(Destination(url, free_min_bytes=free_min_bytes))
