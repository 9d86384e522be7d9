"""Memory stays flat: edges stream into bounded rows, 50 million unless told otherwise, while every process and log is watched.

Vertices are few and rows are full after a while, so whatever grows from then on would grow for ever. Batches are encoded here and
appended to the log straight away, with the loader's back-pressure but none of its parsing. With full history RocksDB keeps every
edge, so its files have to grow; memory and the log behind the snapshots must not.

`python -m perf.memory`, or `make perf-memory`; `--edges 1000000` is a quick check.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from perf.graph import I2I, ITEM, U2I, USER, EdgeColumns, Graph, Shape, edge_records
from perf.machine import this_machine
from perf.plot import plot_memory
from perf.process import folder_bytes, memory_of
from perf.service import Feed, Service, settle

GRAPH = Graph(Shape(10, 5, 10), 50_000)
BATCH = 32_768
INTERVAL_S = 0.5
"""Between two looks."""
GROWTH_MOST = 1.15
"""The largest memory of the last quarter, as a multiple of that of the second; the first fills rows and caches."""
SNAPSHOT_INTERVAL_S = 5
RESULTS = Path(__file__).parent / "results"


def batches(graph: Graph, count: int) -> Iterator[RecordBatch]:
    """Give edges in the order of their timestamps, u2i and i2i in turns; they are made as they are taken."""
    rng, layouts = np.random.default_rng(9), Layouts(graph.schema)
    for i, at in enumerate(range(0, count, BATCH)):
        n = min(BATCH, count - at)
        etype, src_type = ((U2I, USER), (I2I, ITEM))[i % 2]
        src, dst = rng.integers(0, graph.vertices, (2, n))
        edges = EdgeColumns(etype, src_type, src, dst, np.arange(at, at + n, dtype=np.int64), np.ones(n, np.float32))
        yield RecordBatch((edge_records(layouts, edges, slice(0, n)),))


def watch(service: Service, began: float) -> dict[str, Any]:
    """Return memory and disk of everything now; `edges` is how many the samplers have applied."""
    names = {f"{role} {i}": pid for role, pids in service.processes.items() for i, pid in enumerate(pids)}
    taken = {name: memory_of(pid) for name, pid in names.items()}
    folders = {
        "record-batches": service.state / "log" / "record-batches",
        "sample-batches": service.state / "log" / "sample-batches",
        "RocksDB (full history)": service.state / "sampler",
        "snapshots": service.state / "serving",
    }
    return {
        "edges": _applied(service),
        "seconds": time.monotonic() - began,
        "rss": {name: memory.rss for name, memory in taken.items()},
        "uss": {name: memory.uss for name, memory in taken.items()},
        "disk": {name: folder_bytes(folder) for name, folder in folders.items()},
    }


def _applied(service: Service) -> int:
    """Return how many records the samplers have applied, as `/metrics` tells."""
    text = service.connection.get("/metrics").text
    families = text_string_to_metric_families(text)
    return int(sum(s.value for f in families for s in f.samples if s.name == "dgs_records_applied_total"))


async def stream(service: Service, count: int) -> list[dict[str, Any]]:
    """Load so many edges and wait until all are served; return what was seen meanwhile."""
    began = time.monotonic()
    seen = [watch(service, began)]

    async def load() -> None:
        async with Feed(service.server) as feed:
            for batch in batches(GRAPH, count):
                await feed.send(batch)
        await asyncio.to_thread(settle, service.server)

    loading = asyncio.create_task(load())
    while not loading.done():
        await asyncio.wait([loading], timeout=INTERVAL_S)
        seen.append(await asyncio.to_thread(watch, service, began))
    await loading
    return seen


def growth(samples: Sequence[dict[str, Any]], name: str) -> float:
    """Return by how much a process has grown: its most in the last quarter of the edges over its most in the second."""
    total = samples[-1]["edges"]
    second = [s["rss"][name] for s in samples if total * 0.25 <= s["edges"] <= total * 0.5]
    last = [s["rss"][name] for s in samples if s["edges"] >= total * 0.75]
    return max(last) / max(second) if second else 1.0


def measure(count: int, results: Path) -> bool:
    """Load, print and write; return whether memory was flat."""
    machine = this_machine()
    print(machine)
    with Service(GRAPH, "--snapshot-interval-s", SNAPSHOT_INTERVAL_S) as service:
        samples = asyncio.run(stream(service, count))
    flat = True
    print(f"{count:,} edges in {samples[-1]['seconds']:.0f} s: {count / samples[-1]['seconds']:,.0f} edges/s")
    for name in samples[0]["rss"]:
        grown = growth(samples, name)
        flat = flat and grown <= GROWTH_MOST
        first, most = samples[0]["rss"][name] / 1e6, max(s["rss"][name] for s in samples) / 1e6
        print(f"{name:24} empty {first:6.0f} MB   peak {most:6.0f} MB   last quarter over second {grown:.2f}")
    for name in samples[0]["disk"]:
        peak, end = (max(s["disk"][name] for s in samples), samples[-1]["disk"][name])
        print(f"{name:24} peak {peak / 1e6:8,.0f} MB   end {end / 1e6:8,.0f} MB   {end / count:6.1f} bytes an edge")
    results.mkdir(parents=True, exist_ok=True)
    document = {"machine": asdict(machine), "edges": count, "flat": flat, "samples": samples}
    (results / "memory.json").write_text(json.dumps(document, indent=1) + "\n")
    plot_memory(samples, results / "memory.png")
    return flat


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.memory", description=__doc__)
    parser.add_argument("--edges", type=int, default=50_000_000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if not measure(arguments.edges, arguments.results):
        sys.exit(f"memory is not flat: a process has grown beyond {GROWTH_MOST:g} times of what it had")


if __name__ == "__main__":
    main()
