"""What the slots of a serving partition's rows need: counting it, subscribing to it, and letting go of what nothing needs.

Functions over the state; the machine calls `account` after every run of blocks and `sweep` between runs.
"""

from typing import NamedTuple

import numpy as np

from dgs.core.kernels.replica import NONE, PENDING, count_needs, release
from dgs.core.partition import partitions_of
from dgs.core.requests import REQUEST, SUBSCRIBE, UNSUBSCRIBE
from dgs.core.types import Int8s, Int32s, Int64s
from dgs.serving.effects import Effects
from dgs.serving.state import Rows, ServingState


class Deltas(NamedTuple):
    """Slots that came (+1) or went (-1): row and type of the destination, and the item that did it."""

    rows: Int32s
    types: Int32s
    signs: Int8s
    items: Int32s


def account(state: ServingState, deltas: dict[int, Deltas], effects: Effects) -> None:
    """Count what the slots of a run need, and subscribe to rows that are needed and neither fed nor subscribed."""
    wanted: list[tuple[Rows, Int32s, Int32s]] = []
    for rows in state.rows.values():
        above = [d for number, d in deltas.items() if rows.operator.id in state.rows[number].operator.children]
        if above:
            found, items = _count(state, rows, above)
            if len(found):
                wanted.append((rows, found, items))
    if not wanted:
        return
    operators = np.concatenate([np.full(len(found), rows.operator.id, np.int64) for rows, found, _ in wanted])
    ids = np.concatenate([state.vertices[rows.operator.vtype].ids[found] for rows, found, _ in wanted])
    items = np.concatenate([items for _, _, items in wanted])
    numbers = _request(state, SUBSCRIBE, operators, ids, np.lexsort((ids, operators, items)), effects)
    at = 0
    for rows, found, _ in wanted:
        rows.numbers[found] = numbers[at : at + len(found)]
        at += len(found)


def _count(state: ServingState, rows: Rows, above: list[Deltas]) -> tuple[Int32s, Int32s]:
    """Return which rows of an operator are to be subscribed to, and the item that led to each."""
    vtype = rows.operator.vtype
    vertices, signs, items = (np.concatenate(c) for c in zip(*((d.rows, d.signs, d.items) for d in above), strict=True))
    here = np.concatenate([d.types for d in above]) == vtype
    if not here.all():
        vertices, signs, items = vertices[here], signs[here], items[here]
    if len(above) > 1:
        order = np.argsort(items, kind="stable")
        vertices, signs, items = vertices[order], signs[order], items[order]
    index = state.vertices[vtype]
    rows.reserve(index.used, 0)
    if rows.image is not None:
        rows.image.preserve_needs(vertices)
    fed = state.fed(rows.operator, index.ids[vertices]) if rows.operator.fed else np.zeros(len(vertices), np.int32)
    wanted, wanted_items, idle = (np.empty(len(vertices), np.int32) for _ in range(3))
    sizes = np.zeros(2, np.int64)
    count_needs(
        vertices,
        signs,
        items,
        state.applied,
        fed,
        rows.needs,
        rows.states,
        rows.idle_since,
        wanted,
        wanted_items,
        idle,
        sizes,
    )
    if sizes[1]:
        rows.idle.append(idle[: sizes[1]].copy())
    rows.pending += int(sizes[0])
    return wanted[: sizes[0]], wanted_items[: sizes[0]]


def _request(state: ServingState, kind: int, operators: Int64s, ids: Int64s, order: Int64s, effects: Effects) -> Int64s:
    """Emit one request a row, in the given order, to the partitions that own the vertices; return the number of each."""
    requests = np.zeros(len(ids), REQUEST)
    requests["kind"], requests["operator"], requests["vertex"] = kind, operators, ids
    owners = partitions_of(np.ascontiguousarray(ids), state.deployment.partitions)
    numbers: Int64s = np.zeros(len(ids), np.int64)
    for p in np.unique(owners).tolist():
        own = order[owners[order] == p]
        first = effects.emit(state, p, requests[own])
        numbers[own] = np.arange(first, first + len(own))
    return numbers


def sweep(state: ServingState, effects: Effects) -> None:
    """Unsubscribe from rows that nothing has needed for long enough, and drop them, in key order."""
    dropped: list[tuple[Rows, Int32s]] = []
    since = state.applied - state.deployment.idle_items
    for rows in state.rows.values():
        if not rows.idle:
            continue
        candidates = np.unique(np.concatenate(rows.idle))
        candidates = candidates[(rows.needs[candidates] == 0) & (rows.states[candidates] != NONE)]
        due = rows.idle_since[candidates] <= since
        rows.idle = [candidates[~due]] if not due.all() else []
        vertices = candidates[due]
        if len(vertices):
            vertices = vertices[np.argsort(state.vertices[rows.operator.vtype].ids[vertices])]
            dropped.append((rows, vertices))
    if not dropped:
        return
    operators = np.concatenate([np.full(len(v), rows.operator.id, np.int64) for rows, v in dropped])
    ids = np.concatenate([state.vertices[rows.operator.vtype].ids[v] for rows, v in dropped])
    _request(state, UNSUBSCRIBE, operators, ids, np.arange(len(ids)), effects)
    deltas = {rows.operator.id: _drop(state, rows, vertices) for rows, vertices in dropped}
    account(state, {number: d for number, d in deltas.items() if len(d.rows)}, effects)


def _drop(state: ServingState, rows: Rows, vertices: Int32s) -> Deltas:
    if rows.image is not None:
        rows.image.preserve(vertices)
    rows.pending -= int(np.count_nonzero(rows.states[vertices] == PENDING))
    rows.states[vertices] = NONE
    rows.numbers[vertices] = 0
    n, table, records = 0, rows.table, rows.records
    if records is not None:
        records.known[vertices] = 0
        records.timestamps[vertices] = 0
        records.payload[vertices] = 0
    types = went = np.zeros(0, np.int32)
    if table is not None:
        went = np.empty(len(vertices) * table.fanout, np.int32)
        types = np.empty_like(went)
        n = release(vertices, table.fanout, table.row_of, table.counts, table.slots, table.free, table.cursors, went, types)
    # Item -1 of the run to come is the last item applied, which is when the rows below lose what needed them.
    return Deltas(went[:n], types[:n], np.full(n, -1, np.int8), np.full(n, -1, np.int32))
