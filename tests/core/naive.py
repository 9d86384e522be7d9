"""Naive twins of reservoirs and blocks: everything is sorted anew, blocks are applied to plain lists."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dgs.core.blocks import Blocks
from dgs.core.layout import Layout
from dgs.core.operators import Operator
from dgs.core.partition import mix
from dgs.core.strategies import NEVER, order, tie
from dgs.core.types import Records


class Edge(NamedTuple):
    """An edge that is offered; `label` changes its payload and never its score."""

    vertex: int
    dst: int
    dst_type: int
    timestamp: int
    weight: float | None
    label: int


class Slot(NamedTuple):
    """A slot of a row, best first by its first fields."""

    score: int
    tie: int
    dst: int
    dst_type: int
    timestamp: int
    payload: bytes


Row = tuple[Slot, ...]


def payload_of(layout: Layout, edges: list[Edge]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Pack edges' attributes: the weight, and the label as a reference to a text."""
    present = np.array([e.weight is not None for e in edges], np.bool_)
    weights = np.array([e.weight or 0.0 for e in edges])
    packed: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = layout.pack(
        len(edges), {"weight": (weights, present), "title": (np.array([e.label for e in edges], np.uint64), None)}
    )
    return packed


class NaiveRows:
    """All edges ever offered to an operator; any row by sorting them."""

    def __init__(self, operator: Operator, ids: list[int]) -> None:
        self.operator = operator
        self.ids = ids
        self.edges: dict[int, dict[tuple[int, int, int], Edge]] = defaultdict(dict)

    def offer(self, edge: Edge) -> None:
        """Take an edge; the same identity again replaces it."""
        self.edges[edge.vertex][edge.dst, edge.dst_type, edge.timestamp] = edge

    def row(self, vertex: int, layout: Layout) -> Row:
        """Return the sample of a vertex."""
        o, slots = self.operator, []
        for e in self.edges[vertex].values():
            h = tie(o.digest, self.ids[vertex], e.dst, e.timestamp)
            score = order(o.strategy, h, e.timestamp, 1.0 if e.weight is None else e.weight, o.half_life)
            if score != NEVER or not o.strategy.weighted:
                slots.append(Slot(score, h, e.dst, e.dst_type, e.timestamp, payload_of(layout, [e]).tobytes()))
        return tuple(sorted(slots, reverse=True)[: o.fanout])


def checksum(row: Row) -> int:
    """The checksum that a block of this row carries."""
    c = len(row)
    for slot in row:
        c = mix(mix(c ^ slot.score) ^ slot.tie)
    return c


class Told(NamedTuple):
    """A block as plain values; additions by place."""

    head: Records
    additions: dict[int, Slot]
    removals: list[int]

    def applied(self, old: Row) -> Row:
        """Take the old row less the removed places, put the additions at their places, fill the rest in order, cut at `count`."""
        kept = [slot for i, slot in enumerate(old) if i not in self.removals]
        filled = [self.additions.get(i) or kept.pop(0) for i in range(int(self.head["count"]))]
        return tuple(filled)


def told(blocks: Blocks) -> Iterator[Told]:
    """Take a run of blocks apart."""
    a = r = p = 0
    for head in blocks.heads:
        added, removed, size = int(head["added"]), int(head["removed"]), int(head["payload_bytes"])
        width = size // added if added else 0
        slots = {}
        for i in range(added):
            s = blocks.additions[a + i]
            at = p + i * width
            payload = blocks.payload[at : at + width].tobytes()
            slots[int(s["place"])] = Slot(
                int(s["score"]), int(s["tie"]), int(s["dst"]), int(s["dst_type"]), int(s["timestamp"]), payload
            )
        yield Told(head, slots, blocks.removals[r : r + removed].tolist())
        a, r, p = a + added, r + removed, p + size
    assert (a, r, p) == (len(blocks.additions), len(blocks.removals), len(blocks.payload))
