"""What every bus promises, whatever it stands on: one suite over all implementations."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from dgs.bus.base import Bus, Entry
from dgs.bus.kafka.address import KafkaAddress
from dgs.bus.kafka.bus import KafkaBus
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.local import LocalBus
from dgs.bus.memory import MemoryBus
from dgs.bus.open import open_bus
from dgs.core.errors import CodecError, InputError, NotFoundError, PositionError, StateError
from dgs.core.types import PartitionIndex, Position
from tests.kafka.cluster import Cluster

TOPIC = "topic"
ZERO = PartitionIndex(0)
START = Position(0)
LONG_S = 30.0


KINDS = ("memory", "local", "local-batch", "local-small-segments", "kafka")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def bus(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    bus = opened(kind, request, tmp_path)
    await bus.ensure(TOPIC, 2)
    yield bus
    await bus.close()


def opened(kind: str, request: pytest.FixtureRequest, folder: Path) -> Bus:
    if kind == "kafka":
        cluster: Cluster = request.getfixturevalue("kafka")
        return KafkaBus(KafkaAddress.parse(cluster.url(secrets.token_hex(6))), KafkaOptions())
    made: dict[str, Bus] = {
        "memory": MemoryBus(),
        "local": LocalBus(folder),
        "local-batch": LocalBus(folder, fsync="batch"),
        "local-small-segments": LocalBus(folder, segment_bytes=64),
    }
    return made[kind]


async def read_all(bus: Bus, partition: PartitionIndex = ZERO, position: Position = START) -> list[Entry]:
    entries: list[Entry] = []
    end = await bus.end(TOPIC, partition)
    while position < end:
        entries += await bus.read(TOPIC, partition, position, max_bytes=100, wait_s=0)
        position = entries[-1].next
    return entries


async def test_entries_come_back_in_order(bus: Bus) -> None:
    sent = [f"{index}".encode() * 7 for index in range(50)]
    for index in range(0, 50, 5):
        await bus.append(TOPIC, ZERO, sent[index : index + 5])
    assert [entry.data for entry in await read_all(bus)] == sent


async def test_positions_chain_and_grow(bus: Bus) -> None:
    acknowledged = [await bus.append(TOPIC, ZERO, [b"a" * index, b""]) for index in range(20)]
    entries = await read_all(bus)
    assert entries[0].position == START
    assert all(entry.next == following.position for entry, following in pairwise(entries))
    assert all(entry.position < entry.next for entry in entries)
    assert [entry.next for entry in entries][1::2] == acknowledged
    assert await bus.end(TOPIC, ZERO) == acknowledged[-1]


async def test_reading_can_start_at_every_entry(bus: Bus) -> None:
    await bus.append(TOPIC, ZERO, [f"{index}".encode() for index in range(20)])
    entries = await read_all(bus)
    for index, entry in enumerate(entries):
        assert await read_all(bus, position=entry.position) == entries[index:]


async def test_a_position_inside_an_entry_is_not_taken_for_one(bus: Bus, kind: str) -> None:
    if kind == "kafka":  # entries are numbered, so there is none
        end = await bus.append(TOPIC, ZERO, [b"some entry", b"another"])
        assert [(e.position, e.next) for e in await read_all(bus)] == [(0, 1), (1, 2)]
        assert end == 2
        return
    await bus.append(TOPIC, ZERO, [b"some entry", b"another"])
    with pytest.raises(CodecError, match="position 3"):
        await bus.read(TOPIC, ZERO, Position(3), max_bytes=100, wait_s=0)


async def test_partitions_are_separate(bus: Bus) -> None:
    await bus.append(TOPIC, ZERO, [b"zero"])
    await bus.append(TOPIC, PartitionIndex(1), [b"one"])
    assert [entry.data for entry in await read_all(bus, ZERO)] == [b"zero"]
    assert [entry.data for entry in await read_all(bus, PartitionIndex(1))] == [b"one"]


async def test_nothing_to_read_is_an_empty_list(bus: Bus) -> None:
    assert await bus.end(TOPIC, ZERO) == START
    assert await bus.read(TOPIC, ZERO, START, max_bytes=100, wait_s=0) == []
    assert await bus.read(TOPIC, ZERO, START, max_bytes=100, wait_s=0.02) == []


async def test_an_empty_append_changes_nothing(bus: Bus) -> None:
    assert await bus.append(TOPIC, ZERO, []) == START
    end = await bus.append(TOPIC, ZERO, [b"x"])
    assert await bus.append(TOPIC, ZERO, []) == end == await bus.end(TOPIC, ZERO)


async def test_an_append_wakes_every_waiting_read(bus: Bus) -> None:
    reads = [asyncio.create_task(bus.read(TOPIC, ZERO, START, max_bytes=100, wait_s=LONG_S)) for _ in range(3)]
    other = asyncio.create_task(bus.read(TOPIC, PartitionIndex(1), START, max_bytes=100, wait_s=LONG_S))
    await asyncio.sleep(0.05)
    assert not any(read.done() for read in reads)
    await bus.append(TOPIC, ZERO, [b"news"])
    async with asyncio.timeout(5):
        assert [[entry.data for entry in entries] for entries in await asyncio.gather(*reads)] == [[b"news"]] * 3
    assert not other.done()
    other.cancel()


async def test_a_cancelled_read_disturbs_no_other(bus: Bus) -> None:
    first, second = (asyncio.create_task(bus.read(TOPIC, ZERO, START, max_bytes=9, wait_s=LONG_S)) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.sleep(0.02)
    await bus.append(TOPIC, ZERO, [b"news"])
    async with asyncio.timeout(5):
        assert [entry.data for entry in await second] == [b"news"]


async def test_max_bytes_bounds_a_read_but_gives_at_least_one(bus: Bus) -> None:
    await bus.append(TOPIC, ZERO, [b"a" * 300, b"b" * 10, b"c" * 10, b"d" * 50])
    first = await bus.read(TOPIC, ZERO, START, max_bytes=1, wait_s=0)
    assert [entry.data for entry in first] == [b"a" * 300]
    rest = await bus.read(TOPIC, ZERO, first[-1].next, max_bytes=60, wait_s=0)
    assert [entry.data for entry in rest] == [b"b" * 10, b"c" * 10]
    everything = await bus.read(TOPIC, ZERO, START, max_bytes=10_000, wait_s=0)
    assert len(everything) == 4


async def test_large_entries(bus: Bus) -> None:
    sent = [bytes([index]) * (5 << 20) for index in range(3)]
    await bus.append(TOPIC, ZERO, sent)
    assert [entry.data for entry in await read_all(bus)] == sent


async def test_many_entries_in_one_append(bus: Bus) -> None:
    sent = [index.to_bytes(2, "little") for index in range(5000)]
    await bus.append(TOPIC, ZERO, sent)
    assert [entry.data for entry in await bus.read(TOPIC, ZERO, START, max_bytes=1 << 20, wait_s=0)] == sent


async def test_several_appenders_in_one_loop(bus: Bus) -> None:
    async def writer(name: int) -> list[Position]:
        return [await bus.append(TOPIC, ZERO, [b"%d %d %d" % (name, batch, k) for k in range(3)]) for batch in range(40)]

    ends = await asyncio.gather(*(writer(name) for name in range(5)))
    entries = [tuple(int(word) for word in entry.data.split()) for entry in await read_all(bus)]
    assert len(entries) == 5 * 40 * 3
    assert all(entries[at] == (*entries[at][:2], 0) for at in range(0, 600, 3))
    assert all(entries[at : at + 3] == [(*entries[at][:2], k) for k in range(3)] for at in range(0, 600, 3)), "contiguous"
    for name in range(5):
        assert [batch for writer, batch, k in entries if writer == name and k == 0] == list(range(40))
    assert len({end for of_one in ends for end in of_one}) == 200


async def test_appends_without_waiting_stand_in_the_order_of_the_calls(bus: Bus) -> None:
    tasks = [asyncio.create_task(bus.append(TOPIC, ZERO, [b"%d" % index])) for index in range(30)]
    await asyncio.gather(*tasks)
    assert [int(entry.data) for entry in await read_all(bus)] == list(range(30))


async def test_a_topic_belongs_to_one_log_id(bus: Bus) -> None:
    await bus.ensure("owned", 2, "log-a")
    await bus.append("owned", ZERO, [b"of log-a"])
    await bus.ensure("owned", 2, "log-a")
    await bus.ensure("owned", 2)  # who only appends need not know
    with pytest.raises(StateError, match="log-a"):
        await bus.ensure("owned", 2, "log-b")


async def test_ensure_twice_is_fine_and_another_count_is_not(bus: Bus) -> None:
    await bus.append(TOPIC, ZERO, [b"kept"])
    await bus.ensure(TOPIC, 2)
    with pytest.raises(StateError, match="has 2 partitions, not 3"):
        await bus.ensure(TOPIC, 3)
    with pytest.raises(InputError):
        await bus.ensure("empty", 0)
    assert [entry.data for entry in await read_all(bus)] == [b"kept"]


async def test_an_unknown_topic_or_partition_is_named(bus: Bus) -> None:
    with pytest.raises(NotFoundError, match="elsewhere"):
        await bus.append("elsewhere", ZERO, [b"x"])
    with pytest.raises(NotFoundError, match="no 2"):
        await bus.read(TOPIC, PartitionIndex(2), START, max_bytes=1, wait_s=0)


async def test_a_position_beyond_the_end_is_refused_at_once(bus: Bus) -> None:
    end = await bus.append(TOPIC, ZERO, [b"x"])
    with pytest.raises(PositionError, match=f"position {end + 1} is beyond the end .*{end}.*belong together"):
        await bus.read(TOPIC, ZERO, Position(end + 1), max_bytes=100, wait_s=LONG_S)
    with pytest.raises(PositionError):
        await bus.truncate(TOPIC, ZERO, Position(end + 1))


async def test_ends_are_of_one_moment(bus: Bus, kind: str) -> None:
    """Each round writes to one topic, then to the other, so at no moment is the other ahead, nor behind by more than one.

    Kafka's ends are of no one moment, but each is one that its partition has had since the question.
    """
    await bus.ensure("other", 2)
    done = asyncio.Event()

    async def write() -> None:
        while not done.is_set():
            for topic, partition in ((TOPIC, 1), ("other", 0)):
                await bus.append(topic, PartitionIndex(partition), [b"entry"])

    size = await bus.append(TOPIC, ZERO, [b"entry"])
    writing = asyncio.create_task(write())
    seen: set[Position] = set()
    while len(seen) < 20:
        ends = await bus.ends([TOPIC, "other"])
        assert (ends[TOPIC][0], ends["other"][1]) == (size, START)
        if kind == "kafka":
            later = await bus.ends([TOPIC, "other"])
            assert max(seen, default=START) <= ends["other"][0] <= later["other"][0]
        else:
            assert ends[TOPIC][1] - ends["other"][0] in (0, size)
        seen.add(ends["other"][0])
        await asyncio.sleep(0)
    done.set()
    await writing


async def test_truncation_keeps_later_positions(bus: Bus) -> None:
    for index in range(20):
        await bus.append(TOPIC, ZERO, [b"entry %d" % index * 10])
    entries = await read_all(bus)
    await bus.truncate(TOPIC, ZERO, entries[12].position)
    assert await read_all(bus, position=entries[12].position) == entries[12:]
    end = await bus.append(TOPIC, ZERO, [b"later"])
    assert (await read_all(bus, position=entries[-1].next))[0] == Entry(entries[-1].next, end, b"later")


async def test_everything_can_be_truncated_and_the_log_goes_on(bus: Bus) -> None:
    for index in range(9):
        end = await bus.append(TOPIC, ZERO, [b"entry %d" % index * 10])
    await bus.truncate(TOPIC, ZERO, end)
    await bus.truncate(TOPIC, ZERO, START)
    assert await bus.end(TOPIC, ZERO) == end
    assert await bus.read(TOPIC, ZERO, end, max_bytes=100, wait_s=0) == []
    await bus.append(TOPIC, ZERO, [b"later"])
    assert [entry.data for entry in await read_all(bus, position=end)] == [b"later"]


async def test_close_ends_waiting_reads_and_later_calls_are_refused(bus: Bus) -> None:
    read = asyncio.create_task(bus.read(TOPIC, ZERO, START, max_bytes=100, wait_s=LONG_S))
    await asyncio.sleep(0.02)
    await bus.close()
    async with asyncio.timeout(5):
        assert await read == []
    with pytest.raises(StateError, match="closed"):
        await bus.append(TOPIC, ZERO, [b"x"])
    with pytest.raises(StateError, match="closed"):
        await bus.read(TOPIC, ZERO, START, max_bytes=100, wait_s=0)


async def test_a_busy_reader_and_writer_leave_others_their_turn(bus: Bus) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await bus.append(TOPIC, ZERO, [b"x"])
    for _ in range(20):
        await bus.append(TOPIC, ZERO, [b"x"])
        await bus.read(TOPIC, ZERO, START, max_bytes=100, wait_s=0)
    task.cancel()
    assert turns >= 40


async def test_a_bus_is_opened_by_url(tmp_path: Path) -> None:
    assert isinstance(open_bus("memory://"), MemoryBus)
    bus = open_bus(f"local://{tmp_path}/a%20b", fsync="batch")
    assert isinstance(bus, LocalBus)
    await bus.ensure(TOPIC, 1)
    assert (tmp_path / "a b" / TOPIC / "topic.json").exists()
    await bus.close()


@pytest.mark.parametrize("url", ["kafka://b1", "kafka://user@b1:9092", "kafka://b1:9092/a/b", "kafka://b1:9092?x=y"])
def test_a_url_of_kafka_is_brokers_and_a_prefix(url: str) -> None:
    with pytest.raises(InputError, match="bus URL"):
        open_bus(url)


@pytest.mark.parametrize("url", ["local://relative/path", "local:", "memory://x", "/path", "local:///a?b"])
def test_another_url_is_refused_with_the_accepted_forms(url: str) -> None:
    with pytest.raises(InputError, match=r"local:///absolute/path.*memory://"):
        open_bus(url)
