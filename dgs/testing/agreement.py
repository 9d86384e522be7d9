"""What must hold between machines that are at rest: needs equal a recount, and both sides of a subscription know of it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dgs.core.kernels.replica import NONE, PENDING
from dgs.core.partition import partition_of
from dgs.sampler.state import SamplerState
from dgs.serving.state import ServingState


def check_needs(serving: ServingState, samplers: Sequence[SamplerState]) -> None:
    """Check a serving partition against the samplers of all record partitions.

    Raises:
        AssertionError: says what does not agree.
    """
    recount = _recount(serving)
    for number, rows in serving.rows.items():
        index = serving.vertices[rows.operator.vtype]
        fed = serving.fed(rows.operator, index.ids[: len(rows.needs)])
        for v in range(1, min(len(rows.needs), index.used)):
            if fed[v]:
                continue
            vertex, need, state = int(index.ids[v]), int(rows.needs[v]), int(rows.states[v])
            where = f"serving partition {serving.partition}, operator {number}, vertex {vertex}"
            assert need == recount[number, v], f"{where}: a need of {need}, a recount gives {recount[number, v]}"
            assert state != PENDING, f"{where}: the row never came"
            assert need == 0 or state != NONE, f"{where}: a need of {need}, and nobody has subscribed"
            owner = samplers[partition_of(vertex, len(samplers))]
            feeds = _feeds(owner, number, vertex, serving.partition)
            assert feeds == (state != NONE), f"{where}: subscribed here: {state != NONE}, at the sampler: {feeds}"


def _recount(serving: ServingState) -> Counter[tuple[int, int]]:
    """Count by operator and vertex row how many slots name it."""
    count: Counter[tuple[int, int]] = Counter()
    for rows in serving.rows.values():
        if rows.table is None:
            continue
        for row in rows.table.row_of[rows.table.row_of > 0]:
            base = row * rows.table.fanout
            for slot in rows.table.slots[base : base + rows.table.counts[row]]:
                for child in rows.operator.children:
                    if serving.rows[child].operator.vtype == slot["dst_type"]:
                        count[child, int(slot["place"])] += 1
    return count


def _feeds(sampler: SamplerState, operator: int, vertex: int, partition: int) -> bool:
    """Whether a sampler sends a row to a serving partition that has asked for it."""
    rows = sampler.rows[operator]
    at = int(sampler.vertices[rows.operator.vtype].find(np.array([vertex], np.int64))[0])
    mask = rows.subscribers.reserve(at + 1)[at, partition >> 6]
    return bool(int(mask) >> (partition & 63) & 1)
