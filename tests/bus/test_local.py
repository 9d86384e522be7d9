"""The local bus among processes: many writers, writers that are killed, readers that follow, lag and wait."""

import asyncio
import os
import random
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

import dgs
from dgs.bus import local
from dgs.bus.base import RECORDS, Entry
from dgs.bus.frames import encode
from dgs.bus.local import Fsync, LocalBus
from dgs.bus.segments import PartitionLog
from dgs.bus.tail import TailFile
from dgs.core.errors import PositionError, StateError
from dgs.core.types import PartitionIndex, Position

ZERO = PartitionIndex(0)
START = Position(0)
LONG_S = 30.0

StartWriter = Callable[..., Awaitable[asyncio.subprocess.Process]]


class Written(NamedTuple):
    """What an entry of `writer.py` says about itself."""

    name: int
    batch: int
    part: int
    parts: int


@pytest_asyncio.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    bus = LocalBus(tmp_path)
    await bus.ensure(RECORDS, 1)
    yield bus
    await bus.close()


@pytest_asyncio.fixture
async def other(bus: LocalBus, tmp_path: Path) -> AsyncIterator[LocalBus]:
    """A bus with files and locks of its own: to `bus`, what another process is."""
    other = LocalBus(tmp_path, segment_bytes=1000)
    yield other
    await other.close()


@pytest_asyncio.fixture
async def start_writer(tmp_path: Path) -> AsyncIterator[StartWriter]:
    started: list[asyncio.subprocess.Process] = []

    async def start(*arguments: object) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *map(str, (Path(__file__).with_name("writer.py"), tmp_path, *arguments)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(dgs.__file__).parents[1])},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def acknowledged(process: asyncio.subprocess.Process) -> list[int]:
    output, _ = await process.communicate()
    return [int(line) for line in output.split()]


async def follow(bus: LocalBus, until: asyncio.Event) -> list[Entry]:
    """Read as a worker does, until the event is set and the end is reached."""
    entries: list[Entry] = []
    position = START
    while not until.is_set() or position < await bus.end(RECORDS, ZERO):
        new = await bus.read(RECORDS, ZERO, position, max_bytes=100_000, wait_s=0.2)
        entries += new
        position = entries[-1].next if entries else START
    return entries


async def read_from(bus: LocalBus, position: Position) -> list[Entry]:
    entries: list[Entry] = []
    while new := await bus.read(RECORDS, ZERO, entries[-1].next if entries else position, max_bytes=100, wait_s=0):
        entries += new
    return entries


def check(entry: Entry) -> Written:
    body, digest = entry.data[:-8], entry.data[-8:]
    assert blake2b(body, digest_size=8).digest() == digest, f"torn entry at {entry.position}"
    return Written(*map(int, body.split(b" ", 4)[:4]))


def check_batches(entries: list[Entry], acknowledged: dict[int, list[int]]) -> None:
    """Every batch stands in one piece, in its writer's order, at most once; the acknowledged ones are whole."""
    written = [check(entry) for entry in entries]
    runs: list[list[Written]] = []
    for one in written:
        if one.part == 0:
            runs.append([])
        assert one.part == len(runs[-1]), "a batch is contiguous and in order"
        assert one.part == 0 or runs[-1][0][:2] == one[:2]
        runs[-1].append(one)
    for name, acknowledged_batches in acknowledged.items():
        of_writer = [run for run in runs if run[0].name == name]
        batches = [run[0].batch for run in of_writer]
        assert batches == sorted(set(batches)), "in order and once"
        whole = {run[0].batch for run in of_writer if len(run) == run[0].parts}
        assert whole >= set(acknowledged_batches)
        assert len(batches) <= len(acknowledged_batches) + 1, "only the batch under way may stand without a promise"


@pytest.mark.parametrize("fsync", ["never", "batch"])
async def test_several_processes_append_at_once(bus: LocalBus, start_writer: StartWriter, tmp_path: Path, fsync: Fsync) -> None:
    done = asyncio.Event()
    reader = asyncio.create_task(follow(bus, done))
    writers = [await start_writer(name, 60, "--fsync", fsync, "--segment-bytes", 300_000) for name in range(4)]
    told = await asyncio.gather(*(acknowledged(writer) for writer in writers))
    done.set()
    assert told == [list(range(60))] * 4
    entries = await reader
    check_batches(entries, dict(enumerate(told)))
    assert len(list((tmp_path / RECORDS / "0").glob("*.log"))) > 5, "segments were meant to roll"


async def test_killed_writers_lose_nothing_and_leave_nothing_torn(bus: LocalBus, start_writer: StartWriter) -> None:
    done = asyncio.Event()
    reader = asyncio.create_task(follow(bus, done))
    draw = random.Random(7)
    told: dict[int, list[int]] = {}
    for wave in range(3):
        # Three die at a chosen step of an append, one at any moment, and one has to live with what they leave behind.
        faults = ["torn", "torn", "unpublished" if wave % 2 else "rolling", "none", "none"]
        writers = {}
        for index, fault in enumerate(faults):
            at = draw.randint(1, 20)
            name = 10 * wave + index
            batches = 5000 if index == 3 or fault == "rolling" else 40  # until it dies
            writers[name] = await start_writer(name, batches, "--fault", fault, "--fault-at", at, "--segment-bytes", 300_000)
        victim = writers[10 * wave + 3]
        assert victim.stdout is not None
        first = await victim.stdout.readline()
        await asyncio.sleep(draw.uniform(0, 0.1))
        victim.kill()
        for name, output in zip(writers, await asyncio.gather(*map(acknowledged, writers.values())), strict=True):
            told[name] = output
        told[10 * wave + 3].insert(0, int(first))
        assert [writer.returncode for writer in writers.values()] == [-9, -9, -9, -9, 0]
        assert told[10 * wave + 4] == list(range(40))
    last = await bus.append(RECORDS, ZERO, [b"0 0 0 1 " + blake2b(b"0 0 0 1 ", digest_size=8).digest()])
    done.set()
    delivered = await reader
    again = await follow(bus, done)
    assert delivered == again, "what was delivered once stays"
    assert delivered[-1].next == last
    check_batches(delivered[:-1], told)


async def test_a_reader_is_woken_by_another_writer_without_polling(
    bus: LocalBus, other: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count_looks(monkeypatch)
    read = asyncio.create_task(bus.read(RECORDS, ZERO, START, max_bytes=100, wait_s=LONG_S))
    await asyncio.sleep(0.3)
    assert len(looks) == 1, "an idle reader costs nothing"
    await other.append(RECORDS, ZERO, [b"news"])
    async with asyncio.timeout(5):
        assert [entry.data for entry in await read] == [b"news"]


async def test_an_append_between_the_look_and_the_wait_is_not_missed(
    bus: LocalBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.end(RECORDS, ZERO)
    elsewhere = PartitionLog(tmp_path / RECORDS / "0", durable=False, segment_bytes=1000)
    read = PartitionLog.read

    def read_then_append(self: PartitionLog, position: Position, max_bytes: int) -> list[Entry]:
        monkeypatch.undo()
        entries = read(self, position, max_bytes)
        elsewhere.publish(elsewhere.write(encode([b"news"])))
        return entries

    monkeypatch.setattr(PartitionLog, "read", read_then_append)
    async with asyncio.timeout(5):
        entries = await bus.read(RECORDS, ZERO, START, max_bytes=100, wait_s=LONG_S)
    assert [entry.data for entry in entries] == [b"news"]
    elsewhere.close()


async def test_without_inotify_a_reader_polls_ever_more_slowly(
    bus: LocalBus, other: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise OSError("no inotify here")

    monkeypatch.setattr(local, "Inotify", absent)
    looks = count_looks(monkeypatch)
    read = asyncio.create_task(bus.read(RECORDS, ZERO, START, max_bytes=100, wait_s=LONG_S))
    await asyncio.sleep(0.5)
    assert 2 < len(looks) <= 6 + 0.5 / 0.05 + 1
    await other.append(RECORDS, ZERO, [b"news"])
    async with asyncio.timeout(5):
        assert [entry.data for entry in await read] == [b"news"]


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[Position]:
    looks: list[Position] = []
    read = PartitionLog.read

    def counted(self: PartitionLog, position: Position, max_bytes: int) -> list[Entry]:
        looks.append(position)
        return read(self, position, max_bytes)

    monkeypatch.setattr(PartitionLog, "read", counted)
    return looks


async def test_a_reader_follows_over_segments(bus: LocalBus, other: LocalBus) -> None:
    done = asyncio.Event()
    reader = asyncio.create_task(follow(bus, done))
    for index in range(300):
        await other.append(RECORDS, ZERO, [b"%d" % index * 20])
        if index % 10 == 0:
            await asyncio.sleep(0.001)
    done.set()
    assert [entry.data for entry in await reader] == [b"%d" % index * 20 for index in range(300)]


async def test_writers_may_differ_in_the_size_of_segments(bus: LocalBus, other: LocalBus) -> None:
    for index in range(100):
        await (bus, other)[index % 7 == 0].append(RECORDS, ZERO, [b"%03d" % index * 100])
    done = asyncio.Event()
    done.set()
    assert [int(entry.data[:3]) for entry in await follow(bus, done)] == list(range(100))


async def test_truncation_by_another_process_while_reading(bus: LocalBus, other: LocalBus, tmp_path: Path) -> None:
    ends = [await other.append(RECORDS, ZERO, [b"%d" % index * 20]) for index in range(300)]
    first = await bus.read(RECORDS, ZERO, START, max_bytes=100, wait_s=0)
    await other.truncate(RECORDS, ZERO, ends[200])
    segments = sorted(int(path.stem) for path in (tmp_path / RECORDS / "0").glob("*.log"))
    assert segments[0] <= ends[200] < segments[1]
    with pytest.raises(PositionError, match="before the first kept entry"):
        await read_from(bus, first[-1].next)  # the opened segment may be read to its end
    assert (await bus.read(RECORDS, ZERO, ends[200], max_bytes=1, wait_s=0))[0].data == b"201" * 20
    late = LocalBus(tmp_path)
    with pytest.raises(PositionError, match="before the first kept entry"):
        await late.read(RECORDS, ZERO, START, max_bytes=100, wait_s=0)
    await late.close()


async def test_a_segment_thought_the_last_may_have_been_truncated(bus: LocalBus, other: LocalBus) -> None:
    end = await bus.append(RECORDS, ZERO, [b"x" * 1100])
    assert await bus.read(RECORDS, ZERO, end, max_bytes=1, wait_s=0) == []
    for _ in range(3):
        last = await other.append(RECORDS, ZERO, [b"y" * 1100])
    await other.truncate(RECORDS, ZERO, last)
    with pytest.raises(PositionError, match="before the first kept entry"):
        await bus.read(RECORDS, ZERO, START, max_bytes=1, wait_s=0)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_lagging_reader_keeps_few_files_open(bus: LocalBus, other: LocalBus) -> None:
    entries = [await other.append(RECORDS, ZERO, [b"x" * 1000]) for _ in range(50)]
    before = open_files()
    for position in entries[:-1]:
        assert await bus.read(RECORDS, ZERO, position, max_bytes=1, wait_s=0)
    assert open_files() - before <= 4


async def test_a_lock_held_elsewhere_does_not_block_the_loop(bus: LocalBus, tmp_path: Path) -> None:
    await bus.append(RECORDS, ZERO, [b"one"])
    holder = TailFile(tmp_path / RECORDS / "0" / "end")
    assert holder.try_lock()
    append = asyncio.create_task(bus.append(RECORDS, ZERO, [b"two"]))
    for _ in range(30):
        await asyncio.sleep(0.001)
    assert not append.done()
    assert len(await bus.read(RECORDS, ZERO, START, max_bytes=100, wait_s=0)) == 1, "reading needs no lock"
    holder.close()
    async with asyncio.timeout(5):
        await append


def test_of_several_that_make_a_topic_at_once_one_number_wins(tmp_path: Path) -> None:
    outcomes: list[int] = []
    refused: list[int] = []
    gate = threading.Barrier(8)

    async def ensure(count: int) -> None:
        bus = LocalBus(tmp_path)
        gate.wait()
        try:
            await bus.ensure(RECORDS, count)
            outcomes.append(count)
        except StateError:
            refused.append(count)
        await bus.close()

    threads = [threading.Thread(target=lambda count=1 + index % 4: asyncio.run(ensure(count))) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(outcomes)) == 1
    assert (len(outcomes), len(refused)) == (2, 6)
    assert sorted(path.name for path in (tmp_path / RECORDS).iterdir()) == [*map(str, range(outcomes[0])), "topic.json"]


async def test_a_topic_of_a_newer_format_is_refused(bus: LocalBus, tmp_path: Path) -> None:
    (tmp_path / RECORDS / "topic.json").write_text('{"format": 2, "partitions": 1}')
    late = LocalBus(tmp_path)
    with pytest.raises(StateError, match="format 2"):
        await late.ensure(RECORDS, 1)


async def test_entries_stand_after_a_restart(tmp_path: Path) -> None:
    ends = []
    for _ in range(3):
        bus = LocalBus(tmp_path, segment_bytes=50)
        await bus.ensure(RECORDS, 1)
        ends += [await bus.append(RECORDS, ZERO, [b"x" * 30]) for _ in range(3)]
        await bus.close()
    assert all(before < after for before, after in pairwise(ends))
    bus = LocalBus(tmp_path)
    assert await bus.end(RECORDS, ZERO) == ends[-1]
    assert len(await bus.read(RECORDS, ZERO, START, max_bytes=100, wait_s=0)) == 2
    await bus.close()
