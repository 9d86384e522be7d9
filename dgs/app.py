"""The composition root: puts the parts together to one process, and keeps them running until the process is told to stop.

Only here a bus, a store and the clock become real ones. `run_frontend` is coordinator, serving partitions and API; `run_samplers`
is sampler partitions; a frontend may hold the samplers, too. Both return after SIGTERM, when all that is under way is done, and
raise what starting again would not mend. Nothing here knows what the parts do.
"""

import asyncio
import gc
import json
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

import uvloop

from dgs.backoff import Backoff
from dgs.bus import open_bus
from dgs.bus.base import Bus
from dgs.bus.dead_letters import DeadEntryFile
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.limits import AppendLimits
from dgs.bus.open import local_path
from dgs.bus.topics import ensure_topics
from dgs.bus.watched import WatchedBus
from dgs.checkpointing import Checkpointing
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, DgsError, StateError
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir
from dgs.http.server import Server
from dgs.insist import insist
from dgs.telemetry import logs
from dgs.troubles import Disk, Troubles, read_troubles

if TYPE_CHECKING:
    from dgs.sampler.checkpoints import SamplerCheckpoints
    from dgs.sampler.worker import SamplerWorker

RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0
HEALTHY_AFTER_S = 10.0
"""A part that ran for so long begins again with the first pause."""

_log = logs.get(__name__)


def bus_url(settings: Settings, directory: DataDir) -> str:
    """Return the URL of the bus: the one that was given, or that of the data directory's own log."""
    return settings.bus or f"local://{quote(str(directory.log.absolute()))}"


def run_frontend(
    settings: Settings,
    directory: DataDir,
    deployment: Deployment,
    listening: socket.socket,
    queries: Sequence[tuple[str, Any]],
    *,
    with_samplers: bool,
    on_ready: Callable[[], None],
) -> None:
    """Run coordinator, serving partitions and API until SIGTERM.

    Args:
        settings: as the user gave them.
        directory: whose deployment this is.
        deployment: what is fixed.
        listening: where requests arrive; answered from the first moment on, if only with "not ready".
        queries: names and documents, installed before any loader is told where to write.
        with_samplers: run all sampler partitions here, too.
        on_ready: called when the first queries are installed.

    Raises:
        StateError, CodecError, ConflictError, InputError: what another start would meet again.
    """
    logs.set_up(settings.log_level, "frontend", settings.log_format)
    _run(_frontend(settings, directory, deployment, listening, queries, with_samplers=with_samplers, on_ready=on_ready))


def run_samplers(settings: Settings, directory: DataDir, deployment: Deployment, partitions: Sequence[int]) -> None:
    """Run sampler partitions until SIGTERM.

    Raises:
        StateError, CodecError: what another start would meet again; also a partition that another process holds.
    """
    logs.set_up(settings.log_level, f"sampler[{','.join(map(str, partitions))}]", settings.log_format)
    _run(_samplers(settings, directory, deployment, partitions))


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_sigterm(main))


async def _until_sigterm(main: Coroutine[Any, Any, None]) -> None:
    """Cancel `main` at the first SIGTERM; that it ends then is its proper end. Further ones do not disturb it."""
    task = asyncio.create_task(main)
    told = False

    def stop() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        await task
    except asyncio.CancelledError:
        _log.info("stopped")
    except BaseExceptionGroup as group:
        raise _root_cause(group) from None


def _root_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that counts: one that ends the service before any other."""
    leaves: list[BaseException] = []
    for e in group.exceptions:
        leaves.append(_root_cause(e) if isinstance(e, BaseExceptionGroup) else e)
    return next((e for e in leaves if isinstance(e, DgsError)), leaves[0])


# The frontend --------------------------------------------------------------------------------------------------------------------


async def _frontend(
    settings: Settings,
    directory: DataDir,
    deployment: Deployment,
    listening: socket.socket,
    queries: Sequence[tuple[str, Any]],
    *,
    with_samplers: bool,
    on_ready: Callable[[], None],
) -> None:
    async with Server(listening) as server, AsyncExitStack() as stack:
        # Heavy imports leave the loop, as /livez is to be answered meanwhile.
        await asyncio.to_thread(_import_frontend)
        from dgs.api import make_app
        from dgs.coordinator.coordinator import Coordinator
        from dgs.coordinator.rounds import Rounds
        from dgs.coordinator.state_file import StateFile
        from dgs.serving.snapshots import Snapshots
        from dgs.serving.worker import ServingWorker
        from dgs.store.snapshots import SnapshotFolder
        from dgs.telemetry.telemetry import Telemetry

        url = bus_url(settings, directory)
        shared_bus = await _opened_bus(url, settings, stack)
        troubles = Troubles()
        bus = WatchedBus(shared_bus, troubles)
        coordinator = Coordinator(
            deployment,
            bus,
            StateFile(directory.coordinator_state, deployment),
            bus_url=url,
            fsync=settings.fsync,
            limits=AppendLimits(settings.log_bytes_max, settings.disk_free_min_bytes),
            troubles=troubles,
        )
        await coordinator.start()
        stack.push_async_callback(coordinator.close)
        rounds = Rounds(coordinator.report)
        checkpointing = Checkpointing(settings, directory, deployment, local_path(url))
        telemetry = Telemetry.of(bus, directory.reports, directory.dead_letters, clock=time.perf_counter, wall_clock=time.time)
        truncation = await checkpointing.truncation(bus, telemetry.reports)
        snapshots = [
            Snapshots(
                SnapshotFolder(directory.serving(s)),
                deployment,
                PartitionIndex(s),
                bus,
                interval_s=settings.snapshot_interval_s,
                clock=time.monotonic,
                troubles=troubles,
                truncate=truncation.snapshots_kept,
            )
            for s in range(deployment.serving_partitions)
        ]
        serving = [
            ServingWorker(
                deployment,
                PartitionIndex(s),
                bus,
                clock=time.monotonic,
                slice_s=settings.apply_slice_ms / 1000,
                on_round=lambda partition, done: rounds.done(partition, done.barrier, done.round),
                rounds_reported=rounds.all_reported,
                on_reflected=telemetry.freshness.reflected,
                dead_letters=DeadEntryFile(directory.dead_letters / f"serving-{s}.jsonl", now=time.time, troubles=troubles),
                snapshots=snapshots[s],
            )
            for s in range(deployment.serving_partitions)
        ]
        creator = checkpointing.creator(coordinator, snapshots, truncation, wall_clock=time.time)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rounds.report_all())
            if creator is not None:
                tasks.create_task(creator.run())
            for worker in serving:
                tasks.create_task(worker.run())
            if with_samplers:
                tasks.create_task(_samplers(settings, directory, deployment, range(deployment.partitions), shared_bus))
            try:
                storage = _storage(directory, deployment, settings, troubles)
                server.gate.open(make_app(coordinator, serving, settings, storage, telemetry=telemetry, checkpoints=creator))
                for name, document in queries:
                    await insist("install a query", coordinator.install, json.dumps(document), name)
                coordinator.accept_loaders.set()
                on_ready()
                _log.info("ready", partitions=deployment.partitions, serving_partitions=deployment.serving_partitions)
                await asyncio.Event().wait()  # until cancelled
            finally:
                # Requests under way are completed while the parts that answer them still run.
                await server.drain()


def _storage(directory: DataDir, deployment: Deployment, settings: Settings, own: Troubles) -> Callable[[], list[str]]:
    """Return what tells which writes the storage refuses, in this process and in those of the samplers."""
    log = local_path(bus_url(settings, directory))
    disk = Disk([directory.root, *filter(None, [log])], settings.disk_free_min_bytes)
    published = [directory.troubles(p) for p in range(deployment.partitions)]
    return lambda: [*disk.troubles(), *own.found, *read_troubles(published)]


def _import_frontend() -> None:
    import dgs.api
    import dgs.coordinator.coordinator
    import dgs.serving.worker  # noqa: F401
    from dgs.warming import warm_kernels

    warm_kernels()
    # What is there by now stays: looking through it again and again would hold up requests for nothing.
    gc.collect()
    gc.freeze()


# Samplers ------------------------------------------------------------------------------------------------------------------------


async def _samplers(
    settings: Settings, directory: DataDir, deployment: Deployment, partitions: Sequence[int], shared_bus: Bus | None = None
) -> None:
    """Run sampler partitions, each under its lock, until cancelled."""
    async with AsyncExitStack() as stack:
        locks = stack.enter_context(ExitStack())
        for p in partitions:
            locks.enter_context(await asyncio.to_thread(directory.lock, f"sampler-{p}"))
        from dgs.warming import warm_kernels

        await asyncio.to_thread(warm_kernels)
        bus = shared_bus or await _opened_bus(bus_url(settings, directory), settings, stack)
        await ensure_topics(bus, deployment)
        async with asyncio.TaskGroup() as tasks:
            for p in partitions:
                tasks.create_task(_keep_sampling(settings, directory, deployment, PartitionIndex(p), bus))


async def _keep_sampling(
    settings: Settings, directory: DataDir, deployment: Deployment, partition: PartitionIndex, bus: Bus
) -> None:
    """Run one sampler partition; when it fails, go back to its last commit and on from there."""
    from dgs.sampler.worker import SamplerWorker
    from dgs.store.rocks import RocksStore
    from dgs.telemetry.report_files import ReportFiles
    from dgs.telemetry.reports import Reporter

    checkpointing = Checkpointing(settings, directory, deployment, local_path(bus_url(settings, directory)))
    troubles = Troubles(directory.troubles(partition))
    what = f"the state of sampler partition {partition}"
    backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
    while True:
        began = time.monotonic()
        try:
            store = RocksStore(directory.sampler(partition))
        except OSError as e:
            troubles.begin(what, e)
            await asyncio.sleep(backoff.next())
            continue
        troubles.end(what)
        try:
            worker = SamplerWorker(
                deployment,
                partition,
                WatchedBus(bus, troubles),
                store,
                clock=time.monotonic,
                commit_interval_s=settings.commit_interval_ms / 1000,
                dead_letters=DeadEntryFile(directory.dead_letters / f"sampler-{partition}.jsonl", now=time.time, troubles=troubles),
                troubles=troubles,
                reporter=Reporter(partition, ReportFiles(directory.reports).publish, clock=time.monotonic, wall_clock=time.time),
            )
            part = checkpointing.sampler_part(partition, store)
            # As a task of its own, so that below a failure can be told from one that hides a cancellation of the same moment.
            await asyncio.create_task(_together(worker, part))
            return
        except Exception as e:
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise asyncio.CancelledError from e
            cause = _root_cause(e) if isinstance(e, ExceptionGroup) else e
            if isinstance(cause, StateError | CodecError):
                raise cause from None
            if time.monotonic() - began >= HEALTHY_AFTER_S:
                backoff.reset()
            _log.error("sampler partition failed; going back to its last commit", exc_info=cause, partition=partition)
        finally:
            store.close()
        await asyncio.sleep(backoff.next())


async def _together(worker: "SamplerWorker", part: "SamplerCheckpoints") -> None:
    """Run a worker to its end, and beside it the partition's part in checkpoints."""
    beside = asyncio.create_task(part.run())
    try:
        await worker.run()
    finally:
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)


# Both ----------------------------------------------------------------------------------------------------------------------------


async def _opened_bus(url: str, settings: Settings, stack: AsyncExitStack) -> Bus:
    fsync = cast(Literal["never", "batch"], settings.fsync)
    bus = open_bus(url, fsync=fsync, kafka=KafkaOptions.of(settings), shows_lag=True)
    stack.push_async_callback(bus.close)
    return bus
