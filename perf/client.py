"""A load generator for HTTP in a process of its own: open loop for latencies, closed loop for the most that a server can do.

Open loop: requests are due on a fixed schedule whatever the server does, and a latency counts from the moment when its request was
due, so time spent waiting for a free connection is part of it. It waits with the precision of the system's clock, not of an event
loop's timers, which go by milliseconds. It knows nothing of what is in an answer, but keeps some for the parent to check.

Run as `python -m perf.client`, a `Load` as JSON on its standard input; `run` does that.
"""

import base64
import json
import random
import re
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

MICROSECONDS_MOST = 60_000_000
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_POOL = 4096
_RECEIVE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, how often, and for how long.

    Attributes:
        port: on 127.0.0.1.
        vertices: seeds are drawn from 0 up to this.
        seeds: how many a request names; one goes by GET, more by POST.
        seconds: how long requests are sent for.
        connections: kept alive; a request goes over one that is free.
        rate: requests a second (open loop); None for as many as get answered (closed loop).
        keep: so many answers come back whole.
        seed: of the choice of seeds.
    """

    port: int
    vertices: int
    seeds: int
    seconds: float
    connections: int = 16
    rate: float | None = None
    keep: int = 16
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a load; latencies in milliseconds. `kept`: seeds and message of some answers."""

    requests: int
    seconds: float
    histogram: str
    p50_ms: float
    p99_ms: float
    p999_ms: float
    kept: Sequence[tuple[Sequence[int], bytes]] = field(default_factory=list, repr=False)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    def latencies(self, offered: float | None = None) -> dict[str, float]:
        """Return what a table shows."""
        rate = {} if offered is None else {"offered_per_s": offered}
        return rate | {"p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "p999_ms": self.p999_ms}


class RefusedError(Exception):
    """A server answered something else than 200, or closed a connection."""


def start(load: Load) -> "subprocess.Popen[str]":
    """Start a load in a process of its own; `collect` waits for it."""
    process = subprocess.Popen([sys.executable, "-m", "perf.client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None, "a pipe was asked for"
    process.stdin.write(json.dumps(asdict(load)))
    process.stdin.close()
    process.stdin = None
    return process


def collect(process: "subprocess.Popen[str]") -> Answered:
    """Wait for a load that was started.

    Raises:
        RefusedError: it failed; what the process has written to its standard error says why.
    """
    out, _ = process.communicate()
    if process.returncode:
        raise RefusedError(f"the load generator ended with {process.returncode}")
    found: dict[str, Any] = json.loads(out)
    kept = [(seeds, base64.b64decode(body)) for seeds, body in found.pop("kept")]
    return Answered(**found, kept=kept)


def run(load: Load) -> Answered:
    """Start a load and wait for it; errors as `collect`."""
    return collect(start(load))


class _Connection:
    """A connection: the request under way, when it was due, and what has come of its answer."""

    __slots__ = ("body", "due", "head", "keep", "received", "seeds", "socket", "total")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.received = self.total = self.head = 0
        self.keep = False
        self.body: list[bytes] = []
        self.seeds: Sequence[int] = ()

    def begin(self, due: float, seeds: Sequence[int], request: bytes, keep: bool) -> None:
        self.due, self.seeds, self.keep = due, seeds, keep
        self.received = self.total = 0
        self.body = []
        self.socket.sendall(request)

    def advance(self) -> bool:
        """Take what has come; return whether the answer is whole."""
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise RefusedError("the server closed a connection")
        if not self.total:
            if self.received:
                data = b"".join((*self.body, data))  # a head in pieces
                self.body, self.received = [], 0
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                if not data.startswith(b"HTTP/1.1 200"):
                    raise RefusedError(data[:300].decode("latin-1"))
                length = _LENGTH.search(data, 0, end + 2)
                if length is None:
                    raise RefusedError("an answer without its length")
                self.head = end + 4
                self.total = self.head + int(length[1])
        self.received += len(data)
        if self.keep or not self.total:
            self.body.append(data)
        return bool(self.total) and self.received >= self.total


class _Generator:
    """Sends requests and takes the time of their answers."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = _requests(load)
        self._connections = {c.socket.fileno(): c for c in (_Connection(load.port) for _ in range(load.connections))}
        self._free = deque(self._connections.values())
        self._epoll = select.epoll()
        for number in self._connections:
            self._epoll.register(number, select.EPOLLIN)
        self._sent = 0
        self._keep_every = 1
        self._seconds: list[float] = []
        self._kept: list[tuple[Sequence[int], bytes]] = []

    def run(self) -> dict[str, Any]:
        """Return the fields of `Answered`, ready for JSON."""
        load, clock = self._load, time.perf_counter
        total = None if load.rate is None else max(1, int(load.rate * load.seconds))
        self._keep_every = max(1, (total or int(1000 * load.seconds)) // max(1, load.keep))
        began = clock()
        end = began + load.seconds
        while True:
            now = clock()
            if load.rate is None or total is None:
                due: float | None = now
                sending = now < end
            else:
                sending = self._sent < total
                due = began + self._sent / load.rate if sending else None
            while self._free and sending and due is not None and due <= now:
                self._send(due)
                if load.rate is not None and total is not None:
                    sending = self._sent < total
                    due = began + self._sent / load.rate
            if not sending and len(self._free) == len(self._connections):
                break
            self._receive(None if not (sending and self._free and due is not None) else max(0.0, due - clock()))
        return self._result(clock() - began)

    def _send(self, due: float) -> None:
        seeds, request = self._requests[self._sent % len(self._requests)]
        keep = self._sent % self._keep_every == 0 and len(self._kept) < self._load.keep
        self._free.popleft().begin(due, seeds, request, keep)
        self._sent += 1

    def _receive(self, wait_s: float | None) -> None:
        """Take what comes until an answer, or until so much time has passed."""
        if wait_s is None:
            events = self._epoll.poll()
        else:
            # epoll waits in whole milliseconds, select in microseconds.
            select.select([self._epoll], [], [], wait_s)
            events = self._epoll.poll(0)
        for number, _ in events:
            connection = self._connections[number]
            if connection.advance():
                self._seconds.append(time.perf_counter() - connection.due)
                if connection.keep:
                    self._kept.append((connection.seeds, b"".join(connection.body)[connection.head :]))
                self._free.append(connection)

    def _result(self, seconds: float) -> dict[str, Any]:
        histogram = HdrHistogram(1, MICROSECONDS_MOST, 3)
        for taken in self._seconds:
            histogram.record_value(max(1, min(MICROSECONDS_MOST, int(taken * 1e6))))
        p50, p99, p999 = (histogram.get_value_at_percentile(p) / 1000 for p in (50, 99, 99.9))
        return {
            "requests": len(self._seconds),
            "seconds": seconds,
            "histogram": histogram.encode().decode(),
            "p50_ms": p50,
            "p99_ms": p99,
            "p999_ms": p999,
            "kept": [(seeds, base64.b64encode(body).decode()) for seeds, body in self._kept],
        }


def _requests(load: Load) -> list[tuple[Sequence[int], bytes]]:
    rng = random.Random(load.seed)
    found: list[tuple[Sequence[int], bytes]] = []
    for _ in range(_POOL if load.seeds == 1 else _POOL // 8):
        seeds = [rng.randrange(load.vertices) for _ in range(load.seeds)]
        if load.seeds == 1:
            head, body = f"GET /samples?vid={seeds[0]} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/x-protobuf\r\n\r\n", b""
        else:
            body = json.dumps({"vids": seeds}, separators=(",", ":")).encode()
            head = "POST /samples HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/x-protobuf\r\n"
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        found.append((seeds, head.encode() + body))
    return found


def main() -> None:
    """Do what standard input says, and write what came of it as JSON."""
    print(json.dumps(_Generator(Load(**json.load(sys.stdin))).run()))


if __name__ == "__main__":
    main()
