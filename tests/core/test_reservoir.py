"""Reservoirs against a naive twin that sorts all edges: rows, the differences that tell of them, and what the store keeps."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgs.core.blocks import DELTA, SLOT, WHOLE, Blocks
from dgs.core.layout import Dimension, Layout
from dgs.core.operators import Operator
from dgs.core.reservoir import EdgeColumns, Reservoir
from dgs.core.strategies import Strategy
from dgs.core.types import Int32s, Int64s
from tests.core.making import EDGE_LAYOUT, EDGE_TYPE, operator
from tests.core.naive import Edge, NaiveRows, Row, checksum, payload_of, told

IDS = [0, 30, -7, 12, -(1 << 63), 5]
"""Ids by vertex row, row 0 is no vertex; their order is not that of rows."""
VERTICES = range(1, len(IDS))
WIDE = Layout(EDGE_TYPE, [Dimension("edge", 2, 2, 3)])

EDGES = st.builds(
    Edge,
    st.sampled_from([1, 1, 2, 2, 3, 4]),
    st.integers(-1, 1),
    st.sampled_from([0, 1]),
    st.integers(-1, 0),
    st.sampled_from([None, 0.0, 0.5, 1.0, 2.0, 8.0]),
    st.integers(0, 2),
)
ENTRIES = st.lists(st.lists(EDGES, min_size=1, max_size=12), min_size=1, max_size=12)
OPERATORS = st.builds(
    lambda strategy, fanout, seed: operator(
        strategy, fanout, seed=seed, half_life=2.5 if strategy is Strategy.TIME_DECAY else None, number=7
    ),
    st.sampled_from(list(Strategy)),
    st.integers(1, 5),
    st.integers(0, 3),
)


class Pair:
    """A reservoir, its naive twin, and a replica that knows only what blocks told it."""

    def __init__(self, one: Operator) -> None:
        self.reservoir = Reservoir(one, EDGE_LAYOUT)
        self.naive = NaiveRows(one, IDS)
        self.replica: dict[int, Row] = defaultdict(tuple)
        self.ids: Int64s = np.array(IDS, np.int64)

    @property
    def layout(self) -> Layout:
        return self.reservoir.layout

    def columns(self, edges: list[Edge]) -> EdgeColumns:
        src, dst, timestamps = (
            np.array(column, np.int64)
            for column in ([IDS[e.vertex] for e in edges], [e.dst for e in edges], [e.timestamp for e in edges])
        )
        return EdgeColumns(src, dst, timestamps, payload_of(self.layout, edges))

    def entry(self, edges: list[Edge]) -> Blocks:
        """Apply one log entry: offers in runs of one destination type, refills from everything, the differences."""
        start = 0
        for end in range(1, len(edges) + 1):
            if end == len(edges) or edges[end].dst_type != edges[start].dst_type:
                run, start = edges[start:end], end
                self.reservoir.offer(np.array([e.vertex for e in run], np.int32), self.columns(run), run[0].dst_type)
        for e in edges:
            self.naive.offer(e)
        for vertex in self.reservoir.refills().tolist():
            live = list(self.naive.edges[vertex].values())
            self.reservoir.refill(vertex, self.columns(live), np.array([e.dst_type for e in live], np.int32))
        changed, blocks = self.reservoir.differences(self.ids)
        assert [IDS[v] for v in changed] == blocks.heads["vertex"].tolist() == sorted(blocks.heads["vertex"].tolist())
        return blocks

    def check(self, blocks: Blocks) -> None:
        """The blocks make the replica's rows into the naive ones, and nothing is told that did not change."""
        before = dict(self.replica)
        for block in told(blocks):
            vertex, head = IDS.index(int(block.head["vertex"])), block.head
            row = block.applied(self.replica[vertex])
            assert head[["kind", "operator", "echo", "checksum"]].item() == (DELTA, 7, 0, checksum(row))
            assert row != before.get(vertex, ()), "a block that changes nothing"
            self.replica[vertex] = row
        for vertex in VERTICES:
            assert self.replica[vertex] == self.naive.row(vertex, self.layout)
        assert len(np.unique(blocks.heads["vertex"])) == len(blocks)

    def whole(self, vertices: list[int]) -> list[Row]:
        """Whole rows, as answers to subscribes 100, 101, …"""
        rows: Int32s = np.array(vertices, np.int32)
        blocks = self.reservoir.whole(rows, self.ids[rows], np.arange(100, 100 + len(rows), dtype=np.uint64))
        found = []
        for i, block in enumerate(told(blocks)):
            row = block.applied(())
            assert block.head[["kind", "operator", "echo"]].item() == (WHOLE, 7, 100 + i)
            assert block.head[["vertex", "checksum"]].item() == (IDS[vertices[i]], checksum(row))
            found.append(row)
        return found

    def rebuilt(self) -> "Pair":
        """The same, with a reservoir made of what the store would keep."""
        other = Pair(self.naive.operator)
        other.naive, other.replica = self.naive, self.replica
        if self.layout is WIDE:
            other.reservoir.widen(WIDE)
        vertices: Int32s = np.array(VERTICES, np.int32)
        counts = self.reservoir.counts(vertices).tolist()
        heads = np.array([[v, 255] for v in VERTICES], np.uint8)
        for vertex, count, whole in zip(VERTICES, counts, self.reservoir.packed(vertices, heads), strict=True):
            head, packed = whole[:2], whole[2:]
            assert head == bytes([vertex, 255])
            assert len(packed) == count * (SLOT.itemsize + self.layout.width)
            slots = np.frombuffer(packed[: count * SLOT.itemsize], SLOT)
            payload = np.frombuffer(packed[count * SLOT.itemsize :], np.uint8).reshape(count, self.layout.width)
            if count:
                other.reservoir.restore(np.array([vertex], np.int32), slots[None, :], payload[None, :])
        return other


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(OPERATORS, ENTRIES, st.integers(0, 12), st.integers(0, 12))
def test_rows_and_what_is_told_of_them_equal_the_naive_twin(
    one: Operator, entries: list[list[Edge]], widen_at: int, restore_at: int
) -> None:
    pair = Pair(one)
    for i, edges in enumerate(entries):
        if i == widen_at:
            pair.reservoir.widen(WIDE)
            pair.replica.update({v: pair.naive.row(v, WIDE) for v in VERTICES})
        if i == restore_at:
            pair = pair.rebuilt()
        pair.check(pair.entry(edges))
    everyone = [*VERTICES, 2, 2]
    assert pair.whole(everyone) == [pair.naive.row(v, pair.layout) for v in everyone]
    again = pair.rebuilt()
    assert again.whole(everyone) == pair.whole(everyone)
    again.check(again.entry(entries[0]))


@settings(max_examples=60, deadline=None)
@given(OPERATORS, ENTRIES)
def test_the_end_does_not_depend_on_how_edges_are_packed_into_entries(one: Operator, entries: list[list[Edge]]) -> None:
    packed, single = Pair(one), Pair(one)
    for edges in entries:
        packed.check(packed.entry(edges))
    for edge in (e for edges in entries for e in edges):
        single.check(single.entry([edge]))
    assert packed.replica == single.replica


def test_a_row_that_lost_its_last_place_asks_history_once_an_entry() -> None:
    pair = Pair(operator(Strategy.TOPK_BY_WEIGHT, 2, number=7))
    pair.check(pair.entry([Edge(1, dst, 1, 0, weight, 0) for dst, weight in enumerate([8.0, 4.0, 2.0])]))
    lowered = [Edge(1, 1, 1, 0, 1.0, 0), Edge(1, 9, 1, 0, 16.0, 0)]
    pair.reservoir.offer(np.array([1, 1], np.int32), pair.columns(lowered), 1)
    assert pair.reservoir.refills().tolist() == [1]
    pair.reservoir.differences(pair.ids)
    assert pair.reservoir.refills().tolist() == []


def test_a_row_that_ends_as_it_began_is_not_told() -> None:
    pair = Pair(operator(Strategy.TOPK_BY_WEIGHT, 2, number=7))
    first = Edge(1, 0, 1, 0, 8.0, 0)
    pair.check(pair.entry([first]))
    blocks = pair.entry([first._replace(weight=4.0), first._replace(label=1), first])
    assert len(blocks) == 0
    assert len(blocks.payload) == 0


def test_a_row_takes_as_many_edges_as_a_block_can_count() -> None:
    pair = Pair(operator(Strategy.TOPK_BY_TIMESTAMP, 65535, number=7))
    n = 2000
    pair.reservoir.offer(
        np.ones(n, np.int32),
        EdgeColumns(np.full(n, 30), np.arange(n), np.arange(n), np.zeros((n, EDGE_LAYOUT.width), np.uint8)),
        1,
    )
    _, blocks = pair.reservoir.differences(pair.ids)
    assert blocks.heads["count"].tolist() == [n]
    assert blocks.additions["timestamp"].tolist() == list(range(n))[::-1]


@pytest.mark.parametrize("vertices", [[], [5], [5, 1, 5]])
def test_rows_of_vertices_that_have_none_are_empty(vertices: list[int]) -> None:
    pair = Pair(operator(Strategy.RANDOM, 3, number=7))
    assert pair.whole(vertices) == [()] * len(vertices)
    heads = np.full((len(vertices), 1), 7, np.uint8)
    assert pair.reservoir.packed(np.array(vertices, np.int32), heads) == [b"\x07"] * len(vertices)
    assert pair.reservoir.counts(np.array(vertices, np.int32)).tolist() == [0] * len(vertices)
