"""The floor of a request in process: a compiled gather of the same de-duplicated rows, edges and features, and nothing else.

It has arrays in place of everything that a service needs: vertex ids are places in them, every row is full, nothing is written as
a message. It is compiled as the service's kernels are, so the ratio says what the rest costs.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from dgs.core.types import AnyArray, Int64s
from perf.graph import ITEM, USER, Graph


class Floor:
    """The gather over a graph of a shape, whose rows hold other neighbours than the service's, but as many."""

    def __init__(self, graph: Graph, seeds_most: int) -> None:
        shape, n, rng = graph.shape, graph.vertices, np.random.default_rng(graph.seed + 2)
        self._shape = shape
        rows: list[AnyArray] = []
        for fanout in (shape.first, shape.second):
            rows += [rng.integers(0, n, (n, fanout)).astype(np.int32), np.full(n, fanout, np.int32)]
            rows += [rng.integers(0, n, (n, fanout)), rng.random((n, fanout), np.float32)]
        self._rows = rows
        self._features = (graph.features[USER].copy(), graph.features[ITEM].copy())
        self._marks = [np.zeros(n, np.int32) for _ in range(4)]
        self._stamp = 0
        self.run(np.zeros(seeds_most, np.int64))  # compiled before anything is measured

    def run(self, seeds: Int64s) -> tuple[int, int, int, int]:
        """Gather for seeds, int64 [s]; return how many users, items, and edges of both hops there are."""
        shape, k = self._shape, len(seeds)
        first = k * shape.first
        second = first * shape.second
        self._stamp += 1
        gather: Callable[..., tuple[int, int, int, int]] = _gather
        return gather(
            seeds,
            *self._rows,
            *self._features,
            *self._marks,
            self._stamp,
            np.empty(k, np.int64),
            np.empty(first + second, np.int64),
            np.empty((k, shape.dim), np.float32),
            np.empty((first + second, shape.dim), np.float32),
            *_edges(first),
            *_edges(second),
        )


def _edges(n: int) -> tuple[Any, ...]:
    return np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.float32)


@numba.njit(nogil=True, cache=True)
def _gather(  # type: ignore[no-untyped-def]
    seeds,
    to1,
    count1,
    time1,
    weight1,
    to2,
    count2,
    time2,
    weight2,
    user_features,
    item_features,
    user_stamp,
    user_place,
    item_stamp,
    item_place,
    stamp,
    users,
    items,
    user_rows,
    item_rows,
    src1,
    dst1,
    times1,
    weights1,
    src2,
    dst2,
    times2,
    weights2,
):
    user_n = 0
    for v in seeds:
        if user_stamp[v] != stamp:
            user_stamp[v], user_place[v], users[user_n] = stamp, user_n, v
            user_n += 1
    item_n, first = 0, 0
    for a in range(user_n):
        v = users[a]
        for j in range(count1[v]):
            w = to1[v, j]
            if item_stamp[w] != stamp:
                item_stamp[w], item_place[w], items[item_n] = stamp, item_n, w
                item_n += 1
            src1[first], dst1[first], times1[first], weights1[first] = a, item_place[w], time1[v, j], weight1[v, j]
            first += 1
    frontier, second = item_n, 0
    for a in range(frontier):
        v = items[a]
        for j in range(count2[v]):
            w = to2[v, j]
            if item_stamp[w] != stamp:
                item_stamp[w], item_place[w], items[item_n] = stamp, item_n, w
                item_n += 1
            src2[second], dst2[second], times2[second], weights2[second] = a, item_place[w], time2[v, j], weight2[v, j]
            second += 1
    for a in range(user_n):
        user_rows[a] = user_features[users[a]]
    for a in range(item_n):
        item_rows[a] = item_features[items[a]]
    return user_n, item_n, first, second
