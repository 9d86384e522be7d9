"""Checks answers while they are measured: a binary answer, decoded by protobuf, against the oracle, row by row.

The walk that makes an answer is not used here; what is compared is every row of the merged graph, every edge's attributes and every
vertex's record.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dgs.testing.oracle import Oracle
from dgs.wire.samples_pb2 import Samples
from perf.graph import Graph

Rows = dict[int, dict[int, list[tuple[int, int, float]]]]
"""By plan node and source: destination, timestamp and weight of its edges, best first."""


class WrongAnswerError(Exception):
    """An answer is not what the oracle says; no figure of such a run counts."""


def check_message(graph: Graph, seeds: Sequence[int], message: bytes, oracle: Oracle | None = None) -> None:
    """Compare one answer with the oracle.

    Args:
        graph: that the service has been loaded with.
        seeds: what was asked, in order.
        message: a `Samples` message.
        oracle: of the graph, if there is one that knows these seeds.

    Raises:
        WrongAnswerError: it is something else.
    """
    found_rows, found_vectors, asked = _found(message)
    if asked != list(seeds):
        raise WrongAnswerError(f"asked for {list(seeds)[:3]}…, answered are {asked[:3]}…")
    rows, vectors = _expected(graph, oracle or graph.oracle(seeds), seeds)
    for what, found, expected in (("edges", found_rows, rows), ("features", found_vectors, vectors)):
        if found != expected:
            raise WrongAnswerError(f"seeds {list(seeds)[:3]}…: {what} differ: {_first_difference(found, expected)}")


def check_all(graph: Graph, answers: Iterable[tuple[Sequence[int], bytes]], later: int = 0) -> int:
    """Check answers (seeds and message of each), so many of `Graph.later` being loaded; return how many there were.

    Raises:
        WrongAnswerError: one is wrong, or there are none, which proves nothing.
    """
    answers = list(answers)
    if not answers:
        raise WrongAnswerError("no answer was kept to be checked")
    oracle = graph.oracle({seed for seeds, _ in answers for seed in seeds}, later)
    for seeds, message in answers:
        check_message(graph, seeds, message, oracle)
    return len(answers)


def _expected(graph: Graph, oracle: Oracle, seeds: Iterable[int]) -> tuple[Rows, dict[str, dict[int, Any]]]:
    rows: Rows = defaultdict(dict)
    vectors: dict[str, dict[int, Any]] = {t.name: {} for t in graph.schema.vertex_types.values()}
    names = {vtype: t.name for vtype, t in graph.schema.vertex_types.items()}
    for seed in dict.fromkeys(seeds):
        expected = oracle.ego_graph(graph.query, seed)
        for node, own in expected.rows.items():
            for source, slots in own.items():
                rows[node][source] = [(s.dst, s.timestamp, dict(s.attributes)["weight"]) for s in slots]
        for (vtype, vertex), record in expected.vertices.items():
            vectors[names[vtype]][vertex] = dict(record[1])["vec"] if record else None
    return dict(rows), vectors


def _found(message: bytes) -> tuple[Rows, dict[str, dict[int, Any]], list[int]]:
    samples = Samples.FromString(message)
    rows: Rows = defaultdict(lambda: defaultdict(list))
    vectors: dict[str, dict[int, Any]] = defaultdict(dict)
    asked: dict[int, int] = {}
    for graph in samples.graphs:
        asked |= zip(np.frombuffer(graph.asked, "<u4").tolist(), np.frombuffer(graph.seeds, "<i8").tolist(), strict=True)
        ids: dict[str, list[int]] = {}
        for vertices in graph.vertices:
            own = ids[vertices.type] = np.frombuffer(vertices.ids, "<i8").tolist()
            known = np.frombuffer(vertices.known, np.int8).tolist()
            column = next(c for c in vertices.columns if c.name == "vec")
            values = np.frombuffer(column.values, "<f4").reshape(len(own), -1) if own else np.zeros((0, 0), np.float32)
            for vertex, is_known, value in zip(own, known, values.tolist(), strict=True):
                vectors[vertices.type][vertex] = tuple(value) if is_known == 1 else None
        for edges in graph.edges:
            weight = next(c for c in edges.columns if c.name == "weight")
            of_graph: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
            columns = [(edges.src, "<u4"), (edges.dst, "<u4"), (edges.timestamps, "<i8"), (weight.values, "<f4")]
            for src, dst, timestamp, w in zip(*(np.frombuffer(d, t).tolist() for d, t in columns), strict=True):
                of_graph[ids[edges.src_type][src]].append((ids[edges.dst_type][dst], timestamp, w))
            rows[edges.operator] |= of_graph  # a row that two graphs share is the same in both
    return {n: dict(own) for n, own in rows.items() if own}, dict(vectors), [asked[i] for i in sorted(asked)]


def _first_difference(found: Any, expected: Any) -> str:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted({*found, *expected}):
            if found.get(key) != expected.get(key):
                return f"{key}: {_first_difference(found.get(key), expected.get(key))}"
    return f"{str(found)[:120]} instead of {str(expected)[:120]}"
