"""Requests in process, without HTTP: the lookup of a serving partition against a compiled gather of the same rows.

Both machines are built here in one process and fed with the whole graph; ours and the floor take turns.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dgs.codec.entries import BlockPack, RequestPack, decode_entry, encode_blocks, encode_records, encode_requests
from dgs.core.control import INSTALL, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.types import Int32s, Int64s, PartitionIndex, Position
from dgs.sampler.machine import Emission as Sampled
from dgs.sampler.machine import SamplerMachine
from dgs.serving.effects import Emission as Asked
from dgs.serving.lookup import Lookup
from dgs.serving.machine import ServingMachine
from dgs.store.memory import MemoryStore
from perf.check import check_all
from perf.floor import Floor
from perf.graph import Graph
from perf.report import Aim, Row

PIECE_BYTES = 1 << 18
POOL = 200
"""Requests that take turns, so that no answer is in a cache only because it has just been given."""
ONE_SEED, MANY_SEEDS = Aim(least=0.35), Aim(least=0.5)
SEEDS = 64


@dataclass(frozen=True, slots=True)
class Machines:
    """A sampler machine and a serving machine that have applied a whole graph."""

    sampler: SamplerMachine
    serving: ServingMachine


def build(graph: Graph) -> Machines:
    """Return both machines after all records of a graph, every entry encoded and decoded as on a bus."""
    deployment = Deployment("perf", 1, 1, 1, graph.schema, idle_items=1 << 30)
    sampler = SamplerMachine(deployment, PartitionIndex(0), MemoryStore())
    serving = ServingMachine(deployment, PartitionIndex(0))
    position = 0

    def deliver(emissions: list[Sampled]) -> list[Asked]:
        asked: list[Asked] = []
        for emission in emissions:
            first = emission.first
            for piece in emission.blocks.pieces(PIECE_BYTES):
                pack = decode_entry(encode_blocks(BlockPack(1, 0, first, piece, None)))
                asked += serving.apply([pack]).emissions
                first += len(piece)
        return asked

    document = {"id": 0, "name": "perf", "plan": graph.query_document()}
    deliver(sampler.apply(ControlItem(1, INSTALL, document), Position(0)))
    for batch in graph.batches():
        position += 1
        waiting = deliver(sampler.apply(decode_entry(encode_records(batch)), Position(position)))
        while waiting:
            asked = waiting.pop(0)
            position += 1
            entry = decode_entry(encode_requests(RequestPack(1, 0, asked.first, asked.requests)))
            waiting += deliver(sampler.apply(entry, Position(position)))
        sampler.cut()
        sampler.committed()
    return Machines(sampler, serving)


def measure(graph: Graph, machines: Machines, *, rounds: int, seconds: float) -> list[Row]:
    """Return the rows for one seed and for many, best of rounds in turns.

    Raises:
        WrongAnswerError: an answer is not the oracle's.
    """
    rows = []
    for seeds, aim in ((1, ONE_SEED), (SEEDS, MANY_SEEDS)):
        rng = np.random.default_rng(seeds)
        pool = [rng.integers(0, graph.vertices, seeds).astype(np.int64) for _ in range(POOL)]
        lookup, query = Lookup(machines.serving.state), machines.serving.state.catalog.operators.query(0)
        assert query is not None, "it was installed"
        asked: Int32s = np.arange(seeds, dtype=np.int32)

        def ours(own: Int64s, lookup: Lookup = lookup, asked: Int32s = asked) -> bytes | memoryview:
            return lookup.graph(query, own, asked)[0]  # noqa: B023 - called in this turn of the loop only

        floor = Floor(graph, seeds)
        kept = [(own.tolist(), bytes(ours(own))) for own in pool[:: POOL // 4]]
        check_all(graph, kept)
        times = _alternate({"ours": ours, "floor": floor.run}, pool, rounds, seconds)
        best, least = min(times["ours"]) * 1e6, min(times["floor"]) * 1e6
        sizes = [len(message) for _, message in kept]
        rows.append(
            Row(
                f"in process, {seeds} seed{'s' * (seeds > 1)}, {graph.shape}",
                "µs",
                best,
                least,
                least / best,
                aim,
                detail={"bytes": int(np.median(sizes)), "checked": len(kept), "seconds": times},
            )
        )
    return rows


def _alternate(
    runs: dict[str, Callable[[Int64s], object]], pool: list[Int64s], rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Return seconds a call by name, one number a round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    calls = {}
    for name, run in runs.items():
        began = time.perf_counter()
        for own in pool[:20]:
            run(own)
        calls[name] = max(20, int(seconds / rounds / (time.perf_counter() - began) * 20))
    for _ in range(rounds):
        for name, run in runs.items():
            n = calls[name]
            began = time.perf_counter()
            for i in range(n):
                run(pool[i % POOL])
            times[name].append((time.perf_counter() - began) / n)
    return times
