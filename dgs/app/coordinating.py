"""The coordinator of a deployment, and what only its process has: control plane, membership, truncation of logs, checkpoints."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from dgs.bus.limits import AppendLimits
from dgs.bus.open import kafka_address, local_path
from dgs.bus.watched import WatchedBus
from dgs.checkpointing import destination_of, is_of_one_host, open_checkpoints
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.datadir import DataDir
from dgs.http.server import Server
from dgs.insist import insist
from dgs.membership.heartbeat import Heartbeat, News
from dgs.store.upload_process import UploadProcess
from dgs.telemetry import logs
from dgs.telemetry.telemetry import Telemetry
from dgs.troubles import Disk, Troubles

if TYPE_CHECKING:
    from dgs.api.parts import SeenPartition
    from dgs.api.samples import SamplesEndpoint

_log = logs.get(__name__)


class Coordinating:
    """The coordinator and what belongs to it; it is started for the length of a block.

    Args:
        bus: the process's.
        url: of the bus, as loaders are told it.
        troubles: the process's.

    Attributes:
        coordinator: takes orders.
        membership: who has told what.
        checkpoints: what creates them; None where there are none.
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
        self._settings = settings
        self._deployment = deployment
        self._troubles = troubles
        self.membership = Membership(deployment, clock=time.monotonic)
        self._destination = destination_of(settings.checkpoint_url, directory)
        self._truncation = Truncation(bus, deployment, self.membership)
        self.checkpoints: CheckpointCreator | None = None
        log = local_path(url)
        self._disk = Disk([directory.root, *filter(None, [log])], settings.disk_free_min_bytes)
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
                uploading=UploadProcess,
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

    def _storage(self) -> list[str]:
        """Return which writes the storage refuses, in this process and in those of the members."""
        return list(dict.fromkeys([*self._disk.troubles(), *self._troubles.found, *self.membership.troubles()]))

    async def run(self) -> None:
        """Do what goes on beside the coordinator until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._truncation.run())
            if self.checkpoints is not None:
                tasks.create_task(self.checkpoints.run())

    async def serve(
        self,
        server: Server,
        partitions: "Sequence[SeenPartition]",
        samples: "SamplesEndpoint",
        telemetry: Telemetry,
        queries: Sequence[tuple[str, Any]],
        on_ready: Callable[[], None],
    ) -> None:
        """Answer requests until cancelled; those under way then are completed first.

        Args:
            server: takes them.
            partitions: all serving partitions, in order.
            samples: answers those for samples.
            telemetry: the process's.
            queries: names and documents, installed however long that takes; then loaders are told where to write.
            on_ready: called after that.

        Raises:
            DgsError: a query is refused.
        """
        from dgs.api.asgi import make_app

        application = make_app(
            self.coordinator,
            partitions,
            self._settings,
            self._storage,
            samples=samples,
            telemetry=telemetry,
            membership=self.membership,
            hear=self.hear,
            checkpoints=self.checkpoints,
        )
        try:
            server.gate.open(application)
            for name, document in queries:
                await insist("install a query", self.coordinator.install, json.dumps(document), name)
            self.coordinator.accept_loaders.set()
            on_ready()
            d = self._deployment
            _log.info("ready", partitions=d.partitions, serving_partitions=d.serving_partitions)
            await asyncio.Event().wait()  # until cancelled
        finally:
            # While the parts that answer them still run.
            await server.drain()

    async def __aenter__(self) -> Self:
        await self.coordinator.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.coordinator.close()
