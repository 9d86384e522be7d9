"""The service under measurement: `dgs up` as users start it, in a folder of its own, with its processes and a way to load a graph.

Records go straight into its log, encoded as the loader does, because parsing text is measured in one place only (`perf.ingest`).
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from dgs_client.connection import Connection
from dgs_loader.back_pressure import BackPressure
from dgs_loader.partitioning import Partitioner
from dgs_loader.sender import Sender
from dgs_loader.service import LoaderInit
from dgs_loader.service import Service as Coordinator

from dgs.bus import open_bus
from dgs.bus.base import RECORDS
from dgs.core.records import RecordBatch
from perf.graph import Graph
from perf.process import children_of, is_running

BIN = Path(sys.executable).parent
STOP_S = 60.0
READY_S = 600.0
_POLL_S = 0.02


class Service:
    """A running deployment with the schema and the query of a graph; it and its data are gone after the block.

    Args:
        graph: whose schema and query it gets; nothing is loaded yet.
        flags: of `dgs up`, or whatever else `COMMAND` is, besides those that tell where; `start` may be given others.

    Attributes:
        folder: everything that it keeps; its state is in `state`.
    """

    COMMAND: ClassVar[tuple[str, ...]] = ("up",)

    def __init__(self, graph: Graph, *flags: object) -> None:
        self._flags = flags
        self.folder = Path(tempfile.mkdtemp(prefix="dgs-perf-"))
        self.state = self.folder / "state"
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        self.connection = Connection(self.server)
        self.processes: dict[str, list[int]] = {}
        self._up: subprocess.Popen[bytes] | None = None
        (self.folder / "schema.json").write_text(json.dumps(graph.schema_document()))
        (self.folder / "perf.json").write_text(json.dumps(graph.query_document()))

    def __enter__(self) -> Self:
        try:
            self.start(*self._flags)
            self.until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def start(self, *flags: object) -> None:
        """Start it where it does not run, and wait for nothing."""
        assert self._up is None, "it runs"
        command: list[object] = [
            BIN / "dgs",
            *self.COMMAND,
            "--schema",
            self.folder / "schema.json",
            "--query",
            self.folder / "perf.json",
        ]
        command += ["--data-dir", self.state, "--port", self.port, "--parent", os.getpid(), *flags]
        with (self.folder / "log").open("ab") as log:
            self._up = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def until_ready(self) -> None:
        """Wait until it is ready."""
        assert self._up is not None, "it was not started"
        self.connection.get("/readyz")
        self.processes = children_of(self._up.pid)

    def kill(self) -> None:
        """Kill -9 all processes at once; returns when they are gone."""
        assert self._up is not None, "it was not started"
        children = [pid for own in children_of(self._up.pid).values() for pid in own]
        for pid in (self._up.pid, *children):
            with suppress(ProcessLookupError):  # children die with their parent
                os.kill(pid, signal.SIGKILL)
        self._up.wait()
        self._up = None
        while any(map(is_running, children)):
            time.sleep(_POLL_S)

    def _stop(self) -> None:
        self.connection.close()
        if self._up is not None:
            self._up.terminate()
            self._up.wait(STOP_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def frontend(self) -> int:
        """The process that answers."""
        return self.processes["frontend"][0]

    @property
    def pids(self) -> list[int]:
        """All processes that do the work."""
        return [pid for own in self.processes.values() for pid in own]

    def load(self, batches: Iterable[RecordBatch]) -> float:
        """Load batches as fast as they are taken, and wait until all is served; return the seconds until then."""
        began = time.monotonic()
        asyncio.run(_send(self.server, batches))
        self.settle()
        return time.monotonic() - began

    def append(self, batches: Iterable[RecordBatch]) -> None:
        """Append batches to the log, and wait for nothing else."""
        asyncio.run(_send(self.server, batches))

    def settle(self) -> None:
        """Wait until all that has been loaded is served; errors as `settle`."""
        settle(self.server)


class ClusterService(Service):
    """The same with a process for each part: `dgs cluster up`."""

    COMMAND: ClassVar[tuple[str, ...]] = ("cluster", "up")

    @property
    def coordinator(self) -> str:
        """Where the coordinator answers."""
        environment = Path(f"/proc/{self.processes['sampler'][0]}/environ").read_bytes().split(b"\0")
        return next(v.decode().partition("=")[2] for v in environment if v.startswith(b"DGS_COORDINATOR="))

    def until_ready(self) -> None:
        """Wait until every frontend answers, and the one that is asked knows who answers for each serving partition."""
        super().until_ready()
        while not (self._all_answer() and all(self.connection.get("/cluster/map").json()["owners"])):
            time.sleep(_POLL_S)

    def _all_answer(self) -> bool:
        cluster = self.connection.get("/cluster").json()
        copies = [c for s in cluster["serving"] for c in s["copies"]]
        return len({c["member"] for c in copies}) == len(self.processes["serve"]) and all(c["caught_up"] for c in copies)


def settle(server: str) -> None:
    """Wait until all that has been loaded into a service is served.

    Raises:
        TimeoutError: it is not within `READY_S`.
    """
    path = f"/barriers/perf-{time.monotonic_ns()}"
    with Connection(server) as connection:
        connection.post_json(path, {"count": 1, "loader_id": 0})
        deadline = time.monotonic() + READY_S
        while connection.get(path).json()["state"] != "READY":
            if time.monotonic() > deadline:
                raise TimeoutError(f"what was loaded into {server} is not served after {READY_S:g} s")
            time.sleep(_POLL_S)


async def _send(server: str, batches: Iterable[RecordBatch]) -> None:
    async with Feed(server) as feed:
        for batch in batches:
            await feed.send(batch)


class Feed:
    """A loader without files: sends record batches as `dgs-loader` would; pauses when the service asks for it."""

    def __init__(self, server: str) -> None:
        self._connection = Connection(server)
        coordinator = Coordinator(self._connection)
        self.init: LoaderInit = coordinator.init()
        self._bus = open_bus(self.init.bus)
        partitioner = Partitioner(self.init.data_partitions, self.init.router)
        self._pressure = BackPressure(coordinator.lag, waiting=lambda *_: None, tell=_fail)
        self.sender = Sender(self._bus, partitioner, back_pressure=self._pressure)

    async def send(self, batch: RecordBatch) -> None:
        """Append a batch."""
        await self.sender.send(batch, self.init.layouts)

    async def __aenter__(self) -> Self:
        await self._bus.ensure(RECORDS, self.init.log_partitions, self.init.log_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pressure.close()
        await self._bus.close()
        self._connection.close()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _fail(problem: str) -> None:
    raise RuntimeError(problem)
