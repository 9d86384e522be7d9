"""Load at a fixed rate in a process of its own: edges of `Graph.later` go into the service's log on a schedule, like a live stream.

Run as `python -m perf.writer`, a `Stream` as JSON on its standard input; `start` and `collect` do that.
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from perf.graph import Graph, Shape, edge_records
from perf.service import Feed

INTERVAL_S = 0.01
"""Between two batches."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is written: edges [first, first + rate · seconds) of `Graph.later`, at `rate` edges a second."""

    server: str
    shape: tuple[int, int, int]
    vertices: int
    first: int
    rate: float
    seconds: float

    @property
    def edges(self) -> int:
        """How many edges it is in all."""
        return int(self.rate * self.seconds)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and how late the latest batch was."""

    edges: int
    seconds: float
    late_ms_most: float


def start(stream: Stream) -> "subprocess.Popen[str]":
    """Start a stream in a process of its own; returns when its first batch is about to be sent."""
    process = subprocess.Popen([sys.executable, "-m", "perf.writer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None, "a pipe was asked for"
    assert process.stdout is not None, "a pipe was asked for"
    process.stdin.write(json.dumps(asdict(stream)))
    process.stdin.close()
    process.stdin = None
    process.stdout.readline()
    return process


def collect(process: "subprocess.Popen[str]") -> Written:
    """Wait for the end of a stream."""
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the writer ended with {process.returncode}")
    return Written(**json.loads(out))


async def _write(stream: Stream) -> Written:
    graph = Graph(Shape(*stream.shape), stream.vertices)
    edges, layouts = graph.later(stream.first + stream.edges), Layouts(graph.schema)
    async with Feed(stream.server) as feed:
        print("ready", flush=True)
        began, late = time.perf_counter(), 0.0
        for i in range(int(stream.seconds / INTERVAL_S)):
            wait_s = began + i * INTERVAL_S - time.perf_counter()
            late = max(late, -wait_s)
            await asyncio.sleep(max(0.0, wait_s))
            begin, end = (stream.first + int(stream.rate * j * INTERVAL_S) for j in (i, i + 1))
            await feed.send(RecordBatch((edge_records(layouts, edges, slice(begin, end)),)))
        sent = int(stream.rate * int(stream.seconds / INTERVAL_S) * INTERVAL_S)
        rest = slice(stream.first + sent, stream.first + stream.edges)
        if rest.start < rest.stop:
            await feed.send(RecordBatch((edge_records(layouts, edges, rest),)))
        return Written(feed.sender.records, time.perf_counter() - began, late * 1000)


def main() -> None:
    """Do what standard input says, and write what came of it as JSON."""
    print(json.dumps(asdict(asyncio.run(_write(Stream(**json.load(sys.stdin)))))))


if __name__ == "__main__":
    main()
