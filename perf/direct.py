"""A client that goes straight to the owners of seeds beside one whose requests are forwarded, in turns, against one cluster.

`python -m perf.direct`. Two frontends with half of the serving partitions each, and one client, which reads what it is answered as
users do, share the cores of this host. One seed is one that the asked frontend does not have, so each is forwarded; of many seeds
it has about half.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import numpy as np
from dgs_client import Client
from dgs_client.message import MEDIA_TYPE

from dgs.core.partition import partition_of
from perf.check import WrongAnswerError, check_message
from perf.graph import Graph, Shape
from perf.machine import this_machine
from perf.process import cpu_seconds
from perf.report import Row, print_table, write_json
from perf.service import ClusterService, Service

RESULTS = Path(__file__).parent / "results"
SHAPE, VERTICES, PARTITIONS = Shape(10, 5, 10), 20_000, 4
SEEDS = (1, 64)
"""Of a request."""
CHECKED = 16
"""Requests whose answers are compared, of each number of seeds."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one client: requests a second, latencies in ms, and CPU time of all frontends a request in µs."""

    rate: float
    latencies: Sequence[float]
    cpu_us: float


def measure(graph: Graph, rounds: int, seconds: float) -> list[Row]:
    """Return the rows, those of a client that goes straight beside those of one that does not.

    Raises:
        WrongAnswerError: an answer is not the oracle's, or the two do not answer alike.
    """
    rows = []
    with ClusterService(graph, "--samplers", 1, "--frontends", 2, "--partitions", 2, "--serving-partitions", PARTITIONS) as service:
        service.load(graph.batches())
        owners = service.connection.get("/cluster/map").json()["owners"]
        asked = owners[0][0]
        away = [v for v in range(graph.vertices) if asked not in owners[partition_of(v, PARTITIONS)]]
        for count in SEEDS:
            seeds = away if count == 1 else range(graph.vertices)
            with Client(asked) as forwarded, Client(asked, direct=True) as straight:
                _check(graph, service, straight, forwarded, seeds, count)
                found: dict[Client, list[Turn]] = {straight: [], forwarded: []}
                for i in range(rounds):
                    for client, turns in found.items():
                        turns.append(_turn(client, seeds, count, seconds, i, service.processes["serve"]))
            rows += _rows(graph, count, found[straight], found[forwarded])
            print(f"measured: {count} seeds", file=sys.stderr)
    return rows


def _turn(client: Client, seeds: Sequence[int], count: int, seconds: float, seed: int, pids: Sequence[int]) -> Turn:
    random, latencies = Random(seed), []
    before, began = cpu_seconds(pids), time.perf_counter()
    last = began
    while last < began + seconds:
        vids = random.choices(seeds, k=count)
        sent = time.perf_counter()
        if count == 1:
            client.samples(vids[0])
        else:
            client.samples_many(vids)
        last = time.perf_counter()
        latencies.append(1000 * (last - sent))
    return Turn(len(latencies) / (last - began), latencies, (cpu_seconds(pids) - before) / len(latencies) * 1e6)


def _check(graph: Graph, service: Service, straight: Client, forwarded: Client, seeds: Sequence[int], count: int) -> None:
    """Compare answers of the service with the oracle, and of both clients with each other."""
    random = Random(99)
    for _ in range(CHECKED):
        vids = random.choices(seeds, k=count)
        message = service.connection.post_json("/samples", {"vids": vids}, headers={"Accept": MEDIA_TYPE}).body
        check_message(graph, vids, message)
        want = [ego.to_dict() for ego in forwarded.samples_many(vids)]
        if [ego.to_dict() for ego in straight.samples_many(vids)] != want:
            raise WrongAnswerError(f"seeds {vids[:3]}…: a client that goes straight is answered something else")


def _rows(graph: Graph, count: int, ours: list[Turn], floor: list[Turn]) -> list[Row]:
    what = f"straight to the owners, {count} seed{'s' * (count > 1)} a request, {graph.shape}; floor: forwarded"
    ratio = median(a.rate / b.rate for a, b in zip(ours, floor, strict=True))
    rows = [Row(what, "requests/s", median(t.rate for t in ours), median(t.rate for t in floor), ratio)]
    for percent in (50, 99):
        p, q = _quantile(ours, percent), _quantile(floor, percent)
        rows.append(Row(f"  p{percent}", "ms", p, q, q / p))
    cpu, more = min(t.cpu_us for t in ours), min(t.cpu_us for t in floor)
    rows.append(Row("  CPU time of both frontends", "µs/request", cpu, more, more / cpu))
    return rows


def _quantile(turns: list[Turn], percent: int) -> float:
    """Return the middle of the turns' quantiles."""
    return median(float(np.percentile(t.latencies, percent)) for t in turns)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.direct", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="only show that it works")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    vertices, rounds, seconds = (300, 1, 0.5) if arguments.tiny else (VERTICES, 5, 4.0)
    machine = this_machine()
    try:
        rows = measure(Graph(SHAPE, vertices), rounds, seconds)
    except WrongAnswerError as e:
        sys.exit(f"a wrong answer, so no figure counts: {e}")
    print_table(rows, machine)
    write_json(rows, machine, arguments.results / "direct.json")


if __name__ == "__main__":
    main()
