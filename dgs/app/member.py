"""What makes a process a member of its deployment: it tells how it fares, hears the news, and takes part in checkpoints."""

import os
import socket
from collections.abc import Callable

from dgs.checkpointing import open_checkpoints
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.datadir import DataDir
from dgs.membership.heart import Heart, Link
from dgs.membership.heartbeat import Heartbeat, SamplerReport, ServingReport
from dgs.store.participation import Participation, Sending, SendingPartition
from dgs.store.upload_process import UploadProcess
from dgs.telemetry.freshness import FreshnessSummary
from dgs.troubles import Disk, Troubles


def _no_samplers() -> tuple[SamplerReport, ...]:
    return ()


def _no_serving() -> tuple[ServingReport, ...]:
    return ()


class Member:
    """A process that runs partitions.

    Args:
        role: names it among the members of its data directory.
        link: the way to the coordinator.
        troubles: what the storage of the process refuses.
        url: where it answers requests; empty for nowhere.

    Attributes:
        heart: to be run.
        samplers, serving, freshness: return what there is to tell about its partitions; to be set by those who run them.
    """

    def __init__(
        self,
        settings: Settings,
        directory: DataDir,
        deployment: Deployment,
        role: str,
        link: Link,
        troubles: Troubles,
        *,
        url: str = "",
    ) -> None:
        self._name = directory.member(role)
        self._log_id = deployment.log_id
        self._url = url
        self._disk = Disk([directory.root], 0)
        self._sending = Sending(
            lambda: self.heart.news.destination,
            lambda destination: open_checkpoints(destination, free_min_bytes=settings.disk_free_min_bytes),
            UploadProcess,
        )
        self._troubles = troubles
        self.heart = Heart(link, self._heartbeat)
        self.samplers: Callable[[], tuple[SamplerReport, ...]] = _no_samplers
        self.serving: Callable[[], tuple[ServingReport, ...]] = _no_serving
        self.freshness: Callable[[], FreshnessSummary | None] = lambda: None

    def participation(self, partition: SendingPartition, able: Callable[[], bool]) -> Participation:
        """Return how a partition takes part in checkpoints, while it is able to: of several copies one that lags had better not."""
        return Participation(partition, lambda: self.heart.news.checkpoint if able() else None, self._sending)

    def stop(self) -> None:
        """Let what is being sent end with an error."""
        self._sending.stop()

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self._name,
            self._log_id,
            socket.gethostname(),
            os.getpid(),
            self._url,
            self.samplers(),
            self.serving(),
            (*self._disk.troubles(), *self._troubles.found),
            self.freshness(),
        )
