"""Barriers: who may set one, and how far it has come."""

import asyncio

import pytest

from dgs.bus.memory import MemoryBus
from dgs.coordinator.barriers import BarrierState
from dgs.core.control import BARRIER
from dgs.core.errors import ConflictError, InputError, StateError
from tests.coordinator.conftest import Document, P, Start, Written

NOT_SET, PRODUCED, SAMPLED, READY = BarrierState


async def test_it_is_produced_when_all_loaders_have_set_it(
    start: Start, document: Document, bus: MemoryBus, written: Written
) -> None:
    c = await start()
    await c.install(document())
    assert c.barrier("loaded").state is NOT_SET
    assert (await c.set_barrier("loaded", 2, 5)).state is NOT_SET
    assert c.barrier("loaded").loaders == (5,)
    assert (await c.set_barrier("loaded", 2, 5)).state is NOT_SET
    assert (await c.set_barrier("loaded", 2, 3)).state is PRODUCED
    assert c.barrier("loaded").loaders == (3, 5)
    assert (await c.set_barrier("loaded", 2, 3)).state is PRODUCED
    for items in await written(bus):
        assert [(i.kind, i.body) for i in items[1:]] == [(BARRIER, {"id": 1, "rounds": 2})]


async def test_already_set(start: Start) -> None:
    c = await start()
    await c.set_barrier("b", 2, 0)
    with pytest.raises(ConflictError, match=r"^Barrier b Already Set\.$"):
        await c.set_barrier("b", 3, 1)
    with pytest.raises(ConflictError):
        await c.set_barrier("b", 1, 0)
    await c.set_barrier("b", 2, 1)
    with pytest.raises(ConflictError):
        await c.set_barrier("b", 2, 2)
    with pytest.raises(ConflictError):
        await c.set_barrier("b", 3, 1)
    assert (await c.set_barrier("b", 2, 0)).state is PRODUCED


@pytest.mark.parametrize("name", ["../../etc/passwd", "/", ".", "Граница 1", "a=b&c", "名" * 200, " "])
async def test_names_are_any_text_and_no_paths(start: Start, name: str) -> None:
    c = await start()
    await c.set_barrier(name)
    assert (await start()).barrier(name).state is PRODUCED


@pytest.mark.parametrize(("count", "loader_id"), [(0, 0), (-1, 0), (65537, 0), (1, -1), (1, 1 << 63)])
async def test_wrong_numbers(start: Start, count: int, loader_id: int) -> None:
    c = await start()
    with pytest.raises(InputError):
        await c.set_barrier("b", count, loader_id)
    assert c.barriers() == []


async def test_rounds_lead_to_ready(start: Start, document: Document) -> None:
    c = await start()
    await c.install(document())
    await c.set_barrier("a")
    await c.set_barrier("b")
    assert [(b.name, b.state) for b in c.barriers()] == [("a", PRODUCED), ("b", PRODUCED)]
    await c.report(0, 1, 1)
    assert c.barrier("a").state is PRODUCED
    await c.report(0, 1, 2)
    await c.report(0, 1, 1)  # what is known already
    assert c.barrier("a").state is PRODUCED
    await c.report(1, 1, 1)
    assert c.barrier("a").state is SAMPLED
    again = await start()
    assert again.barrier("a").state is SAMPLED
    await again.report(1, 1, 2)
    assert (await start()).barrier("a").state is READY
    assert again.barrier("b").state is PRODUCED


async def test_a_report_that_skips_rounds(start: Start, document: Document) -> None:
    c = await start()
    await c.install(document())
    await c.set_barrier("a")
    await c.report(0, 1, 2)
    await c.report(1, 1, 2)
    assert c.barrier("a").state is READY


@pytest.mark.parametrize(
    ("partition", "barrier", "round_number"), [(0, 2, 1), (0, 0, 1), (0, 1, 3), (0, 1, 0), (2, 1, 1), (-1, 1, 1)]
)
async def test_reports_of_another_deployment(
    start: Start, document: Document, partition: int, barrier: int, round_number: int
) -> None:
    c = await start()
    await c.install(document())
    await c.set_barrier("a")
    await c.set_barrier("half", 2, 0)
    with pytest.raises(StateError, match="another deployment"):
        await c.report(partition, barrier, round_number)


async def test_a_barrier_without_queries_has_one_round(start: Start, bus: MemoryBus, written: Written) -> None:
    c = await start()
    await c.set_barrier("a")
    assert [items[0].body["rounds"] for items in await written(bus)] == [1] * P


async def test_waiting(start: Start) -> None:
    c = await start()
    assert (await c.wait_barrier("a", READY, 0.01)).state is NOT_SET
    waiting = asyncio.create_task(c.wait_barrier("a", SAMPLED, 30))
    await c.set_barrier("a")
    await c.report(0, 1, 1)
    assert not waiting.done()
    await c.report(1, 1, 1)
    assert (await waiting).state is READY
