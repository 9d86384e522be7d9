"""The service on Kafka beside the same service on its local bus: how fast it takes updates, and how soon they show.

`python -m perf.kafka`, or `make perf-kafka`. One broker on this host, so it shares the cores with all that is measured; both kinds
take turns. Needs Java and Maven, which bring the broker (tests/kafka).
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from perf import loading
from perf.check import WrongAnswerError
from perf.graph import Graph, Shape
from perf.machine import this_machine
from perf.report import Aim, Row, print_table, write_json
from perf.service import Service
from tests.kafka.cluster import Cluster

RESULTS = Path(__file__).parent / "results"
SHAPE, VERTICES = Shape(10, 5, 10), 20_000
VISIBLE_MS = Aim(most=100, of_ratio=False)
LOCAL, KAFKA = "local", "Kafka"
SHARES = (0.5, 0.2)
"""Of the peak, at which updates are watched."""
SIZE = ("--samplers", 1)
"""Of the service; the broker has a core of its own then."""


class Measured:
    """What the rounds of one kind of bus have shown."""

    def __init__(self) -> None:
        self.bulk: list[float] = []
        self.peak: list[float] = []
        self.visible: list[Row] = []


@contextmanager
def broker() -> Iterator[Cluster]:
    """Give a running broker."""
    with tempfile.TemporaryDirectory(prefix="dgs-perf-kafka-") as folder:
        cluster = Cluster.made(Path(folder) / "cluster", 1)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def measure(graph: Graph, cluster: Cluster, rounds: int, seconds: float) -> list[Row]:
    """Return the rows, Kafka's beside the local bus's."""
    found = {LOCAL: Measured(), KAFKA: Measured()}
    for i in range(rounds):
        for kind, own in found.items():
            flags = SIZE if kind == LOCAL else (*SIZE, "--bus", cluster.url(f"round-{i}"))
            with Service(graph, *flags) as service:
                batches = list(graph.batches())
                edges = sum(len(batch) for batch in batches)
                own.bulk.append(edges / service.load(batches))
                peak, written = loading.peak(graph, service, seconds=seconds)
                own.peak.append(peak.ours)
                # Both are offered the same: a share of what Kafka has taken, or in the first turn the local bus.
                most = min(own.peak[-1], *(found[KAFKA].peak or [peak.ours]))
                for share in SHARES:
                    streams = loading.Streams(graph, service, most * share, written)
                    own.visible += loading.visible(graph, service, streams, 1, seconds)
                    written = streams.written
            print(f"measured: {kind}, round {i + 1} of {rounds}", file=sys.stderr)
    ours, floor = found[KAFKA], found[LOCAL]
    rows = [
        _beside("records loaded in bulk, until servable", "records/s", ours.bulk, floor.bulk),
        _beside("the stream of updates alone, at its peak", "edges/s", ours.peak, floor.peak),
    ]
    kinds = len(ours.visible) // rounds
    for at in range(kinds):
        rows.append(_latency(ours.visible[at::kinds], floor.visible[at::kinds]))
    return rows


def _beside(work: str, unit: str, ours: list[float], floor: list[float]) -> Row:
    ratio = median(a / b for a, b in zip(ours, floor, strict=True))
    return Row(work, unit, median(ours), median(floor), ratio, detail={"ours": ours, "floor": floor})


def _latency(ours: list[Row], floor: list[Row]) -> Row:
    middle = sorted(ours, key=lambda row: row.ours)[len(ours) // 2]
    ratio = median(a.ours / b.ours for a, b in zip(ours, floor, strict=True))
    aim = VISIBLE_MS if middle.aim is not None else None
    return Row(middle.work, middle.unit, middle.ours, median(r.ours for r in floor), ratio, aim, middle.latencies)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.kafka", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="only show that it works")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    vertices, rounds, seconds = (300, 1, 1.0) if arguments.tiny else (VERTICES, 3, 5.0)
    machine = this_machine()
    try:
        with broker() as cluster:
            rows = measure(Graph(SHAPE, vertices), cluster, rounds, seconds)
    except WrongAnswerError as e:
        sys.exit(f"a wrong answer, so no figure counts: {e}")
    print_table(rows, machine)
    write_json(rows, machine, arguments.results / "kafka.json")


if __name__ == "__main__":
    main()
