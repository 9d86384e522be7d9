"""The serving partitions of one process: each under its lock, with its snapshots, and with what it tells about itself."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dgs.app.member import Member
from dgs.bus.base import Bus
from dgs.bus.dead_letters import DeadEntryFile
from dgs.config import Settings
from dgs.coordinator.rounds import Rounds
from dgs.core.deployment import Deployment
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir
from dgs.membership.heartbeat import ServingReport
from dgs.store.snapshots import SnapshotFolder
from dgs.telemetry.telemetry import Telemetry
from dgs.troubles import Troubles

if TYPE_CHECKING:
    from dgs.serving.worker import ServingWorker


class Serving:
    """The serving partitions of one process.

    Args:
        partitions: which.
        bus: the process's.
        troubles: the process's.
        member: tells about them, and brings them to take part in checkpoints.
        telemetry: told when answers reflect something for the first time.
        rounds: told of barrier rounds.

    Attributes:
        workers: by partition.
    """

    def __init__(
        self,
        settings: Settings,
        directory: DataDir,
        deployment: Deployment,
        partitions: Sequence[int],
        bus: Bus,
        troubles: Troubles,
        member: Member,
        telemetry: Telemetry,
        rounds: Rounds,
    ) -> None:
        from dgs.serving.snapshots import Snapshots
        from dgs.serving.worker import ServingWorker

        self._directory = directory
        self._deployment = deployment
        self._rounds = rounds
        self._member = member
        self._snapshots: dict[int, Snapshots] = {}
        self._dead_letters: dict[int, DeadEntryFile] = {}
        self.workers: dict[int, ServingWorker] = {}
        for s in map(PartitionIndex, partitions):
            self._snapshots[s] = Snapshots(
                SnapshotFolder(directory.serving(s)),
                deployment,
                s,
                bus,
                interval_s=settings.snapshot_interval_s,
                clock=time.monotonic,
                troubles=troubles,
            )
            self._dead_letters[s] = DeadEntryFile(directory.dead_letters / f"serving-{s}.jsonl", now=time.time, troubles=troubles)
            self.workers[s] = ServingWorker(
                deployment,
                s,
                bus,
                clock=time.monotonic,
                slice_s=settings.apply_slice_ms / 1000,
                on_round=lambda partition, done: rounds.done(partition, done.barrier, done.round),
                rounds_reported=rounds.all_reported,
                on_reflected=telemetry.freshness.reflected,
                dead_letters=self._dead_letters[s],
                snapshots=self._snapshots[s],
            )

        member.serving, member.freshness = self._reports, telemetry.freshness.summary

    def _reports(self) -> tuple[ServingReport, ...]:
        """Return what there is to tell about them now."""
        return tuple(self._report(s, worker) for s, worker in self.workers.items())

    def _report(self, partition: int, worker: "ServingWorker") -> ServingReport:
        reflected = worker.reflected()
        return ServingReport(
            partition,
            worker.answers,
            worker.caught_up,
            worker.behind_bytes,
            worker.barrier,
            tuple(int(p) for p in reflected.positions),
            reflected.watermark,
            worker.figures(),
            tuple(worker.machine.state.received),
            self._snapshots[partition].needed,
            self._dead_letters[partition].known,
        )

    async def run(self) -> None:
        """Run them until cancelled; raises as `ServingWorker.run`, and StateError where another process has one of them."""
        from dgs.serving.checkpoints import ServingPart

        with ExitStack() as locks:
            for s in self.workers:
                locks.enter_context(await asyncio.to_thread(self._directory.lock, f"serving-{s}"))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._rounds.report_all())
                for s, worker in self.workers.items():
                    tasks.create_task(worker.run())
                    link = self._directory.checkpoint_link(f"serving-{s}")
                    part = ServingPart(PartitionIndex(s), self._deployment.partitions, self._snapshots[s], link)
                    tasks.create_task(self._member.participation(part, lambda worker=worker: worker.caught_up).run())  # type: ignore[misc]  # as of now
