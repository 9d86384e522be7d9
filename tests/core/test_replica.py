"""The serving kernels against naive twins: rows made of blocks, needs counted slot by slot, rows given back."""

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgs.core.blocks import BLOCK, DELTA, SLOT, WHOLE, Blocks
from dgs.core.kernels.replica import (
    NONE,
    PENDING,
    SUBSCRIBED,
    apply_edge_blocks,
    apply_vertex_blocks,
    count_needs,
    release,
)
from dgs.core.operators import Operator
from dgs.core.rows import RowTable
from dgs.core.strategies import Strategy
from dgs.core.types import Int32s
from tests.core.making import EDGE_LAYOUT, operator
from tests.core.naive import Edge, Row, Slot, told
from tests.core.test_reservoir import EDGES, IDS, OPERATORS, VERTICES, WIDE, Pair

ROOM = 4096


class Replica:
    """A serving partition's rows of one operator. A destination's row is a made-up function of its id."""

    def __init__(self, fanout: int, width: int) -> None:
        self.table = RowTable(fanout, width)
        self.table.reserve(len(IDS), len(IDS))
        self.states = np.zeros(len(IDS), np.uint8)
        self.numbers = np.zeros(len(IDS), np.uint64)
        self.deltas: list[tuple[int, int, int, int]] = []
        self.ignored = self.failed = 0

    def apply(self, blocks: Blocks, fed: set[int]) -> None:
        n, k, table = len(blocks), self.table.fanout, self.table
        vertices = np.array([IDS.index(v) for v in blocks.heads["vertex"].tolist()], np.int32)
        payload = blocks.payload.reshape(len(blocks.additions), -1) if len(blocks.additions) else np.zeros((0, 1), np.uint8)
        rows, types, items = (np.zeros(ROOM, np.int32) for _ in range(3))
        signs, sizes = np.zeros(ROOM, np.int8), np.zeros(4, np.int64)
        waiting = np.count_nonzero(self.states == PENDING)
        apply_edge_blocks(
            blocks.heads,
            np.arange(n, dtype=np.int32),
            vertices,
            np.array([v in fed for v in vertices], np.int32),
            blocks.additions,
            (blocks.additions["dst"] + 50).astype(np.int32),
            blocks.removals,
            payload,
            k,
            table.row_of,
            table.counts,
            table.slots,
            table.payload,
            table.free,
            table.cursors,
            self.states,
            self.numbers,
            np.empty(k, SLOT),
            np.empty((k, table.width), np.uint8),
            rows,
            types,
            signs,
            items,
            sizes,
        )
        columns = (c[: sizes[0]].tolist() for c in (rows, types, signs, items))
        self.deltas = list(zip(*columns, strict=True))
        self.ignored, self.failed = int(sizes[1]), int(sizes[2])
        assert waiting - sizes[3] == np.count_nonzero(self.states == PENDING)

    def row(self, vertex: int) -> Row:
        table, row = self.table, int(self.table.row_of[vertex])
        found = []
        for i in range(row * table.fanout, row * table.fanout + int(table.counts[row])):
            s = table.slots[i]
            assert s["place"] == s["dst"] + 50
            score, tie, dst, dst_type, timestamp = s[["score", "tie", "dst", "dst_type", "timestamp"]].item()
            found.append(Slot(score, tie, dst, dst_type, timestamp, table.payload[i].tobytes()))
        return tuple(found)


class Step(NamedTuple):
    """What happens to one log entry's blocks, and before them."""

    edges: list[Edge]
    asked: int
    """A row that subscribes, if it has not, and is answered with the whole row; 0 for none."""
    answered_first: bool
    """Whether the whole row comes before the entry's differences."""


STEPS = st.lists(
    st.builds(Step, st.lists(EDGES, min_size=1, max_size=8), st.sampled_from([0, 0, 1, 2, 3]), st.booleans()), max_size=8
)


def changes(before: Row, after: Row) -> Counter[tuple[int, int]]:
    """By row and type of the destination: slots that came less slots that went."""
    count = Counter((s.dst + 50, s.dst_type) for s in after)
    count.subtract((s.dst + 50, s.dst_type) for s in before)
    return Counter({key: n for key, n in count.items() if n})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(OPERATORS, STEPS, st.sets(st.sampled_from([1, 4]), max_size=2), st.booleans())
def test_rows_that_take_blocks_are_the_samplers_and_the_others_stay_empty(
    one: Operator, steps: list[Step], fed: set[int], wide: bool
) -> None:
    pair = Pair(one)
    layout = WIDE if wide else EDGE_LAYOUT  # a replica may have learnt a dimension before a sampler's blocks show it
    replica, number = Replica(pair.naive.operator.fanout, layout.width), 0
    rows: dict[int, Row] = defaultdict(tuple)
    for step in steps:
        parts = [pair.entry(step.edges)]
        if step.asked and step.asked not in fed and replica.states[step.asked] == NONE:
            number += 1
            replica.states[step.asked], replica.numbers[step.asked] = PENDING, number
            asked: Int32s = np.array([step.asked, step.asked], np.int32)
            answer = pair.reservoir.whole(asked, pair.ids[asked], np.array([number + 5, number], np.uint64))
            parts.insert(0 if step.answered_first else 1, answer)
        blocks = Blocks.concat(parts)
        states = replica.states.tolist()
        if step.answered_first and len(parts) == 2:  # the row as it is after the entry, so its differences do not apply again
            mine = [i for i, v in enumerate(blocks.heads["vertex"].tolist()) if i < 2 or v != IDS[step.asked]]
            blocks = blocks.take(np.array(mine))
        ignored, net = 0, list[Counter[tuple[int, int]]]()
        for block in told(blocks):
            v, head = IDS.index(int(block.head["vertex"])), block.head
            if head["kind"] == WHOLE and states[v] == PENDING and head["echo"] == number:
                states[v], new = SUBSCRIBED, block.applied(())
            elif head["kind"] == DELTA and (v in fed or states[v] == SUBSCRIBED):
                new = block.applied(rows[v])
            else:
                ignored += 1
                net.append(Counter())
                continue
            net.append(changes(rows[v], new))
            rows[v] = new
        replica.apply(blocks, fed)
        assert (replica.ignored, replica.failed) == (ignored, 0)
        assert replica.states.tolist() == states
        for i, expected in enumerate(net):
            found: Counter[tuple[int, int]] = Counter()
            for row, dst_type, sign, item in replica.deltas:
                found[row, dst_type] += sign if item == i else 0
            assert Counter({key: n for key, n in found.items() if n}) == expected
        for v in VERTICES:
            assert replica.row(v) == tuple(s._replace(payload=s.payload.ljust(layout.width, b"\0")) for s in rows[v])
            assert v in fed or states[v] == SUBSCRIBED or not rows[v]


def one_row() -> tuple[Pair, Replica]:
    """A reservoir and a replica of it that is fed vertex 1, which has three edges."""
    pair = Pair(operator(Strategy.TOPK_BY_TIMESTAMP, 3, number=7))
    replica = Replica(3, EDGE_LAYOUT.width)
    replica.apply(pair.entry([Edge(1, dst, 1, dst, None, 0) for dst in range(3)]), {1})
    assert len(replica.row(1)) == 3
    return pair, replica


def replaced_best(pair: Pair) -> Blocks:
    """The block of an entry that puts another edge before the three."""
    return pair.entry([Edge(1, 9, 1, 9, None, 0)])


@pytest.mark.parametrize(
    ("change", "value"), [("checksum", 1), ("count", 4), ("count", 65535), ("count", 2), ("place", 2), ("score", 5)]
)
def test_a_row_that_is_not_the_samplers_is_noticed(change: str, value: int) -> None:
    pair, replica = one_row()
    blocks = replaced_best(pair)
    (blocks.heads if change in ("checksum", "count") else blocks.additions)[change] = value
    replica.apply(blocks, {1})
    assert replica.failed == 1


def test_a_difference_on_a_row_that_lacks_what_it_keeps_is_noticed() -> None:
    other = Replica(3, EDGE_LAYOUT.width)
    other.apply(replaced_best(one_row()[0]), {1})
    assert other.failed == 1


VERTEX_BLOCKS = st.lists(
    st.tuples(st.sampled_from([DELTA, DELTA, WHOLE]), st.integers(0, 3), st.booleans(), st.integers(-3, 3), st.integers(1, 2)),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(VERTEX_BLOCKS, st.sets(st.integers(1, 3)), st.lists(st.integers(0, 2), min_size=3, max_size=3))
def test_records_that_take_blocks_are_the_samplers(
    given_: list[tuple[int, int, bool, int, int]], fed: set[int], first: list[int]
) -> None:
    given_ = [b for b in given_ if b[1] or b[0] == WHOLE]
    states = [0, *(NONE if v in fed else s for v, s in enumerate(first, 1))]
    heads, expected = np.zeros(len(given_), BLOCK), dict.fromkeys(range(4), (0, 0, b"\0\0\0"))
    known_ones = [b for b in given_ if b[2]]
    additions, payload = np.zeros(len(known_ones), SLOT), np.zeros((len(known_ones), 2), np.uint8)
    additions["timestamp"] = [b[3] for b in known_ones]
    payload[:] = [[b[4], b[4]] for b in known_ones] if known_ones else 0
    arrays = np.zeros(4, np.uint8), np.zeros(4, np.int64), np.zeros((4, 3), np.uint8)
    state_array, ignored = np.array(states, np.uint8), 0
    for head, (kind, v, known, timestamp, echo) in zip(heads, given_, strict=True):
        head["kind"], head["count"], head["added"], head["echo"] = kind, known, known, echo
        if kind == WHOLE and v and states[v] == PENDING and echo == 1:
            states[v] = SUBSCRIBED
        elif kind == WHOLE or not (v in fed or states[v] == SUBSCRIBED):
            ignored += 1
            continue
        expected[v] = (1, timestamp, bytes([echo, echo, 0])) if known else (0, 0, b"\0\0\0")
    vertices = np.array([b[1] for b in given_], np.int32)
    fed_array = np.array([b[1] in fed for b in given_], np.int32)
    numbers = np.ones(4, np.uint64)
    arrived = first.count(PENDING) - states.count(PENDING) - sum(first[v - 1] == PENDING for v in fed)
    applied = apply_vertex_blocks(heads, vertices, fed_array, additions, payload, *arrays, state_array, numbers)
    assert applied == (ignored, arrived)
    all_known, timestamps, payloads = arrays
    assert {v: (int(all_known[v]), int(timestamps[v]), payloads[v].tobytes()) for v in range(4)} == expected
    assert state_array.tolist() == states


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1, 1, -1])), max_size=15),
    st.sets(st.integers(1, 3), max_size=1),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_needs_are_counted_slot_by_slot(slots: list[tuple[int, int]], fed: set[int], first: list[int]) -> None:
    needs, states, idle_since, wanted, idle = [5, 1, 0, 1], list(first), [0] * 4, [], []
    arrays = np.array(needs, np.int32), np.array(states, np.uint8), np.zeros(4, np.int64)
    for item, (v, sign) in enumerate(slots):
        if v in fed:
            continue
        needs[v] += sign
        if sign > 0 and states[v] == NONE:
            states[v] = PENDING
            wanted.append((v, item))
        if sign < 0 and needs[v] == 0:
            idle_since[v] = 100 + item + 1
            idle.append(v)
    rows = np.array([v for v, _ in slots], np.int32)
    fed_array, items = np.array([v in fed for v in rows], np.int32), np.arange(len(slots), dtype=np.int32)
    signs, sizes = np.array([s for _, s in slots], np.int8), np.zeros(2, np.int64)
    out = [np.zeros(len(slots), np.int32) for _ in range(3)]
    count_needs(rows, signs, items, 100, fed_array, *arrays, out[0], out[1], out[2], sizes)
    assert [a.tolist() for a in arrays] == [needs, states, idle_since]
    assert list(zip(out[0][: sizes[0]].tolist(), out[1][: sizes[0]].tolist(), strict=True)) == wanted
    assert out[2][: sizes[1]].tolist() == idle


def test_rows_that_are_released_tell_what_they_named_and_are_given_out_again() -> None:
    pair, replica = one_row()
    table, used = replica.table, int(replica.table.cursors[0])
    rows, types = np.zeros(9, np.int32), np.zeros(9, np.int32)
    dropped = np.array([2, 1, 1], np.int32)
    n = release(dropped, 3, table.row_of, table.counts, table.slots, table.free, table.cursors, rows, types)
    assert (n, rows[:n].tolist(), types[:n].tolist()) == (3, [52, 51, 50], [1, 1, 1])
    assert replica.row(1) == ()
    assert table.cursors.tolist() == [used, 1]
    replica.apply(pair.entry([Edge(2, 4, 0, 4, None, 0)]), {2})
    assert [slot.dst for slot in replica.row(2)] == [4]
    assert table.cursors.tolist() == [used, 0]
    assert replica.row(1) == ()
