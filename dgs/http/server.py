"""uvicorn with our settings, on a socket that stands already, for as long as a block runs; used by `dgs.app`."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

import uvicorn

from dgs.http.gate import Application, Gate
from dgs.http.turns import Turn, TurnProtocol

DRAIN_S = 5
"""How long requests under way may take when the process stops."""


def server_config(application: Application) -> uvicorn.Config:
    """Return the settings of the HTTP server; `perf` serves its floor with the very same."""
    return uvicorn.Config(
        application,
        loop="none",
        http=partial(TurnProtocol, turn=Turn()),  # type: ignore[arg-type]  # it only calls the class
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks makes no difference
        timeout_graceful_shutdown=DRAIN_S,
    )


class _Uvicorn(uvicorn.Server):
    """A server that leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Server:
    """Serves what is behind `gate` on a socket, from the beginning of a block to its end, or to an earlier `drain`."""

    def __init__(self, listening: socket.socket) -> None:
        self.gate = Gate()
        self._listening = listening
        self._uvicorn = _Uvicorn(server_config(self.gate))
        self._task: asyncio.Task[None] | None = None

    async def drain(self) -> None:
        """Take no more requests, and return when those under way are answered."""
        assert self._task is not None, "drained before it was entered"
        self._uvicorn.should_exit = True
        await self._task

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._uvicorn.serve([self._listening]))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
