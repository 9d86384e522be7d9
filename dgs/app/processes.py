"""The processes of a deployment, and which parts each of them has.

    frontend   coordinator, all serving partitions, API (and all sampler partitions, where there is one process only)
    samplers   some sampler partitions

Each function returns after SIGTERM, when all that is under way is done, and raises what starting again would not mend.
"""

import asyncio
import gc
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from dgs.app.coordinating import Coordinating
from dgs.app.member import Member
from dgs.app.process import bus_url, opened_bus, run
from dgs.app.sampling import Sampling
from dgs.app.serving import Serving
from dgs.bus.open import local_path
from dgs.bus.watched import WatchedBus
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.core.errors import InputError
from dgs.datadir import DataDir
from dgs.http.listener import url_of
from dgs.http.server import Server
from dgs.membership.link import HttpLink, OwnLink
from dgs.telemetry import logs
from dgs.troubles import Disk, Troubles

_log = logs.get(__name__)


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
    run(_frontend(settings, directory, deployment, listening, queries, with_samplers=with_samplers, on_ready=on_ready))


def run_samplers(settings: Settings, directory: DataDir, deployment: Deployment, partitions: Sequence[int]) -> None:
    """Run sampler partitions until SIGTERM.

    Raises:
        StateError, CodecError: what another start would meet again; also a partition that another process holds.
        InputError: the coordinator's address is missing, or not understood.
    """
    logs.set_up(settings.log_level, f"sampler[{_listed(partitions)}]", settings.log_format)
    run(_samplers(settings, directory, deployment, partitions))


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
        from dgs.coordinator.rounds import Rounds
        from dgs.telemetry.telemetry import Telemetry

        url = bus_url(settings, directory)
        shared_bus = await opened_bus(url, settings, stack)
        troubles = Troubles()
        bus = WatchedBus(shared_bus, troubles)
        coordinating = Coordinating(settings, directory, deployment, bus, url, troubles)
        await coordinating.coordinator.start()
        stack.push_async_callback(coordinating.coordinator.close)
        telemetry = Telemetry.of(bus, clock=time.perf_counter, wall_clock=time.time)
        link = OwnLink(coordinating.hear)
        member = Member(settings, directory, deployment, "frontend", link, troubles, url=url_of(listening))
        stack.callback(member.stop)
        serving = Serving(
            settings,
            directory,
            deployment,
            range(deployment.serving_partitions),
            bus,
            troubles,
            rounds=Rounds(coordinating.coordinator.report),
            freshness=telemetry.freshness,
            participation=member.participation,
        )
        member.serving = serving.reports
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serving.run())
            tasks.create_task(coordinating.run())
            if with_samplers:
                sampling = Sampling(
                    settings, directory, deployment, range(deployment.partitions), shared_bus, troubles, member.participation
                )
                member.samplers = sampling.reports
                tasks.create_task(sampling.run())
            tasks.create_task(member.heart.run())
            try:
                server.gate.open(
                    make_app(
                        coordinating.coordinator,
                        list(serving.workers.values()),
                        settings,
                        _storage(directory, settings, coordinating, url),
                        telemetry=telemetry,
                        membership=coordinating.membership,
                        hear=coordinating.hear,
                        checkpoints=coordinating.checkpoints,
                    )
                )
                await coordinating.install(queries)
                on_ready()
                _log.info("ready", partitions=deployment.partitions, serving_partitions=deployment.serving_partitions)
                await asyncio.Event().wait()  # until cancelled
            finally:
                # Requests under way are completed while the parts that answer them still run.
                await server.drain()


async def _samplers(settings: Settings, directory: DataDir, deployment: Deployment, partitions: Sequence[int]) -> None:
    if settings.coordinator is None:
        raise InputError("--coordinator is missing (or DGS_COORDINATOR): the address of the deployment's coordinator")
    link = HttpLink(settings.coordinator)
    async with AsyncExitStack() as stack:
        stack.callback(link.close)
        bus = await opened_bus(bus_url(settings, directory), settings, stack)
        troubles = Troubles()
        member = Member(settings, directory, deployment, f"sampler-{_listed(partitions)}", link, troubles)
        stack.callback(member.stop)
        sampling = Sampling(settings, directory, deployment, partitions, bus, troubles, member.participation)
        member.samplers = sampling.reports
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sampling.run())
            tasks.create_task(member.heart.run())


def _storage(directory: DataDir, settings: Settings, coordinating: Coordinating, url: str) -> Callable[[], list[str]]:
    """Return what tells which writes the storage refuses, in this process and in those of the members."""
    disk = Disk([directory.root, *filter(None, [local_path(url)])], settings.disk_free_min_bytes)
    return lambda: list(dict.fromkeys([*disk.troubles(), *coordinating.troubles.found, *coordinating.membership.troubles()]))


def _import_frontend() -> None:
    import dgs.api
    import dgs.coordinator.coordinator
    import dgs.serving.worker  # noqa: F401
    from dgs.warming import warm_kernels

    warm_kernels()
    # What is there by now stays: looking through it again and again would hold up requests for nothing.
    gc.collect()
    gc.freeze()


def _listed(partitions: Sequence[int]) -> str:
    return ",".join(map(str, partitions))
