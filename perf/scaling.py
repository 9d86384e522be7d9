"""Twice the processes: two samplers against one, and two frontends against one, of `dgs cluster up` on this host.

Samplers: records stand in the log before any sampler reads them, and frontends stand still, so that nothing but samplers takes
part. Frontends: a client asks as fast as it gets answers, and takes its share of the same cores. So there are two of them: wrk,
which takes little, and one in Python, which takes as much as users of one may expect; and beside what they see it is told what
frontends do in a second of processor time.

`python -m perf.scaling`, or `make perf-scaling`. It needs wrk.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from dgs_client.connection import Connection

from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from perf import wrk
from perf.check import WrongAnswerError, check_all
from perf.client import Load, run
from perf.graph import Graph, Shape, edge_records
from perf.machine import this_machine
from perf.process import cpu_seconds
from perf.report import Aim, Row, print_table, write_json
from perf.service import ClusterService
from tests.e2e.processes import paused

SHAPE, VERTICES, EDGES = Shape(10, 5, 10), 20_000, 2_000_000
TWICE = Aim(least=1.7)
BATCH = 4096
RESULTS = Path(__file__).parent / "results"
FIXED = ("--partitions", 4, "--serving-partitions", 4, "--lag-bytes-max", 0, "--checkpoint-interval-s", 0)
CONNECTIONS = 128
"""The kernel spreads them over frontends by chance: of fewer, one frontend often has many more than the other."""
_POLL_S = 0.05


def sampled_per_s(graph: Graph, edges: int, processes: int) -> float:
    """Return how many records a second so many samplers apply, with nobody else at work."""
    layouts, later = Layouts(graph.schema), graph.later(edges)
    with ClusterService(graph, *FIXED, "--samplers", processes, "--frontends", 1) as service:
        coordinator = Connection(service.coordinator)
        samplers, frontends = service.processes["sampler"], service.processes["serve"]
        with paused(samplers):
            service.append(RecordBatch((edge_records(layouts, later, slice(at, at + BATCH)),)) for at in range(0, edges, BATCH))
        with paused(frontends):
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking frontends: answers a second, the client's share of all cores, answers in a second of frontends' own."""

    rate: float
    share: float
    by_core: float


def asked(graph: Graph, processes: int, seed: int, seconds: float) -> dict[str, Asked]:
    """Return what each client got of so many frontends.

    Raises:
        WrongAnswerError: an answer is not the oracle's.
        RefusedError: there was none.
    """
    found = {}
    with ClusterService(graph, *FIXED, "--samplers", 1, "--frontends", processes, "--copies", processes) as service:
        service.load(graph.batches())
        load = Load(service.port, graph.vertices, 1, seconds, CONNECTIONS, seed=seed)
        check_all(graph, run(replace(load, seconds=seconds / 4)).kept)
        for name, answered in CLIENTS.items():
            client, frontends = _children_s(), cpu_seconds(service.processes["serve"])
            count, took = answered(load)
            client_s, frontends_s = _children_s() - client, cpu_seconds(service.processes["serve"]) - frontends
            found[name] = Asked(count / took, client_s / (took * (os.cpu_count() or 1)), count / frontends_s)
        check_all(graph, run(replace(load, seconds=seconds / 4, seed=seed + 1)).kept)
    print(f"measured: {processes} frontends", file=sys.stderr)
    return found


def _in_python(load: Load) -> tuple[int, float]:
    answered = run(load)
    return answered.requests, answered.seconds


CLIENTS: dict[str, Callable[[Load], tuple[int, float]]] = {"wrk": wrk.run, "a client in Python": _in_python}
"""Each returns how many answers there were in how many seconds."""


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(graph: Graph, edges: int, rounds: int, seconds: float) -> list[Row]:
    """Return the rows; in each, `ours` is of two processes and the floor of one, so that the ratio is the scaling."""
    sampled: dict[int, list[float]] = {1: [], 2: []}
    answered: dict[int, list[dict[str, Asked]]] = {1: [], 2: []}
    for i in range(rounds):
        for processes in (1, 2):
            sampled[processes].append(sampled_per_s(graph, edges, processes))
            answered[processes].append(asked(graph, processes, i + 2, seconds))
    rows = [_row("two sampler processes, one as the floor", "records/s", sampled, TWICE)]
    for client in CLIENTS:
        found = {processes: [each[client] for each in runs] for processes, runs in answered.items()}
        rates = {n: [a.rate for a in of] for n, of in found.items()}
        rows.append(_row(f"two frontends, one as the floor, asked by {client}", "requests/s", rates, TWICE))
        shares = {n: median(a.share for a in of) * 100 for n, of in found.items()}
        rows.append(Row("  the client's share of all cores", "%", shares[2], shares[1]))
        cores = {n: [n * a.by_core for a in of] for n, of in found.items()}
        rows.append(_row("  requests a second of frontends' processor time, times their number", "requests/s", cores))
    return rows


def _row(work: str, unit: str, of: dict[int, list[float]], aim: Aim | None = None) -> Row:
    """Return the row of figures of one process and of two, which were taken in turns."""
    ratio = median(two / one for one, two in zip(of[1], of[2], strict=True))
    return Row(work, unit, median(of[2]), median(of[1]), ratio, aim, detail={"of": of})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.scaling", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="only show that it works")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    if (why := wrk.missing()) is not None:
        sys.exit(why)
    vertices, edges, rounds, seconds = (300, 30_000, 1, 0.5) if arguments.tiny else (VERTICES, EDGES, 3, 4.0)
    machine = this_machine()
    try:
        rows = measure(Graph(SHAPE, vertices), edges, rounds, seconds)
    except WrongAnswerError as e:
        sys.exit(f"a wrong answer, so no figure counts: {e}")
    print_table(rows, machine)
    write_json(rows, machine, arguments.results / "scaling.json")


if __name__ == "__main__":
    main()
