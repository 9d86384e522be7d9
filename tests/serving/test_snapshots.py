"""A worker's snapshots: when they are made and count, what the next worker starts from, and what becomes of the log behind them."""

import asyncio
import errno
import random
import time
from pathlib import Path

import pytest

from dgs.bus.base import RECORDS, SAMPLES
from dgs.codec.entries import BlockPack, decode_entry, encode_blocks
from dgs.core.errors import PositionError, StateError
from dgs.core.types import Position
from dgs.serving import snapshots
from dgs.serving.machine import ServingMachine
from dgs.store.snapshots import SnapshotDraft
from dgs.testing.graph import Edge
from tests.machines.world import FAILURES_MOST, World
from tests.serving.partition import S0, Bus, Deployment
from tests.waiting import until

PARAMS = {"vtype": 1, "etype": 1, "strategy": "topk_by_timestamp", "fanout": 2}
EDGES = 300


@pytest.fixture(scope="module")
def world() -> World:
    """One serving partition's log: two hops, so that it subscribes."""
    pairs = [{"key": key, "value": value} for key, value in PARAMS.items()]
    nodes = [
        {"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": 1}], "links": [{"node": 1}]},
        {"id": 1, "kind": "EDGE_SAMPLER", "params": pairs, "links": [{"node": 2, "src_output": 1}]},
        {"id": 2, "kind": "VERTEX_SAMPLER", "params": [{"key": "vtype", "value": 0}], "links": []},
    ]
    world = World(random.Random(5), {"query_plan": {"plan_nodes": nodes}}, 2, 1, 50)
    world.failures = FAILURES_MOST
    for i in range(EDGES):
        world.load([Edge(1, 1, i % 17, i % 2, i % 23, i)])
        if i % 3 == 0:
            world.run()
    world.run()
    return world


@pytest.fixture(autouse=True)
def little_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOVED_BYTES_LEAST", 1)
    monkeypatch.setattr(snapshots, "MOVED_SHARE_LEAST", 0)


@pytest.fixture
async def deployment(world: World, tmp_path: Path) -> Deployment:
    made = Deployment(world, tmp_path)
    await made.bus.ensure(RECORDS, 2)
    await made.bus.ensure(SAMPLES, 1)
    return made


async def two_snapshots(deployment: Deployment) -> tuple[Position, Position]:
    """Take snapshots at a third and at two thirds of the log; return where."""
    first = await deployment.feed(1 / 3)
    async with deployment.worker() as worker:
        await deployment.snapshot_at(worker, first)
        second = await deployment.feed(2 / 3)
        await deployment.snapshot_at(worker, second)
        assert await needed(deployment, first)
    await deployment.bus.truncate(SAMPLES, S0, first)
    return first, second


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


# Restarts -------------------------------------------------------------------------------------------------------------------------


async def test_a_worker_starts_from_the_newest_snapshot_and_reads_the_rest_of_the_log(deployment: Deployment) -> None:
    first, second = await two_snapshots(deployment)
    assert [f.position for f in deployment.folder.files()] == [second, first]
    await deployment.feed(1)
    deployment.bus.reads.clear()
    async with deployment.worker() as worker:
        await until(lambda: worker.caught_up)
        assert deployment.bus.reads[0] == second
        assert worker.position == await deployment.bus.end(SAMPLES, S0)
        assert deployment.answers(worker) == deployment.expected()
        figures = worker.figures()
        assert figures.snapshot_position == worker.snapshot_position
        assert figures.snapshot_at == pytest.approx(time.time(), abs=3600)
    assert not deployment.dead


async def test_a_snapshot_answers_while_the_rest_of_the_log_is_read(deployment: Deployment) -> None:
    _, second = await two_snapshots(deployment)
    end = await deployment.feed(1)
    deployment.bus.open.clear()
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.answers)
        assert (worker.caught_up, worker.position, worker.behind_bytes) == (False, second, end - second)
        assert len(deployment.answers(worker)) == 17
        deployment.bus.open.set()
        await until(lambda: worker.caught_up)
        assert worker.behind_bytes == 0
        assert deployment.answers(worker) == deployment.expected()


async def test_an_empty_state_does_not_answer_before_it_has_caught_up(deployment: Deployment) -> None:
    end = await deployment.feed(1)
    deployment.bus.open.clear()
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: deployment.bus.reads)
        assert (worker.answers, worker.caught_up, worker.behind_bytes) == (False, False, end)
        deployment.bus.open.set()
        await until(lambda: worker.answers)
        assert worker.caught_up


async def test_a_snapshot_that_is_asked_for_is_made_whatever_the_interval(deployment: Deployment) -> None:
    first = await deployment.feed(1 / 3)
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.caught_up)
        assert worker._snapshots is not None
        asked = asyncio.create_task(worker._snapshots.ask(20.0))
        await asyncio.sleep(0)
        second = await deployment.feed(2 / 3)
        await asked
        assert worker.snapshot_position in (first, second)
        made = len(deployment.folder.files())
        await worker._snapshots.ask(0.01)  # no entry comes
        assert len(deployment.folder.files()) == made == 1


async def test_without_snapshots_the_log_is_replayed_from_its_start(deployment: Deployment) -> None:
    await deployment.feed(1)
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.caught_up)
        assert deployment.bus.reads[0] == 0
        assert deployment.answers(worker) == deployment.expected()
        assert worker.snapshot_position is None
    assert deployment.folder.files() == []


async def test_snapshots_that_stand_there_are_used_where_no_more_are_made(deployment: Deployment) -> None:
    _, second = await two_snapshots(deployment)
    await deployment.feed(1)
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.caught_up)
        assert worker.snapshot_position == second
        assert deployment.answers(worker) == deployment.expected()


async def test_a_damaged_snapshot_is_set_aside_and_the_older_one_taken(
    deployment: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = await two_snapshots(deployment)
    newest = deployment.folder.files()[0].path
    flip(newest)
    await deployment.feed(1)
    deployment.bus.reads.clear()
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.caught_up)
        assert deployment.bus.reads[0] == first
        assert worker.snapshot_position == first
        assert deployment.answers(worker) == deployment.expected()
    assert second > first
    assert [f.position for f in deployment.folder.files()] == [first]
    assert deployment.folder.damaged() == [newest.with_name(newest.name + ".damaged")]


async def test_if_all_are_damaged_and_the_log_was_truncated_the_error_says_what_to_do(deployment: Deployment) -> None:
    await two_snapshots(deployment)
    paths = [f.path for f in deployment.folder.files()]
    for path in paths:
        flip(path)
    with pytest.raises(StateError, match="dgs checkpoint restore --partition serving/0") as e:
        async with deployment.worker():
            await asyncio.Event().wait()
    assert all(f"{path}.damaged" in str(e.value) for path in paths)


async def test_if_all_are_damaged_the_log_is_replayed_where_it_has_its_start(deployment: Deployment) -> None:
    first = await deployment.feed(1 / 3)
    async with deployment.worker() as worker:
        await deployment.snapshot_at(worker, first)
    flip(deployment.folder.files()[0].path)
    await deployment.feed(1)
    deployment.bus.reads.clear()
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.caught_up)
        assert deployment.bus.reads[0] == 0
        assert deployment.answers(worker) == deployment.expected()


async def test_a_truncated_log_without_any_snapshot_is_refused(deployment: Deployment) -> None:
    await two_snapshots(deployment)
    for file in deployment.folder.files():
        file.path.unlink()
    with pytest.raises(StateError, match=r"none in .*its log lacks the start"):
        async with deployment.worker():
            await asyncio.Event().wait()


async def test_a_log_that_ends_before_the_snapshot_is_refused(deployment: Deployment) -> None:
    await two_snapshots(deployment)
    deployment.bus = Bus()
    await deployment.bus.ensure(RECORDS, 2)
    await deployment.bus.ensure(SAMPLES, 1)
    with pytest.raises(PositionError, match="beyond the end of the log"):
        async with deployment.worker():
            await asyncio.Event().wait()


# What is needed of the log --------------------------------------------------------------------------------------------------------


async def needed(deployment: Deployment, position: int) -> bool:
    """Wait until the log is needed from a position on."""
    await until(lambda: deployment.snapshots is not None and deployment.snapshots.needed == position)
    return True


async def test_the_log_is_needed_from_the_oldest_kept_snapshot_on(deployment: Deployment) -> None:
    first = await deployment.feed(0.3)
    async with deployment.worker() as worker:
        await deployment.snapshot_at(worker, first)
        await until(lambda: worker._snapshots is not None and not worker._snapshots._taking)
        assert deployment.snapshots is not None
        assert deployment.snapshots.needed is None, "with one snapshot, the log's start is the other way back"
        for share in (0.5, 0.7, 1.0):
            older, newer = worker.snapshot_position, await deployment.feed(share)
            await deployment.snapshot_at(worker, newer)
            assert older is not None
            assert await needed(deployment, older)
            assert [f.position for f in deployment.folder.files()] == [newer, older]
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.answers)
        assert deployment.snapshots.needed == older, "a restarted one knows it, too"


async def test_a_damaged_snapshot_is_no_way_back(deployment: Deployment) -> None:
    await two_snapshots(deployment)
    flip(deployment.folder.files()[0].path)
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.answers)
        assert deployment.snapshots is not None
        assert deployment.snapshots.needed is None


# When a snapshot counts -----------------------------------------------------------------------------------------------------------


def unanswered(world: World) -> int:
    """Return after how many entries a request is under way for the first time."""
    machine, log = ServingMachine(world.deployment, S0), world.samples[0]
    for i, data in enumerate(log, 1):
        machine.apply([decode_entry(data)])
        if any(sent > answered for sent, answered in zip(machine.state.sent, machine.answered, strict=True)):
            return i
    raise AssertionError("everything was answered at once")


async def test_a_snapshot_waits_until_what_was_emitted_is_acknowledged(deployment: Deployment) -> None:
    deployment.bus.refuses = True
    end = await deployment.feed_to(unanswered(deployment.world))
    async with deployment.worker() as worker:
        await until(lambda: list(deployment.folder.path.glob("*.tmp")))
        await until(lambda: worker._snapshots is not None and worker.machine.state.image is None)
        await asyncio.sleep(0.05)
        assert worker.snapshot_position is None
        deployment.bus.refuses = False
        await deployment.snapshot_at(worker, end)


async def test_a_snapshot_waits_until_told_rounds_are_durable(deployment: Deployment) -> None:
    reported, asked = asyncio.Event(), asyncio.Event()

    async def rounds_reported() -> None:
        asked.set()
        await reported.wait()

    end = await deployment.feed(0.5)
    async with deployment.worker(rounds_reported=rounds_reported) as worker:
        await asyncio.wait_for(asked.wait(), 20)
        await asyncio.sleep(0.02)
        assert worker.snapshot_position is None
        assert not deployment.folder.files()
        reported.set()
        await deployment.snapshot_at(worker, end)


async def test_a_worker_that_is_stopped_while_it_writes_leaves_nothing_half(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, added = SnapshotDraft.add, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow_add(draft: SnapshotDraft, piece: memoryview) -> None:
        loop.call_soon_threadsafe(added.set)
        time.sleep(0.02)
        add(draft, piece)

    monkeypatch.setattr(SnapshotDraft, "add", slow_add)
    await deployment.feed(0.5)
    async with deployment.worker():
        await asyncio.wait_for(added.wait(), 20)
    assert list(deployment.folder.path.iterdir()) == []
    killed = deployment.folder.path / f"{3:020d}.snapshot.tmp"
    killed.write_bytes(b"half")
    monkeypatch.setattr(SnapshotDraft, "add", add)
    async with deployment.worker(interval_s=0) as worker:
        await until(lambda: worker.caught_up)
        assert not killed.exists()


async def test_a_full_disk_is_told_and_the_next_snapshot_is_another_attempt(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = SnapshotDraft.finish

    def refuse(_: SnapshotDraft) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SnapshotDraft, "finish", refuse)
    await deployment.feed(0.5)
    async with deployment.worker() as worker:
        await until(lambda: deployment.troubles.found)
        assert "no room for the snapshot of serving partition 0" in deployment.troubles.found[0]
        assert list(deployment.folder.path.iterdir()) == []
        monkeypatch.setattr(SnapshotDraft, "finish", finish)
        await deployment.snapshot_at(worker, await deployment.feed(1))
        await until(lambda: not deployment.troubles.found)
        assert deployment.answers(worker) == deployment.expected()


async def test_nothing_new_makes_no_new_snapshot(deployment: Deployment) -> None:
    end = await deployment.feed(0.5)
    async with deployment.worker() as worker:
        await deployment.snapshot_at(worker, end)
        empty = encode_blocks(BlockPack(1, 0, worker.machine.state.received[0] + 1))
        moved = await deployment.bus.append(SAMPLES, S0, [empty])
        await until(lambda: worker.position == moved)
        await asyncio.sleep(0.02)
        assert worker.snapshot_position == end
