"""The API as a real server in a thread: one event loop with coordinator, workers on a memory bus, and a graph that was loaded."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from dgs.api.asgi import make_app, samples_endpoint
from dgs.api.peers import NoPeers
from dgs.bus.base import RECORDS
from dgs.codec.entries import encode_records
from dgs.config import Settings
from dgs.coordinator.membership import Membership
from dgs.core.types import PartitionIndex
from dgs.http.server import server_config
from dgs.membership.heartbeat import News
from dgs.telemetry.telemetry import Telemetry
from dgs.testing import graph
from dgs.testing.graph import SCHEMA, Edge, Raw, Vertex
from tests.fuzz.logs import PLAN
from tests.workers.deployment import P, running

START_S_MAX = 60
GRAPH: list[Raw] = [
    *(Edge(0, 0, 1, 1, dst, dst, 1.5, "käse") for dst in range(5)),
    *(Edge(1, 1, dst, 0, 1, 7, 0.5) for dst in range(5)),
    *(Vertex(0, v, 1, v) for v in range(3)),
]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve for the length of a block; gives the URL. Whatever fails in there is raised at the end of the block."""
    ready, stop, failed = threading.Event(), threading.Event(), list[BaseException]()
    url: list[str] = []

    def work() -> None:
        try:
            asyncio.run(_serve(folder, url, ready, stop))
        except BaseException as e:
            failed.append(e)
        finally:
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(START_S_MAX)
        if not failed:
            yield url[0]
    finally:
        stop.set()
        thread.join()
        if failed:
            raise failed[0]


async def _serve(folder: Path, url: list[str], ready: threading.Event, stop: threading.Event) -> None:
    async with running(SCHEMA, json.dumps(PLAN), folder) as deployment:
        telemetry = Telemetry.of(deployment.bus, clock=time.monotonic, wall_clock=time.time)
        settings = Settings(seeds_max=40, body_bytes_max=4096)
        app = make_app(
            deployment.coordinator,
            deployment.serving,
            settings,
            samples=samples_endpoint(
                deployment.coordinator.deployment,
                dict(enumerate(deployment.serving)),
                deployment.coordinator,
                NoPeers(),
                settings,
            ),
            telemetry=telemetry,
            membership=Membership(deployment.coordinator.deployment, clock=time.monotonic),
            hear=lambda _: News(),
        )
        d = graph.DIMENSION
        await deployment.coordinator.propose_dimension(d.kind, d.type, d.attribute, d.dim)
        for p, raws in graph.by_partition(GRAPH, P).items():
            entry = encode_records(graph.batch_of(raws, deployment.coordinator.layouts))
            await deployment.bus.append(RECORDS, PartitionIndex(p), [entry])
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            server = uvicorn.Server(server_config(app))
            task = asyncio.create_task(server.serve([listening]))
            url.append(f"http://127.0.0.1:{listening.getsockname()[1]}")
            while not all(w.caught_up for w in deployment.serving) or not server.started:  # noqa: ASYNC110  # it tells no other way
                await asyncio.sleep(0.01)
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await task
