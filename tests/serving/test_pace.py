"""Entries are applied in pieces that fit into a slice, whatever they hold and however fast that goes."""

import asyncio
import random
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import BlockPack, Note, decode_entry, encode_blocks
from dgs.core.blocks import BLOCK, SLOT, WHOLE, Blocks
from dgs.core.types import PartitionIndex
from dgs.serving.pace import PIECE_BYTES_LEAST, PIECE_BYTES_MOST, Pace
from dgs.serving.worker import ServingWorker
from dgs.testing.graph import Edge
from tests.machines.world import World

S0 = PartitionIndex(0)
SLICE_S = 0.002


def pack_of(sizes: list[int], note: Note | None = None) -> BlockPack:
    """Blocks that add one slot each, with payloads of these sizes, whose bytes tell the block."""
    heads, additions = np.zeros(len(sizes), BLOCK), np.zeros(len(sizes), SLOT)
    heads["kind"], heads["count"], heads["added"], heads["payload_bytes"] = WHOLE, 1, 1, sizes
    heads["vertex"] = additions["dst"] = np.arange(len(sizes))
    payload = np.repeat(np.arange(len(sizes)) % 251, sizes).astype(np.uint8)
    return BlockPack(1, 3, 77, Blocks(heads, additions, np.zeros(0, np.uint16), payload), note)


@given(st.lists(st.integers(1, 9000), max_size=60), st.floats(1e-9, 1.0))
def test_pieces_are_the_pack_in_order_with_the_note_on_the_last(sizes: list[int], s_per_byte: float) -> None:
    pace, note = Pace(SLICE_S), Note(5, 77 + len(sizes) - 1, None)
    pace.took(1 << 20, s_per_byte * (1 << 20))
    pack = pack_of(sizes, note)
    pieces = list(pace.pieces(pack))
    assert [p.note for p in pieces] == [None] * (len(pieces) - 1) + [note]
    assert all(len(p.blocks) == 1 or p.blocks.nbytes <= pace.piece_bytes for p in pieces)
    first = 77
    for piece in pieces:
        assert (piece.generation, piece.sender, piece.first) == (1, 3, first)
        first += len(piece.blocks)
    joined = Blocks.concat([p.blocks for p in pieces])
    for name in ("heads", "additions", "removals", "payload"):
        assert (getattr(joined, name) == getattr(pack.blocks, name)).all()


@pytest.mark.parametrize("s_per_byte", [1e-12, 1e-8, 1e-7, 1e-4])
def test_the_size_of_a_piece_follows_the_time_that_it_takes(s_per_byte: float) -> None:
    pace = Pace(SLICE_S)
    for _ in range(40):
        pace.took(100, 1.0)  # so small that it tells nothing
        pace.took(pace.piece_bytes, pace.piece_bytes * s_per_byte)
    assert PIECE_BYTES_LEAST <= pace.piece_bytes <= PIECE_BYTES_MOST
    if PIECE_BYTES_LEAST < pace.piece_bytes < PIECE_BYTES_MOST:
        assert 0.5 * SLICE_S < pace.piece_bytes * s_per_byte < SLICE_S
    assert pace.expected_s(1000) == pytest.approx(1000 * s_per_byte, rel=0.01, abs=1e-8)


async def test_one_large_entry_does_not_hold_the_event_loop_for_longer_than_a_slice() -> None:
    """Time here is made of applied items, so that what is asserted is how many there are between two turns."""
    pairs = [{"key": k, "value": v} for k, v in {"vtype": 1, "etype": 1, "strategy": "topk_by_timestamp", "fanout": 3}.items()]
    source = {"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": 1}], "links": [{"node": 1}]}
    sampler = {"id": 1, "kind": "EDGE_SAMPLER", "params": pairs, "links": []}
    world = World(random.Random(1), {"query_plan": {"plan_nodes": [source, sampler]}}, 1, 1, 1 << 20)
    world.load([Edge(1, 1, i, 1, i + 1, i) for i in range(20_000)])
    world.run()
    packs = [cast(BlockPack, decode_entry(data)) for data in world.samples[0]]
    largest = max(len(pack.blocks) for pack in packs)
    slice_items = 500
    bus = MemoryBus()
    await bus.ensure(RECORDS, 1)
    await bus.ensure(SAMPLES, 1)
    worker = ServingWorker(
        world.deployment,
        S0,
        bus,
        clock=lambda: worker.machine.state.applied * SLICE_S / slice_items,
        slice_s=SLICE_S,
        on_round=lambda *_: None,
        dead_letters=lambda _: None,
    )
    task = asyncio.create_task(worker.run())
    await bus.append(SAMPLES, S0, [encode_blocks(pack) for pack in packs])
    holds, before = [], 0
    async with asyncio.timeout(60):
        while worker.machine.state.applied < sum(len(pack.blocks) for pack in packs):
            await asyncio.sleep(0)
            holds.append(worker.machine.state.applied - before)
            before += holds[-1]
    task.cancel()
    await asyncio.wait([task])
    assert largest > 20 * slice_items, "an entry that is much more than a slice"
    assert max(holds) <= 1.25 * slice_items
    assert np.median([n for n in holds if n]) > 0.5 * slice_items, "slices are used"
