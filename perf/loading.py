"""What users see while data streams in: how soon an update is in the answers, and how much slower reads are.

A writer streams at a fixed rate. Beside it, a probe adds single edges on a schedule and asks until it sees them; then, without the
probe, a reader asks at a fixed rate. Reads without the writer alternate with reads beside it, and with those of a static body.
Afterwards the answers must be the oracle's, with all that was written.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import numpy as np
from dgs_client.connection import Connection
from prometheus_client.parser import text_string_to_metric_families

from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from dgs.wire.samples_pb2 import Samples
from perf import client, writer
from perf.check import WrongAnswerError, check_all
from perf.client import Answered, Load
from perf.graph import U2I, USER, EdgeColumns, Graph, edge_records
from perf.report import Aim, Row
from perf.service import Feed, Service
from perf.static import static_server

VISIBLE_MS, READS = Aim(most=50, of_ratio=False), Aim(most=3)
PROBES_PER_S = 20
PROBE_USERS = 64
"""Users of their own, behind those of the graph, so that probes change no other answer."""
OVERLOAD_PER_S = 150_000.0
_POLL_S = 0.002
_RUN_UP_S, _RUN_OUT_S = 0.5, 1.0
"""A stream runs for so long before anything is timed beside it, and still when that is over."""
_GIVE_UP_S = 30.0
_ACCEPT = {"accept": "application/x-protobuf"}


def peak(graph: Graph, service: Service, *, seconds: float) -> tuple[Row, int]:
    """Offer the stream far more than it takes; return the rate at which that became servable, and how many edges it was.

    Its entries are as small as those of a live stream, and every edge enters a row: the peak of a bulk load says nothing of it.
    """
    shape = graph.shape
    stream = writer.Stream(service.server, (shape.first, shape.second, shape.dim), graph.vertices, 0, OVERLOAD_PER_S, seconds)
    writing, began = writer.start(stream), time.perf_counter()
    writer.collect(writing)
    service.settle()
    return Row("the stream of updates alone, at its peak", "edges/s", stream.edges / (time.perf_counter() - began)), stream.edges


def measure(
    graph: Graph, service: Service, *, edges_per_s: float, reads_per_s: float, rounds: int, seconds: float, written: int = 0
) -> list[Row]:
    """Return the rows for visibility and for reads while loading, each beside a stream of its own.

    Args:
        graph: that the service has been loaded with.
        service: a running one.
        edges_per_s: what the writer offers.
        reads_per_s: what the reader offers, with the writer and without.
        written: edges of the stream that the service has by now.
        rounds: of everything.
        seconds: of one turn.

    Raises:
        WrongAnswerError: an answer is not the oracle's, or an update does not show.
    """
    streams = Streams(graph, service, edges_per_s, written)
    shown = visible(graph, service, streams, rounds, seconds)
    reads = _reads(graph, service, streams, reads_per_s, rounds, seconds)
    after = client.run(Load(service.port, graph.vertices, 1, min(seconds, 1.0), rate=reads_per_s, keep=32, seed=30))
    shown[0].detail["checked"] = check_all(graph, after.kept, streams.written)
    shown[0].detail["writer_late_ms_most"] = streams.late_ms_most
    return shown + reads


class Streams:
    """One stream after the other at the same rate.

    Attributes:
        written: edges so far.
        late_ms_most: of the batch that went out latest.
    """

    def __init__(self, graph: Graph, service: Service, edges_per_s: float, written: int) -> None:
        self._graph = graph
        self._service = service
        self.edges_per_s = edges_per_s
        self.written = written
        self.late_ms_most = 0.0

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        """Stream for so long, evenly from the beginning of the block on; after it wait until all is servable."""
        shape = self._graph.shape
        own = (shape.first, shape.second, shape.dim)
        stream = writer.Stream(
            self._service.server, own, self._graph.vertices, self.written, self.edges_per_s, seconds + _RUN_UP_S + _RUN_OUT_S
        )
        writing = writer.start(stream)
        time.sleep(_RUN_UP_S)
        yield
        self.late_ms_most = max(self.late_ms_most, writer.collect(writing).late_ms_most)
        self.written += stream.edges
        self._service.settle()


def visible(graph: Graph, service: Service, streams: Streams, rounds: int, seconds: float) -> list[Row]:
    """Return the rows of how soon an update shows beside a stream: asked for again and again, by position, told by the service."""
    polled: list[float] = []
    told: list[float] = []
    before = _freshness(service)
    for i in range(rounds):
        with streams.running(seconds):
            seen = asyncio.run(_probe(graph, service, seconds, i))
        polled, told = polled + seen[0], told + seen[1]
    own = _quantiles(before, _freshness(service))
    rows = []
    for work, found, aim in (
        ("update → visible, by an outside probe: p99", polled, VISIBLE_MS),
        ("  the same, asked for by position: p99", told, None),
    ):
        latencies = {"p50_ms": _ms(found, 0.5), "p99_ms": _ms(found, 0.99), "p999_ms": _ms(found, 0.999)}
        latencies["offered_per_s"] = streams.edges_per_s
        rows.append(Row(work, "ms", latencies["p99_ms"], aim=aim, latencies=latencies, detail={"probes_s": found}))
    rows.append(Row("  the service's own dgs_freshness_seconds: p99", "ms", own[1] * 1000, latencies={"p50_ms": own[0] * 1000}))
    return rows


def _reads(graph: Graph, service: Service, streams: Streams, reads_per_s: float, rounds: int, seconds: float) -> list[Row]:
    """Return the row of reads, and that of a static body: what the machine itself does to reads beside such a stream."""
    load = Load(service.port, graph.vertices, 1, seconds, rate=reads_per_s, keep=8)
    turns: dict[str, list[tuple[Answered, Answered]]] = {"ours": [], "static": []}
    bodies = sorted((body for _, body in client.run(replace(load, seconds=min(seconds, 1.0))).kept), key=len)
    with static_server(bodies[len(bodies) // 2]) as (port, _):
        for i in range(rounds):
            for name, own in (("ours", load), ("static", replace(load, port=port, keep=0))):
                alone = client.run(replace(own, seed=10 + i))
                with streams.running(seconds):
                    turns[name].append((alone, client.run(replace(own, seed=20 + i))))
    rows = []
    for work, name, aim in (
        (f"reads while loading, {graph.shape}: p99", "ours", READS),
        ("  a static body, read beside the same stream: p99", "static", None),
    ):
        alones, besides = zip(*turns[name], strict=True)
        middle = sorted(besides, key=lambda b: b.p99_ms)[len(besides) // 2]
        detail = {"alone": [a.latencies() for a in alones], "beside": [b.latencies() for b in besides]}
        detail |= {"histogram": besides[-1].histogram, "floor_histogram": alones[-1].histogram}
        p99, alone_p99 = median(b.p99_ms for b in besides), median(a.p99_ms for a in alones)
        ratio = median(b.p99_ms / a.p99_ms for a, b in turns[name])
        rows.append(Row(work, "ms", p99, alone_p99, ratio, aim, middle.latencies(reads_per_s), detail))
    return rows


async def _probe(graph: Graph, service: Service, seconds: float, turn: int) -> tuple[list[float], list[float]]:
    """Add edges on a schedule; return the seconds until each is seen, by asking again and again, and by asking for the position."""
    layouts = Layouts(graph.schema)
    polled: list[float] = []
    told: list[float] = []
    async with Feed(service.server) as feed:
        began = time.perf_counter()
        with Connection(service.server) as connection:
            for i in range(int(seconds * PROBES_PER_S)):
                due = began + i / PROBES_PER_S
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                user, item = graph.vertices + i % PROBE_USERS, i % graph.vertices
                timestamp = (turn + 1) * (1 << 40) + i
                one = [np.array([value], np.int64) for value in (user, item, timestamp)]
                edge = EdgeColumns(U2I, USER, one[0], one[1], one[2], np.ones(1, np.float32))
                positions = dict(feed.sender.positions)
                await feed.send(RecordBatch((edge_records(layouts, edge, slice(0, 1)),)))
                partition, position = next((p, at) for p, at in feed.sender.positions.items() if positions.get(p) != at)
                if i % 2:
                    token = f"{feed.init.generation}:{partition}:{position}"
                    path = f"/samples?vid={user}&min_position={token}&timeout_ms={int(_GIVE_UP_S * 1000)}"
                    message = connection.get(path, headers=_ACCEPT).body
                    told.append(time.perf_counter() - due)
                    if timestamp not in _newest(message):
                        raise WrongAnswerError(f"an answer of position {token} does not show what was written there")
                else:
                    path = f"/samples?vid={user}"
                    while timestamp not in _newest(connection.get(path, headers=_ACCEPT).body):
                        if time.perf_counter() - due > _GIVE_UP_S:
                            raise WrongAnswerError(f"an update is not in the answers after {_GIVE_UP_S:g} s")
                        await asyncio.sleep(_POLL_S)
                    polled.append(time.perf_counter() - due)
    return polled, told


def _newest(message: bytes) -> set[int]:
    """Return the timestamps of all edges of an answer."""
    graphs = Samples.FromString(message).graphs
    return {t for g in graphs for e in g.edges for t in np.frombuffer(e.timestamps, "<i8").tolist()}


def _ms(seconds: Sequence[float], q: float) -> float:
    return float(np.quantile(seconds, q)) * 1000


def _freshness(service: Service) -> dict[float, float]:
    """Return the service's histogram of freshness: cumulated counts by upper bound in seconds."""
    text = service.connection.get("/metrics").text
    samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
    return {float(s.labels["le"]): s.value for s in samples if s.name == "dgs_freshness_seconds_bucket"}


def _quantiles(before: dict[float, float], after: dict[float, float]) -> tuple[float, float]:
    """Return p50 and p99 in seconds of what came between, linear within a bucket as Prometheus has it."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    total = max(counts.values(), default=0.0)

    def quantile(q: float) -> float:
        low, below = 0.0, 0.0
        for bound, cumulated in counts.items():
            if cumulated >= q * total and cumulated > below:
                return low if bound == float("inf") else low + (bound - low) * (q * total - below) / (cumulated - below)
            low, below = bound, cumulated
        return 0.0

    return quantile(0.5), quantile(0.99)
