"""A stand-by keeps its hands off while another copy writes, takes over when it is gone, and steps back when it is there again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dgs.bus.base import SAMPLES
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import BlockPack, Note, decode_entry, encode_blocks
from dgs.core.blocks import MARK, Blocks, single
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.standby import Follower, Standby, StandbyOutbox, Standing
from tests.waiting import until

ZERO = PartitionIndex(0)
AFTER_S = 0.15


def item_pack(first: int, count: int, note: Note | None = None) -> BlockPack:
    """Items without content; what counts here is how many there are."""
    return BlockPack(1, 0, first, Blocks.concat([single(MARK, vertex=1, operator=1, count=1)] * count), note)


class World:
    """One channel of sampler partition 0, on a memory bus: what stands in the log, and a stand-by."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.standing = Standing(Position(0), 0, -1)
        self.outbox = StandbyOutbox(self.bus, SAMPLES, 1, [0], after_s=AFTER_S)

    async def write(self, pack: BlockPack) -> None:
        """Write as the first copy does."""
        await self.bus.append(SAMPLES, ZERO, [encode_blocks(pack)])

    def emit(self, pack: BlockPack) -> None:
        """Emit as the stand-by does."""
        told = -1 if pack.note is None else pack.note.position
        self.outbox.put(0, pack.first + len(pack.blocks) - 1, encode_blocks(pack), told)

    async def log(self) -> list[tuple[int, int]]:
        """Return the first number and the number of items of all packs that stand."""
        entries = await self.bus.read(SAMPLES, ZERO, Position(0), max_bytes=1 << 20, wait_s=0)
        packs = [decode_entry(e.data) for e in entries]
        return [(p.first, len(p.blocks)) for p in packs if isinstance(p, BlockPack)]

    async def settled(self, number: int) -> bool:
        async with asyncio.timeout(20):
            await self.outbox.settled([number])
        return True


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.bus.ensure(SAMPLES, 1)
    yield world
    await world.bus.close()


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    async def standing(_: int) -> Standing:
        return world.standing

    follower = Follower(world.bus, ZERO, 1, Standby(AFTER_S, standing), world.outbox)
    tasks = [asyncio.create_task(world.outbox.run()), asyncio.create_task(follower.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_another_copy_has_written_is_acknowledged_and_not_written_again(world: World) -> None:
    async with running(world):
        await world.write(item_pack(1, 3))
        world.emit(item_pack(1, 2))
        world.emit(item_pack(3, 1))
        assert await world.settled(3)
        world.emit(item_pack(4, 1))
        await world.write(item_pack(4, 2, Note(7, 5, None)))
        world.emit(item_pack(5, 1, Note(6, 5, None)))
        assert await world.settled(5)
        assert not world.outbox.active
        assert world.outbox.waiting_bytes == 0
        assert await world.log() == [(1, 3), (4, 2)]


async def test_what_nobody_writes_it_writes_and_then_all_at_once(world: World) -> None:
    async with running(world):
        await world.write(item_pack(1, 1))
        world.emit(item_pack(1, 1))
        world.emit(item_pack(2, 2))
        assert await world.settled(3)
        assert world.outbox.active
        began = asyncio.get_running_loop().time()
        world.emit(item_pack(4, 1))
        assert await world.settled(4)
        assert asyncio.get_running_loop().time() - began < AFTER_S
        assert await world.log() == [(1, 1), (2, 2), (4, 1)]


async def test_a_note_that_nobody_writes_makes_it_take_over_too(world: World) -> None:
    async with running(world):
        await world.write(item_pack(1, 1, Note(5, 1, None)))
        world.emit(item_pack(1, 1, Note(4, 1, None)))
        assert await world.settled(1)
        assert not world.outbox.active
        world.emit(BlockPack(1, 0, 2, note=Note(9, 1, None)))
        await until(lambda: world.outbox.active)
        assert await world.settled(1)
        await until(lambda: world.outbox.waiting_bytes == 0)
        assert await world.log() == [(1, 1), (2, 0)]


async def test_it_steps_back_when_somebody_else_writes_what_it_has_written(world: World) -> None:
    async with running(world):
        world.emit(item_pack(1, 2))
        assert await world.settled(2)
        assert world.outbox.active
        await world.write(item_pack(1, 2))  # the first copy is there again, and as far as it is
        await until(lambda: not world.outbox.active)
        world.emit(item_pack(3, 1))
        await world.write(item_pack(3, 1))
        assert await world.settled(3)
        assert await world.log() == [(1, 2), (1, 2), (3, 1)]


async def test_what_follows_a_gap_is_not_taken_for_standing(world: World) -> None:
    async with running(world):
        await world.write(item_pack(2, 1))  # 1 did not get through
        world.emit(item_pack(1, 1))
        world.emit(item_pack(2, 1))
        assert await world.settled(2)
        assert await world.log() == [(2, 1), (1, 1), (2, 1)]


async def test_it_begins_where_others_have_read(world: World) -> None:
    await world.write(item_pack(1, 50, Note(30, 50, None)))
    world.standing = Standing(await world.bus.end(SAMPLES, ZERO), 50, 30)
    await world.bus.truncate(SAMPLES, ZERO, world.standing.position)
    async with running(world):
        for i in range(50):
            world.emit(item_pack(1 + i, 1, Note(i, 1 + i, None)))
        assert await world.settled(50)
        await world.write(item_pack(51, 1))
        world.emit(item_pack(51, 1))
        assert await world.settled(51)
        assert not world.outbox.active


async def test_it_begins_again_where_the_log_was_truncated_before_it_was_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgs.sampler.standby.AGAIN_S", 0.01)
    await world.write(item_pack(1, 5))
    await world.bus.truncate(SAMPLES, ZERO, await world.bus.end(SAMPLES, ZERO))
    asked: list[int] = []

    async def standing(destination: int) -> Standing:
        asked.append(destination)
        end = await world.bus.end(SAMPLES, ZERO)
        return Standing(Position(0), 0, -1) if len(asked) == 1 else Standing(end, 5, -1)

    follower = Follower(world.bus, ZERO, 1, Standby(AFTER_S, standing), world.outbox)
    tasks = [asyncio.create_task(world.outbox.run()), asyncio.create_task(follower.run())]
    world.emit(item_pack(1, 5))
    assert await world.settled(5)
    assert len(asked) == 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_that_writes_late_but_writes_is_not_taken_for_gone(world: World) -> None:
    async with running(world):
        for i in range(1, 9):
            world.emit(item_pack(i, 1))
        for i in range(1, 9):
            await asyncio.sleep(AFTER_S / 2)
            await world.write(item_pack(i, 1))
        assert await world.settled(8)
        assert not world.outbox.active
