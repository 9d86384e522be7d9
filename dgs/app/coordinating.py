"""The coordinator of a deployment, and what only its process has: membership, truncation of logs, creation of checkpoints."""

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dgs.bus.limits import AppendLimits
from dgs.bus.open import kafka_address, local_path
from dgs.bus.watched import WatchedBus
from dgs.checkpointing import destination_of, is_of_one_host, open_checkpoints
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.datadir import DataDir
from dgs.insist import insist
from dgs.membership.heartbeat import Heartbeat, News
from dgs.troubles import Troubles

if TYPE_CHECKING:
    pass


class Coordinating:
    """The coordinator and what belongs to it.

    Args:
        bus: the process's.
        url: of the bus, as loaders are told it.
        troubles: the process's.

    Attributes:
        coordinator: to be started.
        membership: who has told what.
        checkpoints: what creates them; None where there are none.
        troubles: the process's.
    """

    def __init__(
        self, settings: Settings, directory: DataDir, deployment: Deployment, bus: WatchedBus, url: str, troubles: Troubles
    ) -> None:
        from dgs.coordinator.checkpoints import CheckpointCreator
        from dgs.coordinator.coordinator import Coordinator
        from dgs.coordinator.membership import Membership
        from dgs.coordinator.state_file import StateFile
        from dgs.coordinator.truncation import Truncation

        self.coordinator = Coordinator(
            deployment,
            bus,
            StateFile(directory.coordinator_state, deployment),
            bus_url=url,
            fsync=settings.fsync,
            limits=AppendLimits(settings.log_bytes_max, settings.disk_free_min_bytes),
            troubles=troubles,
        )
        self.troubles = troubles
        self.membership = Membership(deployment, clock=time.monotonic)
        self._destination = destination_of(settings.checkpoint_url, directory)
        self._truncation = Truncation(bus, deployment, self.membership)
        self.checkpoints: CheckpointCreator | None = None
        log = local_path(url)
        # On Kafka the logs go on after a restore; in memory they do not, so there are no checkpoints.
        if log is not None or kafka_address(url) is not None:
            self.checkpoints = CheckpointCreator(
                self.coordinator,
                log,
                lambda: open_checkpoints(self._destination, free_min_bytes=settings.disk_free_min_bytes),
                self._check_destination,
                self._truncation,
                interval_s=settings.checkpoint_interval_s,
                kept=settings.checkpoints_kept,
                wall_clock=time.time,
            )
        else:
            self._truncation.checkpoints_kept([])

    def hear(self, heartbeat: Heartbeat) -> News:
        """Take a heartbeat; return the news. Raises as `Membership.hear`."""
        self.membership.hear(heartbeat)
        coordinator, checkpoints = self.coordinator, self.checkpoints
        return News(
            coordinator.accept_loaders.is_set(),
            frozenset(q.id for q in coordinator.operators.queries if coordinator.is_active(q.id)),
            self.membership.owners(),
            None if checkpoints is None else checkpoints.asked,
            self._destination,
        )

    def _check_destination(self) -> None:
        """Refuse a folder of this host as the destination while partitions run on others."""
        others = sorted({m.heartbeat.host for m in self.membership.members() if m.up} - {socket.gethostname()})
        if others and is_of_one_host(self._destination):
            raise StateError(
                f"checkpoints go to {self._destination}, a folder of this host, and partitions run on {', '.join(others)}, too:"
                " give the coordinator a --checkpoint-url that all of them reach"
            )

    async def install(self, queries: Sequence[tuple[str, Any]]) -> None:
        """Install the first queries, however long that takes; then loaders are told where to write.

        Raises:
            DgsError: one is refused.
        """
        for name, document in queries:
            await insist("install a query", self.coordinator.install, json.dumps(document), name)
        self.coordinator.accept_loaders.set()

    async def run(self) -> None:
        """Do what goes on beside the coordinator until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._truncation.run())
            if self.checkpoints is not None:
                tasks.create_task(self.checkpoints.run())
