"""Ingest through the whole durable path against RocksDB alone, and the sampling kernel by itself.

Ours: `dgs up` (frontend and sampler processes), `dgs-loader` beside it, from the start of the loader until the barrier behind the
data is READY: parsed, logged, sampled, committed, applied and servable. Floor: one process that does nothing but put each of the
same edges into RocksDB, in sorted batches, with the same keys and values as history has: less than that no durable path can do.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from dgs.codec.keys import HISTORY_BYTES, history_keys
from dgs.codec.values import encode_payloads
from dgs.core.layout import Layouts
from dgs.core.records import EdgeRecords
from dgs.core.reservoir import EdgeColumns, Reservoir
from dgs.core.strategies import Strategy
from dgs.core.types import Int32s, Int64s, Position
from dgs.store.base import Batch
from dgs.store.rocks import RocksStore
from perf.graph import I2I, ITEM, U2I, USER, Graph, Shape
from perf.process import cpu_seconds
from perf.report import Aim, Row
from perf.service import BIN, Service

USERS, ITEMS = 100_000, 20_000
BATCH = 4096
RUN, KERNEL_VERTICES, KERNEL_ROUNDS, ZIPF = 1 << 16, 1_000_000, 3, 1.1
"""The kernel by itself: edges of a run, vertices, rounds of which the best counts, and the skew of sources."""
GRAPH = Graph(Shape(10, 5, 10), 1)
"""Only its schema and query are used here."""
EDGES_PER_S, KERNEL_EDGES_PER_S = Aim(least=100_000, of_ratio=False), Aim(least=4_000_000, of_ratio=False)


def edges(count: int, seed: int) -> tuple[Int64s, Int64s, Int64s]:
    """Users, items and timestamps: both ends zipf-like, time rising."""
    rng = np.random.default_rng(seed)
    users = (USERS * rng.random(count) ** 2).astype(np.int64)
    items = (ITEMS * rng.random(count) ** 3).astype(np.int64)
    return users, items, np.arange(count, dtype=np.int64)


def measure(count: int, rounds: int) -> list[Row]:
    """Return the row of the whole path, over so many edges, and that of the kernel."""
    found, least = [], []
    with tempfile.TemporaryDirectory(prefix="dgs-perf-") as name:
        folder = Path(name)
        _write_input(folder, count)
        for _ in range(rounds):
            least.append(_floor(folder, count))
            found.append(_ours(folder, count))
    rates = [f["edges_per_s"] for f in found]
    best = max(range(rounds), key=rates.__getitem__)
    ratio = median(a / b for a, b in zip(rates, least, strict=True))
    detail = {"rounds": found, "floor_rates": least, "edges": count}
    rows = [Row("ingest, the whole durable path", "edges/s", rates[best], max(least), ratio, EDGES_PER_S, detail=detail)]
    cpu = found[best]["service_cpu_us"]
    rows.append(Row("  the service's CPU time, all processes", "µs/edge", cpu, 1e6 / max(least), 1e6 / max(least) / cpu))
    return [*rows, *_kernels(count)]


def _write_input(folder: Path, count: int) -> None:
    """Write a pattern and a data file of u2i and i2i edges, half each."""
    (folder / "pattern").write_text(
        "#EDGE:u2i,#SRC:user,#DST:item,timestamp,weight\n#EDGE:i2i,#SRC:item,#DST:item,timestamp,weight\n"
    )
    users, items, times = edges(count // 2, 1)
    others = edges(count // 2, 2)[1]
    with (folder / "data").open("w") as file:
        for u, i, o, t in zip(users.tolist(), items.tolist(), others.tolist(), times.tolist(), strict=True):
            file.write(f"u2i,{u},{i},{t},1.5\ni2i,{i},{o},{t},0.5\n")


def _ours(folder: Path, count: int) -> dict[str, float]:
    with Service(GRAPH) as service:
        before, began = cpu_seconds(service.pids), time.monotonic()
        command: list[str | Path] = [BIN / "dgs-loader", "--dgs-service-host", service.server, "--pattern-file", folder / "pattern"]
        subprocess.run([*command, "--data-file", folder / "data"], check=True, capture_output=True)
        loaded = time.monotonic() - began
        service.settle()
        seconds = time.monotonic() - began
        cpu_us = (cpu_seconds(service.pids) - before) / count * 1e6
        return {"edges_per_s": count / seconds, "seconds": seconds, "loader_seconds": loaded, "service_cpu_us": cpu_us}


def _runs(count: int, payload_bytes: int) -> Iterator[EdgeRecords]:
    users, items, times = edges(count, 1)
    payload = np.zeros((count, payload_bytes), np.uint8)
    for at in range(0, count, BATCH):
        part = slice(at, at + BATCH)
        yield EdgeRecords(U2I, USER, ITEM, users[part], items[part], times[part], payload[part])


def _floor(folder: Path, count: int) -> float:
    """Return how many of the same edges a second one process puts into RocksDB."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        store = RocksStore(Path(own) / "floor")
        width = Layouts(GRAPH.schema).edge[I2I].width
        began = time.monotonic()
        for at, records in enumerate(_runs(count, width)):
            keys, values = history_keys(records), encode_payloads(records.payload, None)
            puts = {keys[i * HISTORY_BYTES : (i + 1) * HISTORY_BYTES]: v for i, v in enumerate(values)}
            store.write(Batch(Position(at + 1), b"", puts))
        seconds = time.monotonic() - began
        store.close()
        return count / seconds


def _kernels(count: int) -> list[Row]:
    """Edges a second that are scored and offered to the rows of one operator, in runs, by one core.

    Newest is the hardest case, as in a live stream every edge enters its row; with random most are refused once rows are full.
    """
    layout, operators = Layouts(GRAPH.schema).edge[U2I], GRAPH.operators.operators
    newest = next(o for o in operators if o.etype == U2I)
    rng = np.random.default_rng(5)
    vertices: Int32s = (rng.zipf(ZIPF, count) % KERNEL_VERTICES + 1).astype(np.int32)
    dst: Int64s = rng.integers(0, KERNEL_VERTICES, count)
    times: Int64s = np.arange(count, dtype=np.int64)
    payload = np.zeros((count, layout.width), np.uint8)
    ids: Int64s = np.arange(KERNEL_VERTICES + 1, dtype=np.int64)
    rows = []
    for strategy, aim in ((Strategy.RANDOM, KERNEL_EDGES_PER_S), (Strategy.TOPK_BY_TIMESTAMP, None)):
        best, whole = 0.0, 0.0
        for _ in range(KERNEL_ROUNDS):
            reservoir = Reservoir(replace(newest, strategy=strategy), layout)
            offering = comparing = 0.0
            for at in range(0, count, RUN):
                part = slice(at, at + RUN)
                edges = EdgeColumns(vertices[part].astype(np.int64), dst[part], times[part], payload[part])
                began = time.perf_counter()
                reservoir.offer(vertices[part], edges, ITEM)
                offered = time.perf_counter()
                reservoir.differences(ids)
                offering, comparing = offering + offered - began, comparing + time.perf_counter() - offered
            best, whole = max(best, count / offering), max(whole, count / (offering + comparing))
        detail = {"with_blocks_per_s": whole, "edges": count, "run": RUN, "vertices": KERNEL_VERTICES, "zipf": ZIPF}
        name = "every one enters its row" if strategy is Strategy.TOPK_BY_TIMESTAMP else "most are refused"
        rows.append(Row(f"sampling kernel alone, {strategy.name.lower()}: {name}", "edges/s", best, aim=aim, detail=detail))
    return rows
