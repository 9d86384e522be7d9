"""Recovery and checkpoints: how soon a killed service answers again, and what checkpoints cost those who read and load meanwhile.

A graph is loaded without snapshots, so that the logs stay whole. All processes are killed and started again: without any state,
which replays the logs from their start; from local state; and right after a load, when snapshots are old. What is answered then is
compared with the oracle.

`python -m perf.recovery`, or `make perf-recovery`; `--edges 200000` is a quick check.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from dgs_client.connection import Connection

from dgs.core.errors import DgsError, NotReadyError, UnreachableError
from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from dgs.store.snapshots import SnapshotFolder
from dgs.testing.oracle import Oracle
from perf import client
from perf.check import WrongAnswerError, check_message
from perf.client import Load
from perf.graph import Graph, Shape, edge_records
from perf.machine import this_machine
from perf.report import Aim, Row, print_table, write_json
from perf.service import Service

SHAPE = Shape(10, 10, 10)
KEPT_PER_VERTEX = 20
"""Edges in the rows of a user and an item of `SHAPE`."""
FIRST_S, REPLAY, READS, INGEST = Aim(most=3, of_ratio=False), Aim(least=20), Aim(most=2), Aim(least=0.9)
BATCH = 4096
READ_S_MOST = 20.0
RESULTS = Path(__file__).parent / "results"
_STILL = ("--checkpoint-interval-s", 0)
_ACCEPT = {"accept": "application/x-protobuf"}
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        edges: that the rows keep; there is a tenth as many vertices. As many more are loaded beside checkpoints.
        rounds: of restarts.
        reads_per_s: offered during a checkpoint.
    """

    edges: int = 10_000_000
    rounds: int = 3
    reads_per_s: float = 500.0

    @property
    def checkpoint_interval_s(self) -> float:
        """A minute for the full size, and so much less as there is less to copy."""
        return max(1.0, 60.0 * self.edges / 10_000_000)


@dataclass(frozen=True, slots=True)
class Restart:
    """Seconds from the start of a service to its first answer, to the first that is right, and until a new barrier was READY."""

    first: float
    right: float
    caught_up: float


class _Deployment:
    """A service, and how much of the graph's later edges it has been given."""

    def __init__(self, graph: Graph, service: Service) -> None:
        self.graph = graph
        self.service = service
        self.later = 0
        self._layouts = Layouts(graph.schema)
        self._vids = np.random.default_rng(7).integers(0, graph.vertices, 8).tolist()

    def stretch(self, count: int) -> Iterator[RecordBatch]:
        """Give the next so many of the later edges, which count as loaded from now on."""
        begin, self.later = self.later, self.later + count
        edges = self.graph.later(self.later)
        for at in range(begin, self.later, BATCH):
            yield RecordBatch((edge_records(self._layouts, edges, slice(at, min(at + BATCH, self.later))),))

    def restart(self, *flags: object) -> Restart:
        """Start the service, which was killed, and ask it until it has caught up.

        Raises:
            WrongAnswerError: it has not the oracle's answers by then.
        """
        oracle = self.graph.oracle(self._vids, self.later)
        began = time.monotonic()
        self.service.start(*flags)
        answers: list[tuple[float, bytes]] = []
        with Connection(self.service.server, retry_timeout_s=0) as connection:
            while not answers or "catching_up" in connection.get("/readyz").json():
                try:
                    message = connection.post_json("/samples", {"vids": self._vids}, headers=_ACCEPT).body
                    answers.append((time.monotonic() - began, message))
                except (NotReadyError, UnreachableError):
                    pass
                time.sleep(_POLL_S)
            self.service.settle()
            caught_up = time.monotonic() - began
            answers.append((caught_up, connection.post_json("/samples", {"vids": self._vids}, headers=_ACCEPT).body))
        self.service.until_ready()
        return Restart(answers[0][0], self._first_right(answers, oracle), caught_up)

    def _first_right(self, answers: list[tuple[float, bytes]], oracle: Oracle) -> float:
        for seconds, message in answers[:-1]:
            try:
                check_message(self.graph, self._vids, message, oracle)
            except WrongAnswerError:  # from before it had caught up, which it says
                continue
            return seconds
        check_message(self.graph, self._vids, answers[-1][1], oracle)
        return answers[-1][0]

    def forget(self) -> None:
        """Remove all states, while the service does not run; the logs stay."""
        for own in ("sampler", "serving"):
            shutil.rmtree(self.service.state / own, ignore_errors=True)

    def until_snapshots(self) -> None:
        """Wait until each serving partition has a snapshot, nothing being loaded."""
        folders = [SnapshotFolder(self.service.state / "serving" / str(s)) for s in range(2)]
        while not all(folder.files() for folder in folders):
            time.sleep(_POLL_S)

    def begin_checkpoint(self) -> str:
        """Begin to create a checkpoint; return its id."""
        return str(self.service.connection.post_json("/checkpoints", {}).json()["id"])

    def checkpoint(self, name: str) -> dict[str, Any]:
        """Wait for a checkpoint; return its facts.

        Raises:
            DgsError: it has failed.
        """
        while (found := self.service.connection.get(f"/checkpoints/{name}").json())["state"] == "CREATING":
            time.sleep(_POLL_S)
        if found["state"] != "COMPLETE":
            raise DgsError(f"no checkpoint: {found['reason']}")
        facts: dict[str, Any] = found["checkpoint"]
        return facts


def measure(size: Size) -> Iterator[Row]:
    """Yield all rows.

    Raises:
        WrongAnswerError: an answer is not the oracle's.
    """
    graph = Graph(SHAPE, size.edges // KEPT_PER_VERTEX)
    with Service(graph, "--snapshot-interval-s", 0, *_STILL) as service:
        deployment = _Deployment(graph, service)
        service.load(graph.batches(BATCH))
        yield from _restarts(deployment, size)
        yield from _checkpoints(deployment, size)
        yield from _ingest(deployment, size)
        yield from _in_the_middle(deployment, size)


def _restarts(deployment: _Deployment, size: Size) -> Iterator[Row]:
    """Kill the service and start it without state, and then with; both have all that was loaded in the end."""
    service = deployment.service
    service.kill()
    deployment.forget()
    replay = deployment.restart("--snapshot-interval-s", 1, *_STILL)
    deployment.until_snapshots()
    found = []
    for _ in range(size.rounds):
        service.kill()
        found.append(deployment.restart(*_STILL))
    first, right, caught_up = (median(getattr(r, name) for r in found) for name in ("first", "right", "caught_up"))
    what = f"{2 * deployment.graph.vertices:,} vertices and {size.edges:,} kept edges"
    yield Row(f"kill -9, {what}: first answer", "s", first, replay.first, aim=FIRST_S)
    yield Row("  first right answer; floor: replay of the logs", "s", right, replay.right, replay.right / right, REPLAY)
    yield Row("  all caught up; floor: replay of the logs", "s", caught_up, replay.caught_up, replay.caught_up / caught_up)


def _checkpoints(deployment: _Deployment, size: Size) -> Iterator[Row]:
    """Create checkpoints beside reads, and another one after a hundredth of the edges have changed."""
    service = deployment.service
    full = deployment.checkpoint(deployment.begin_checkpoint())
    load = Load(service.port, deployment.graph.vertices, 1, min(READ_S_MOST, full["duration_s"]), rate=size.reads_per_s, keep=0)
    turns = []
    for _ in range(size.rounds):
        # With its destination gone, the next one is as full.
        shutil.rmtree(service.state / "checkpoints")
        alone = client.run(load)
        again = deployment.begin_checkpoint()
        turns.append((client.run(load), alone))
        deployment.checkpoint(again)
    changed = size.edges // 100
    service.load(deployment.stretch(changed))
    later = deployment.checkpoint(deployment.begin_checkpoint())
    for what, facts in ((f"a full checkpoint, {full['bytes'] / 1e6:,.0f} MB", full), (f"  another after {changed:,} edges", later)):
        yield Row(f"{what}, {facts['sent_bytes'] / 1e6:,.0f} MB sent", "s", facts["duration_s"], detail=facts)
    turns.sort(key=lambda turn: turn[0].p99_ms / turn[1].p99_ms)
    beside, alone = turns[len(turns) // 2]
    ratio, latencies = beside.p99_ms / alone.p99_ms, beside.latencies(size.reads_per_s)
    detail = {"p99 ms, during and without": [(during.p99_ms, without.p99_ms) for during, without in turns]}
    yield Row(
        f"reads during a full checkpoint, {SHAPE}: p99", "ms", beside.p99_ms, alone.p99_ms, ratio, READS, latencies, detail=detail
    )


def _ingest(deployment: _Deployment, size: Size) -> Iterator[Row]:
    """Load beside checkpoints, of which one begins with the load, and without, in turns."""
    service, count, interval_s = deployment.service, size.edges // 2, size.checkpoint_interval_s
    turns = []
    for _ in range(size.rounds):
        rates = []
        for own in (interval_s, 0):
            service.kill()
            deployment.restart("--checkpoint-interval-s", own)
            if own:
                deployment.begin_checkpoint()
            rates.append(count / service.load(deployment.stretch(count)))
        turns.append(rates)
    turns.sort(key=lambda turn: turn[0] / turn[1])
    beside, without = turns[len(turns) // 2]
    work = f"ingest with a checkpoint every {interval_s:g} s; floor: without"
    yield Row(work, "edges/s", beside, without, beside / without, INGEST, detail={"edges/s, with and without": turns})


def _in_the_middle(deployment: _Deployment, size: Size) -> Iterator[Row]:
    """Kill the service as soon as a load is served; its snapshots are old, and a part of the log is to be read again."""
    deployment.service.load(deployment.stretch(size.edges // 20))
    deployment.service.kill()
    found = deployment.restart(*_STILL)
    yield Row("kill -9 right after a load: first answer", "s", found.first, aim=FIRST_S)
    yield Row("  first right answer", "s", found.right)
    yield Row("  all caught up", "s", found.caught_up)


def run(size: Size, results: Path) -> list[Row]:
    """Measure, print and write; errors as `measure`."""
    machine = this_machine()
    rows = []
    for row in measure(size):
        print(f"measured: {row.work.strip()}: {row.ours:,.2f} {row.unit}", file=sys.stderr)
        rows.append(row)
    print_table(rows, machine)
    write_json(rows, machine, results / "recovery.json")
    return rows


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.recovery", description=__doc__)
    parser.add_argument("--edges", type=int, default=Size().edges, help="kept in rows; there is a tenth as many vertices")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    try:
        run(Size(arguments.edges), arguments.results)
    except WrongAnswerError as e:
        sys.exit(f"a wrong answer, so no figure counts: {e}")


if __name__ == "__main__":
    main()
