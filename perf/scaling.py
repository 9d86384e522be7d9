"""Twice the processes: two samplers against one, and two frontends against one, of `dgs cluster up` on this host.

Samplers: records stand in the log before any sampler reads them, and frontends stand still, so that nothing but samplers takes
part. Frontends: a client asks as fast as it gets answers. It takes its share of the same cores, so beside what clients see it is
told what frontends do in a second of processor time, which is what two of them on cores of their own do twice.

`python -m perf.scaling`, or `make perf-scaling`.
"""

import argparse
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from dgs_client.connection import Connection

from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from perf.check import WrongAnswerError, check_all
from perf.client import Load, run
from perf.graph import Graph, Shape, edge_records
from perf.machine import this_machine
from perf.process import cpu_seconds
from perf.report import Aim, Row, print_table, write_json
from perf.service import ClusterService

SHAPE, VERTICES, EDGES = Shape(10, 5, 10), 20_000, 2_000_000
TWICE = Aim(least=1.7)
BATCH = 4096
RESULTS = Path(__file__).parent / "results"
FIXED = ("--partitions", 4, "--serving-partitions", 4, "--lag-bytes-max", 0, "--checkpoint-interval-s", 0)
_POLL_S = 0.05


@contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Have processes stand still for the length of a block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def sampled_per_s(graph: Graph, edges: int, processes: int) -> float:
    """Return how many records a second so many samplers apply, with nobody else at work."""
    layouts, later = Layouts(graph.schema), graph.later(edges)
    with ClusterService(graph, *FIXED, "--samplers", processes, "--frontends", 1) as service:
        coordinator = Connection(service.coordinator)
        samplers, frontends = service.processes["sampler"], service.processes["serve"]
        with standing_still(samplers):
            service.append(RecordBatch((edge_records(layouts, later, slice(at, at + BATCH)),)) for at in range(0, edges, BATCH))
        with standing_still(frontends):
            before = time.monotonic()
            while min(s["records_applied"] or 0 for s in coordinator.get("/cluster").json()["samplers"]) == 0:
                time.sleep(_POLL_S)
            # From report to report, which come once a second: the first ones know how much was done when they were sent.
            first = _applied(coordinator)
            began = time.monotonic()
            last = first
            while sum(last.values()) < edges:
                time.sleep(_POLL_S)
                last = _applied(coordinator)
            seconds = time.monotonic() - began
        coordinator.close()
    print(f"measured: {processes} samplers, {seconds:.1f} s after {began - before:.1f} s", file=sys.stderr)
    return max(1, edges - sum(first.values())) / max(seconds, _POLL_S)


def _applied(coordinator: Connection) -> dict[int, int]:
    return {s["partition"]: s["records_applied"] or 0 for s in coordinator.get("/cluster").json()["samplers"]}


def asked_per_s(graph: Graph, processes: int, rounds: int, seconds: float) -> tuple[float, float, float]:
    """Return requests a second that a client of so many frontends sees, its share of the cores, and requests a second of theirs."""
    with ClusterService(graph, *FIXED, "--samplers", 1, "--frontends", processes, "--copies", processes) as service:
        service.load(graph.batches())
        load = Load(service.port, graph.vertices, 1, seconds, connections=32)
        check_all(graph, run(replace(load, seconds=seconds / 4)).kept)
        rates, shares, costs = [], [], []
        for i in range(rounds):
            clients, frontends = _children_s(), cpu_seconds(service.processes["serve"])
            answered = run(replace(load, seed=i + 2, keep=8))
            check_all(graph, answered.kept)
            rates.append(answered.rate)
            shares.append((_children_s() - clients) / (answered.seconds * (os.cpu_count() or 1)))
            costs.append(answered.requests / (cpu_seconds(service.processes["serve"]) - frontends))
    print(f"measured: {processes} frontends", file=sys.stderr)
    return median(rates), median(shares), median(costs)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(graph: Graph, edges: int, rounds: int, seconds: float) -> list[Row]:
    """Return the rows; in each, `ours` is of two processes and the floor of one, so that the ratio is the scaling."""
    sampled: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for processes, found in sampled.items():
            found.append(sampled_per_s(graph, edges, processes))
    one, two = median(sampled[1]), median(sampled[2])
    ratio = median(b / a for a, b in zip(sampled[1], sampled[2], strict=True))
    rows = [Row("two sampler processes, one as the floor", "records/s", two, one, ratio, TWICE, detail={"of": sampled})]
    alone, share, cost = asked_per_s(graph, 1, rounds, seconds)
    both, share_two, cost_two = asked_per_s(graph, 2, rounds, seconds)
    rows.append(Row("two frontends, one as the floor, one seed a request", "requests/s", both, alone, both / alone, TWICE))
    rows.append(Row("  the client's share of all cores", "%", share_two * 100, share * 100))
    ideal = "  requests a second of frontends' processor time, times their number"
    rows.append(Row(ideal, "requests/s", 2 * cost_two, cost, 2 * cost_two / cost, TWICE))
    return rows


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.scaling", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="only show that it works")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    vertices, edges, rounds, seconds = (300, 30_000, 1, 0.5) if arguments.tiny else (VERTICES, EDGES, 2, 4.0)
    machine = this_machine()
    try:
        rows = measure(Graph(SHAPE, vertices), edges, rounds, seconds)
    except WrongAnswerError as e:
        sys.exit(f"a wrong answer, so no figure counts: {e}")
    print_table(rows, machine)
    write_json(rows, machine, arguments.results / "scaling.json")


if __name__ == "__main__":
    main()
