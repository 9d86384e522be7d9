"""Runs of blocks: choosing some, joining many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.blocks import BLOCK, CONTROL, DELTA, MARK, SLOT, Blocks, single

One = tuple[bytes, bytes, bytes, bytes]
SHAPES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5)), max_size=6)


def blocks_of(shapes: list[tuple[int, int, int]], start: int = 0) -> Blocks:
    """Blocks of so many additions, removals and payload bytes, with contents that are all different."""
    heads = np.zeros(len(shapes), BLOCK)
    heads["kind"], heads["vertex"] = DELTA, np.arange(start, start + len(shapes))
    for i, name in enumerate(("added", "removed", "payload_bytes")):
        heads[name] = [s[i] for s in shapes]
    added, removed, size = (sum(s[i] for s in shapes) for i in range(3))
    additions = np.zeros(added, SLOT)
    additions["dst"] = np.arange(added) + 1000 * start
    return Blocks(heads, additions, np.arange(removed, dtype=np.uint16), np.arange(size).astype(np.uint8))


def apart(blocks: Blocks) -> list[One]:
    found: list[One] = []
    a = r = p = 0
    for head in blocks.heads:
        x, y, z = (int(head[name]) for name in ("added", "removed", "payload_bytes"))
        parts = blocks.additions[a : a + x], blocks.removals[r : r + y], blocks.payload[p : p + z]
        found.append((head.tobytes(), parts[0].tobytes(), parts[1].tobytes(), parts[2].tobytes()))
        a, r, p = a + x, r + y, p + z
    assert (a, r, p) == (len(blocks.additions), len(blocks.removals), len(blocks.payload))
    return found


@settings(max_examples=200, deadline=None)
@given(SHAPES, st.data())
def test_taking_blocks_takes_what_belongs_to_them_in_the_order_asked_for(
    shapes: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    blocks = blocks_of(shapes)
    which = data.draw(st.lists(st.integers(0, len(shapes) - 1), max_size=8)) if shapes else []
    everything = apart(blocks)
    assert apart(blocks.take(np.array(which, np.int64))) == [everything[i] for i in which]


@settings(max_examples=100, deadline=None)
@given(st.lists(SHAPES, max_size=4))
def test_joining_runs_keeps_their_order(runs: list[list[tuple[int, int, int]]]) -> None:
    parts = [blocks_of(shapes, start=100 * i) for i, shapes in enumerate(runs)]
    joined = Blocks.concat(parts)
    assert apart(joined) == [one for part in parts for one in apart(part)]
    assert len(joined) == sum(map(len, parts))
    assert [a.dtype for a in (joined.additions, joined.removals, joined.payload)] == [SLOT, np.dtype("<u2"), np.dtype("u1")]


def test_runs_are_joined_only_if_they_share_their_strings() -> None:
    texts = [b"x"]
    one, two = blocks_of([(1, 0, 8)]), blocks_of([(1, 0, 8)])
    with_texts = [Blocks(b.heads, b.additions, b.removals, b.payload, texts) for b in (one, two)]
    assert Blocks.concat([one, *with_texts]).strings is texts
    assert with_texts[0].take(np.array([0])).strings is texts
    other = Blocks(one.heads, one.additions, one.removals, one.payload, [b"x"])
    with pytest.raises(AssertionError):
        Blocks.concat([with_texts[0], other])


def test_marks_and_control_items_stand_alone() -> None:
    mark = single(MARK, vertex=7, operator=2, count=5)
    assert mark.heads[["kind", "vertex", "operator", "count"]].tolist() == [(MARK, 7, 2, 5)]
    control = single(CONTROL, echo=9, payload=b"{}")
    assert control.heads[["kind", "echo", "payload_bytes"]].tolist() == [(CONTROL, 9, 2)]
    assert control.payload.tobytes() == b"{}"
    assert control.payload.flags.writeable
    assert len(Blocks.concat([mark, control])) == 2
    assert len(Blocks.concat([])) == 0
