"""`python -m perf`, or `make perf`: every measurement in one run, as a table, a JSON file and plots."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perf import footprint, http, ingest, inprocess, loading
from perf.check import WrongAnswerError
from perf.graph import Graph, Shape
from perf.machine import this_machine
from perf.report import Aim, Row, print_table, write_json
from perf.service import Service

RESULTS = Path(__file__).parent / "results"
NARROW, USUAL, WIDE = Shape(10, 5, 10), Shape(10, 5, 64), Shape(25, 10, 64)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: the graph's vertices of a type, edges of the ingest, and rounds and seconds of everything."""

    vertices: int = 20_000
    edges: int = 600_000
    rounds: int = 4
    seconds: float = 2.0
    loading_s: float = 5.0
    reads_per_s: float = 500.0
    in_process: tuple[Shape, ...] = (USUAL, WIDE)
    http: tuple[Shape, ...] = (NARROW, USUAL)


TINY = Scale(300, 6_000, 1, 0.1, 0.5, 100.0, (NARROW,), (USUAL,))
"""Shows that it works; the figures mean nothing."""

RATE, CORE_RATE = Aim(least=0.7), Aim(least=8_000, of_ratio=False)
SEEDS_RATE, BATCH_RATE = Aim(least=30_000, of_ratio=False), Aim(least=0.6)


def in_process(scale: Scale) -> Iterator[Row]:
    """Requests without HTTP."""
    for shape in scale.in_process:
        graph = Graph(shape, scale.vertices)
        yield from inprocess.measure(graph, inprocess.build(graph), rounds=scale.rounds, seconds=scale.seconds)


def over_http(scale: Scale) -> Iterator[Row]:
    """Requests over HTTP, and what the graph takes."""
    for shape in scale.http:
        graph = Graph(shape, scale.vertices)
        with Service(graph, "--serving-partitions", 1) as service:
            if shape == USUAL:
                yield from footprint.measure(graph, inprocess.build(graph), service)
            else:
                service.load(graph.batches())
            for seeds, aims in ((1, {"rate": RATE}), (inprocess.SEEDS, {"rate": BATCH_RATE if shape == USUAL else None})):
                aims |= {"samples": SEEDS_RATE if shape == NARROW else None, "core": CORE_RATE if shape == NARROW else None}
                yield from http.measure(graph, service, seeds, rounds=scale.rounds, seconds=scale.seconds, aims=aims)


def while_loading(scale: Scale) -> Iterator[Row]:
    """Ingest; then the stream of updates at its peak, and updates and reads at half of that."""
    yield from ingest.measure(scale.edges, min(2, scale.rounds))
    graph = Graph(NARROW, scale.vertices)
    with Service(graph) as service:
        service.load(graph.batches())
        peak, written = loading.peak(graph, service, seconds=scale.seconds)
        yield peak
        yield from loading.measure(
            graph,
            service,
            edges_per_s=peak.ours / 2,
            reads_per_s=scale.reads_per_s,
            rounds=min(2, scale.rounds),
            seconds=scale.loading_s,
            written=written,
        )


PARTS: dict[str, Callable[[Scale], Iterator[Row]]] = {"inprocess": in_process, "http": over_http, "loading": while_loading}


def run(scale: Scale, parts: list[str], results: Path) -> list[Row]:
    """Measure, print and write.

    Raises:
        WrongAnswerError: an answer is not the oracle's; then nothing is written.
    """
    machine = this_machine()
    rows = []
    for part in parts:
        for row in PARTS[part](scale):
            print(f"measured: {row.work.strip()}", file=sys.stderr)
            rows.append(row)
    print_table(rows, machine)
    write_json(rows, machine, results / "figures.json")
    from perf.plot import plot_rows  # takes a second, and the figures are safe by now

    for path in plot_rows(rows, results):
        print(f"plot: {path}", file=sys.stderr)
    return rows


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure; everything unless named")
    parser.add_argument("--tiny", action="store_true", help="only show that it works, in half a minute")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where figures and plots go")
    arguments = parser.parse_args()
    try:
        run(TINY if arguments.tiny else Scale(), arguments.parts or list(PARTS), arguments.results)
    except WrongAnswerError as e:
        sys.exit(f"a wrong answer, so no figure counts: {e}")


if __name__ == "__main__":
    main()
