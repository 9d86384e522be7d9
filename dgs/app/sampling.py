"""The sampler partitions of one process: each under its lock, and started again from its last commit when it fails."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from dgs.app.member import Member
from dgs.app.process import root_cause
from dgs.backoff import Backoff
from dgs.bus.base import Bus
from dgs.bus.dead_letters import DeadEntryFile
from dgs.bus.topics import ensure_topics
from dgs.bus.watched import WatchedBus
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, StateError
from dgs.core.types import PartitionIndex, Position
from dgs.datadir import DataDir
from dgs.insist import insist
from dgs.membership.heartbeat import SamplerReport
from dgs.membership.link import HttpLink
from dgs.telemetry import logs
from dgs.threads import in_thread
from dgs.troubles import Troubles

if TYPE_CHECKING:
    from dgs.sampler.standby import Standby
    from dgs.sampler.worker import SamplerWorker
    from dgs.store.rocks import RocksStore

RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0
HEALTHY_AFTER_S = 10.0
"""A partition that ran for so long begins again with the first pause."""

_log = logs.get(__name__)


class Sampling:
    """The sampler partitions of one process.

    Args:
        partitions: which.
        bus: the process's.
        troubles: the process's.
        member: tells about them, and brings them to take part in checkpoints.
        standby: returns what makes a partition's worker a stand-by; None for one that is none.
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
        standby: Callable[[PartitionIndex], "Standby | None"] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._deployment = deployment
        self._partitions = [PartitionIndex(p) for p in partitions]
        self._bus = bus
        self._troubles = troubles
        self._member = member
        self._standby = standby
        self._workers: dict[PartitionIndex, SamplerWorker] = {}
        self._dead_letters = {
            p: DeadEntryFile(directory.dead_letters / f"sampler-{p}.jsonl", now=time.time, troubles=troubles)
            for p in self._partitions
        }

        member.samplers = self._reports

    def _reports(self) -> tuple[SamplerReport, ...]:
        """Return what there is to tell about the partitions that run now."""
        return tuple(
            SamplerReport(p, w.figures(), self._dead_letters[p].known, w.stands_by) for p, w in sorted(self._workers.items())
        )

    async def run(self) -> None:
        """Run them until cancelled.

        Raises:
            StateError, CodecError: what another start would meet again; also a partition that another process holds.
        """
        with ExitStack() as locks:
            for p in self._partitions:
                locks.enter_context(await asyncio.to_thread(self._directory.lock, f"sampler-{p}"))
            from dgs.warming import warm_kernels

            await asyncio.to_thread(warm_kernels)
            await ensure_topics(self._bus, self._deployment)
            async with asyncio.TaskGroup() as tasks:
                for p in self._partitions:
                    tasks.create_task(self._keep(p))

    async def _keep(self, partition: PartitionIndex) -> None:
        """Run one partition; when it fails, go back to its last commit and on from there."""
        from dgs.store.rocks import RocksStore

        what = f"the state of sampler partition {partition}"
        backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        while True:
            began = time.monotonic()
            try:
                store = RocksStore(self._directory.sampler(partition))
            except OSError as e:
                self._troubles.begin(what, e)
                await asyncio.sleep(backoff.next())
                continue
            self._troubles.end(what)
            try:
                # As a task of its own, so that below a failure can be told from one that hides a cancellation of the same moment.
                await asyncio.create_task(self._run(partition, store))
                return
            except Exception as e:
                this = asyncio.current_task()
                if this is not None and this.cancelling():
                    raise asyncio.CancelledError from e
                cause = root_cause(e)
                if isinstance(cause, StateError | CodecError):
                    raise cause from None
                if time.monotonic() - began >= HEALTHY_AFTER_S:
                    backoff.reset()
                _log.error("sampler partition failed; going back to its last commit", exc_info=cause, partition=partition)
            finally:
                self._workers.pop(partition, None)
                store.close()
            await asyncio.sleep(backoff.next())

    async def _run(self, partition: PartitionIndex, store: "RocksStore") -> None:
        """Run a worker to its end, and beside it the partition's part in checkpoints."""
        from dgs.sampler.checkpoints import SamplerPart
        from dgs.sampler.worker import SamplerWorker

        # Reading a large state takes a while, in which the process is to tell that it lives.
        worker = await in_thread(
            partial(
                SamplerWorker,
                self._deployment,
                partition,
                WatchedBus(self._bus, self._troubles),
                store,
                clock=time.monotonic,
                commit_interval_s=self._settings.commit_interval_ms / 1000,
                dead_letters=self._dead_letters[partition],
                troubles=self._troubles,
                standby=self._standby(partition),
            )
        )
        link = self._directory.checkpoint_link(f"sampler-{partition}")
        part = SamplerPart(self._deployment, partition, store, link)
        beside = asyncio.create_task(self._member.participation(part, lambda: not worker.stands_by).run())
        self._workers[partition] = worker
        try:
            await worker.run()
        finally:
            beside.cancel()
            with suppress(asyncio.CancelledError):
                await beside


def standby_of(settings: Settings, link: HttpLink) -> "Callable[[PartitionIndex], Standby | None]":
    """Return what makes sampler partitions stand-bys, if the settings say so; the coordinator knows where they are to begin."""
    from dgs.sampler.standby import Standby, Standing

    def of(partition: PartitionIndex) -> Standby | None:
        async def standing(serving: int) -> Standing:
            found = await insist("learn what stands in the logs", link.standing, partition, serving)
            return Standing(Position(found.position), found.number, found.note)

        return Standby(settings.standby_after_s, standing) if settings.standby_after_s else None

    return of
