"""The processes of a deployment, and which parts each of them has.

    frontend      coordinator, all serving partitions, API (and all sampler partitions, where there is one process only)
    coordinator   coordinator and control plane; samples are asked for elsewhere
    serving       some serving partitions and the data plane; what is not here is asked for elsewhere
    samplers      some sampler partitions, and what tells how they are, where that is wanted

Each function returns after SIGTERM, when all that is under way is done, and raises what starting again would not mend.
"""

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from dgs_client.connection import url_of

from dgs.app.coordinating import Coordinating
from dgs.app.member import Member
from dgs.app.process import bus_url, opened_bus, run
from dgs.app.sampling import Sampling, standby_of
from dgs.app.serving import Serving
from dgs.bus.base import Bus
from dgs.bus.open import kafka_address
from dgs.bus.topics import ensure_topics
from dgs.bus.watched import WatchedBus
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.core.errors import InputError
from dgs.datadir import DataDir
from dgs.http.listener import listen
from dgs.http.listener import url_of as listening_url
from dgs.http.server import Server
from dgs.membership.link import HttpLink, OwnLink
from dgs.telemetry import logs
from dgs.troubles import Disk, Troubles

if TYPE_CHECKING:
    from dgs.telemetry.telemetry import Telemetry

READY_POLL_S = 0.05
EVERYWHERE = ("0.0.0.0", "::")
"""A socket of one of these takes requests at all addresses of the host, and has none of its own to tell."""

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


def run_coordinator(
    settings: Settings,
    directory: DataDir,
    deployment: Deployment,
    listening: socket.socket,
    queries: Sequence[tuple[str, Any]],
    *,
    on_ready: Callable[[], None],
) -> None:
    """Run the coordinator and the control plane until SIGTERM; arguments and errors as those of `run_frontend`."""
    logs.set_up(settings.log_level, "coordinator", settings.log_format)
    run(_coordinator(settings, directory, deployment, listening, queries, on_ready=on_ready))


def run_serving(
    settings: Settings,
    directory: DataDir,
    deployment: Deployment,
    partitions: Sequence[int],
    listening: socket.socket,
    *,
    on_ready: Callable[[], None],
) -> None:
    """Run serving partitions and the data plane until SIGTERM.

    Args:
        settings: as the user gave them.
        directory: whose deployment this is.
        deployment: what is fixed.
        partitions: which.
        listening: where requests to this process alone arrive; see also the setting `shared_port`.
        on_ready: called when all of them answer.

    Raises:
        StateError, CodecError: what another start would meet again; also a partition that another process holds.
        InputError: the coordinator's address is missing, or not understood.
    """
    logs.set_up(settings.log_level, f"serve[{_listed(partitions)}]", settings.log_format)
    run(_serving(settings, directory, deployment, partitions, listening, on_ready=on_ready))


def run_samplers(
    settings: Settings, directory: DataDir, deployment: Deployment, partitions: Sequence[int], listening: socket.socket | None
) -> None:
    """Run sampler partitions until SIGTERM.

    Args:
        settings: as the user gave them.
        directory: whose deployment this is.
        deployment: what is fixed.
        partitions: which.
        listening: where it is asked how they are; None for nowhere.

    Raises:
        StateError, CodecError: what another start would meet again; also a partition that another process holds.
        InputError: the coordinator's address is missing, or not understood.
    """
    logs.set_up(settings.log_level, f"sampler[{_listed(partitions)}]", settings.log_format)
    run(_samplers(settings, directory, deployment, partitions, listening))


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
        from dgs.api.asgi import samples_endpoint
        from dgs.api.peers import NoPeers
        from dgs.coordinator.rounds import Rounds

        url = bus_url(settings, directory)
        shared_bus = await opened_bus(url, settings, stack)
        troubles = Troubles()
        bus = WatchedBus(shared_bus, troubles)
        coordinating = await stack.enter_async_context(Coordinating(settings, directory, deployment, bus, url, troubles))
        coordinator = coordinating.coordinator
        telemetry = _telemetry(bus, settings)
        link = OwnLink(coordinating.hear)
        member = Member(settings, directory, deployment, "frontend", link, troubles, url=listening_url(listening))
        stack.callback(member.stop)
        own, rounds = range(deployment.serving_partitions), Rounds(coordinator.report)
        serving = Serving(settings, directory, deployment, own, bus, troubles, member, telemetry, rounds)
        workers = serving.workers
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serving.run())
            tasks.create_task(coordinating.run())
            if with_samplers:
                every = range(deployment.partitions)
                tasks.create_task(Sampling(settings, directory, deployment, every, shared_bus, troubles, member).run())
            tasks.create_task(member.heart.run())
            samples = samples_endpoint(deployment, workers, coordinator, NoPeers(), settings)
            await coordinating.serve(server, list(workers.values()), samples, telemetry, queries, on_ready)


async def _coordinator(
    settings: Settings,
    directory: DataDir,
    deployment: Deployment,
    listening: socket.socket,
    queries: Sequence[tuple[str, Any]],
    *,
    on_ready: Callable[[], None],
) -> None:
    async with Server(listening) as server, AsyncExitStack() as stack:
        await asyncio.to_thread(_import_control_plane)
        from dgs.api.asgi import samples_endpoint
        from dgs.api.http_peers import HttpPeers

        url = bus_url(settings, directory)
        troubles = Troubles()
        bus = WatchedBus(await opened_bus(url, settings, stack), troubles)
        coordinating = await stack.enter_async_context(Coordinating(settings, directory, deployment, bus, url, troubles))
        membership = coordinating.membership
        peers = await stack.enter_async_context(HttpPeers(membership.owners))
        partitions = [membership.serving(s) for s in range(deployment.serving_partitions)]
        samples = samples_endpoint(deployment, {}, coordinating.coordinator, peers, settings)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(coordinating.run())
            await coordinating.serve(server, partitions, samples, _telemetry(bus, settings), queries, on_ready)


async def _serving(
    settings: Settings,
    directory: DataDir,
    deployment: Deployment,
    partitions: Sequence[int],
    listening: socket.socket,
    *,
    on_ready: Callable[[], None],
) -> None:
    coordinator = _coordinator_url(settings)
    async with Server(listening) as server, AsyncExitStack() as stack:
        await asyncio.to_thread(_import_frontend)
        import aiohttp

        from dgs.api.asgi import make_serving_app, samples_endpoint
        from dgs.api.forwarding import forwarding
        from dgs.api.http_peers import HttpPeers
        from dgs.coordinator.rounds import Rounds
        from dgs.membership.queries import HeardQueries

        link = HttpLink(coordinator)
        stack.callback(link.close)
        troubles = Troubles()
        bus = WatchedBus(await opened_bus(bus_url(settings, directory), settings, stack), troubles)
        await ensure_topics(bus, deployment)
        telemetry = _telemetry(bus, settings)
        own = _own_url(settings, listening)
        member = Member(settings, directory, deployment, f"serving-{_listed(partitions)}", link, troubles, url=own)
        stack.callback(member.stop)
        rounds = Rounds(link.report)
        serving = Serving(settings, directory, deployment, partitions, bus, troubles, member, telemetry, rounds)
        known = HeardQueries(serving.workers, member.heart, bus, deployment.partitions)

        def owners() -> Mapping[int, Sequence[str]]:
            return member.heart.news.owners

        peers = await stack.enter_async_context(HttpPeers(owners, member.heart.refresh, own=own))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        application = make_serving_app(
            deployment,
            serving.workers,
            known,
            forwarding(session, coordinator, body_bytes_max=settings.body_bytes_max),
            _storage(directory, troubles),
            owners=owners,
            samples=samples_endpoint(deployment, serving.workers, known, peers, settings),
            telemetry=telemetry,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serving.run())
            tasks.create_task(member.heart.run())
            try:
                server.gate.open(application)
                while not all(worker.answers for worker in serving.workers.values()):  # noqa: ASYNC110  # workers tell nobody
                    await asyncio.sleep(READY_POLL_S)
                # Only now, as others take requests there who can answer them.
                async with _shared(settings, server):
                    on_ready()
                    _log.info("ready", partitions=_listed(partitions), url=own)
                    await asyncio.Event().wait()  # until cancelled
            finally:
                await member.heart.leave()
                await server.drain()


async def _samplers(
    settings: Settings, directory: DataDir, deployment: Deployment, partitions: Sequence[int], listening: socket.socket | None
) -> None:
    link = HttpLink(_coordinator_url(settings))
    async with AsyncExitStack() as stack:
        stack.callback(link.close)
        server = None if listening is None else await stack.enter_async_context(Server(listening))
        if server is not None:
            await asyncio.to_thread(_import_health)
        bus = await opened_bus(bus_url(settings, directory), settings, stack)
        troubles = Troubles()
        member = Member(settings, directory, deployment, f"sampler-{_listed(partitions)}", link, troubles)
        stack.callback(member.stop)
        standby = standby_of(settings, link)
        sampling = Sampling(settings, directory, deployment, partitions, bus, troubles, member, standby)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sampling.run())
            tasks.create_task(member.heart.run())
            try:
                if server is not None:
                    from dgs.api.sampler import make_sampler_app

                    telemetry, storage = _telemetry(bus, settings), _storage(directory, troubles)
                    server.gate.open(make_sampler_app(partitions, member.samplers, storage, telemetry))
                await asyncio.Event().wait()  # until cancelled
            finally:
                await member.heart.leave()


@asynccontextmanager
async def _shared(settings: Settings, server: Server) -> AsyncIterator[None]:
    """Take a share of the requests at the shared port, if there is one, for the length of a block."""
    if settings.shared_port is None:
        yield
        return
    with listen(settings.host, settings.shared_port, shared=True) as listening:
        async with Server(listening) as shared:
            shared.gate.open(server.gate)
            yield


def _storage(directory: DataDir, troubles: Troubles) -> Callable[[], list[str]]:
    """Return what tells which writes the storage refuses to a member."""
    disk = Disk([directory.root], 0)
    return lambda: [*disk.troubles(), *troubles.found]


def _telemetry(bus: Bus, settings: Settings) -> "Telemetry":
    from dgs.telemetry.telemetry import Telemetry

    on_kafka = kafka_address(settings.bus or "") is not None
    return Telemetry.of(bus, clock=time.perf_counter, wall_clock=time.time, counts_entries=on_kafka)


def _coordinator_url(settings: Settings) -> str:
    """Return the URL of the coordinator; a host and a port will do."""
    if settings.coordinator is None:
        raise InputError("--coordinator is missing (or DGS_COORDINATOR): the address of the deployment's coordinator")
    return url_of(settings.coordinator)


def _own_url(settings: Settings, listening: socket.socket) -> str:
    """Return the URL under which others reach this process: as was given, else its socket's; one at all addresses is named."""
    if settings.advertise is not None:
        return url_of(settings.advertise)
    host, port = listening.getsockname()[:2]
    return f"http://{socket.gethostname()}:{port}" if host in EVERYWHERE else listening_url(listening)


def _import_control_plane() -> None:
    import dgs.api.asgi
    import dgs.coordinator.checkpoints  # noqa: F401


def _import_health() -> None:
    import dgs.api.sampler  # noqa: F401


def _import_frontend() -> None:
    _import_control_plane()
    import dgs.serving.worker  # noqa: F401
    from dgs.warming import warm_kernels

    warm_kernels()
    # What is there by now stays: looking through it again and again would hold up requests for nothing.
    gc.collect()
    gc.freeze()


def _listed(partitions: Sequence[int]) -> str:
    return ",".join(map(str, partitions))
