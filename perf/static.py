"""The floor of a request over HTTP: the same server with the same settings, whose application answers every request with one body.

It runs in a process of its own, as the service's frontend does: `python -m perf.static FILE PORT`.
"""

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import uvloop

from dgs.http.gate import Application, Receive, Scope, Send
from dgs.http.listener import listen
from dgs.http.server import server_config
from perf.service import free_port

START_S = 30.0


@contextmanager
def static_server(body: bytes) -> Iterator[tuple[int, int]]:
    """Serve a body; gives port and process id."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        port = free_port()
        process = subprocess.Popen([sys.executable, "-m", "perf.static", file.name, str(port)])
        try:
            _until_it_listens(process, port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(START_S)


def _until_it_listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def application(body: bytes) -> Application:
    """Return an application that reads a request to its end and answers with a body."""
    headers = [(b"content-type", b"application/x-protobuf"), (b"content-length", b"%d" % len(body)), (b"vary", b"accept")]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def main() -> None:
    """Serve until told to stop, with the settings that the service's frontend has."""
    body, port = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
    server = uvicorn.Server(server_config(application(body)))
    with listen("127.0.0.1", port) as listening, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve([listening]))


if __name__ == "__main__":
    main()
