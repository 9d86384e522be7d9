"""A stream of events: what is committed is acknowledged, what fails is tried again, and a stop ends it in time."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from dgs_loader import stream
from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.events import Event, parser_of
from dgs_loader.mapping import EventMapping
from dgs_loader.partitioning import Partitioner
from dgs_loader.pipeline import Pipeline
from dgs_loader.progress import Progress
from dgs_loader.sender import AppendError, Sender
from dgs_loader.stream import Stream

from dgs.core.layout import Layouts
from dgs.core.schema import Schema
from tests.loader.test_pipeline import Confirming, FaultyBus, P, bus, records_in

__all__ = ["bus"]

MAPPING = '{"records": [{"vertex": "user", "id": "id", "attributes": {"feature": "vector"}}]}'


class Listed:
    """A source of reads that are known before; [] afterwards. What is committed is noted with how much the bus has then."""

    def __init__(self, bus: FaultyBus, layouts: Layouts, reads: list[list[bytes]], failures: int = 0) -> None:
        self.commits: list[tuple[int, int]] = []
        self._bus = bus
        self._layouts = layouts
        self._reads = reads
        self._failures = failures
        self._read = self._loaded = 0

    @property
    def ended(self) -> bool:
        return not self._reads

    async def read(self, wait_s: float) -> list[Event]:
        await asyncio.sleep(0)
        values = self._reads.pop(0) if self._reads else []
        self._read += len(values)
        return [Event("topic", 0, self._read - len(values) + i, value) for i, value in enumerate(values)]

    def loaded(self) -> None:
        self._loaded = self._read

    async def commit(self) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError("no")
        self.commits.append((self._loaded, len(await records_in(self._bus, self._layouts))))


class World:
    """A stream into a bus in memory, and what it tells."""

    def __init__(self, schema: Schema, layouts: Layouts, bus: FaultyBus, folder: Path) -> None:
        self.mapping = EventMapping.parse(MAPPING, schema)
        self.told: list[str] = []
        self.letters = DeadLetterFile(folder / "dead", appends=True)
        self.progress = Progress(io.StringIO(), None, unit="events")
        self.stopped = asyncio.Event()
        sender = Sender(bus, Partitioner(P, range(P)), retry_timeout_s=1000.0)
        self.pipeline = Pipeline(
            parser_of(self.mapping, layouts), Confirming(layouts, bus, None), sender, self.letters, self.progress
        )

    async def load(self, source: Listed, *, until_end: bool = True) -> Stream:
        made = Stream(source, self.mapping, self.pipeline, self.letters, self.progress, self.told.append)
        await asyncio.wait_for(made.load(self.stopped, until_end=until_end), 30)
        return made


@pytest.fixture
def world(schema: Schema, layouts: Layouts, bus: FaultyBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(stream, "COMMIT_INTERVAL_S", 0.0)
    return World(schema, layouts, bus, tmp_path)


def users(first: int, count: int) -> list[bytes]:
    return [json.dumps({"id": vertex}).encode() for vertex in range(first, first + count)]


async def test_what_is_committed_is_in_the_log(world: World, bus: FaultyBus, layouts: Layouts) -> None:
    source = Listed(bus, layouts, [users(0, 3), [], users(3, 2)])
    await world.load(source)
    assert source.commits == [(3, 3), (3, 3), (5, 5), (5, 5)]
    assert world.progress.count == 5


async def test_a_failing_commit_is_told_once_and_made_again(world: World, bus: FaultyBus, layouts: Layouts) -> None:
    source = Listed(bus, layouts, [users(0, 1), users(1, 1), users(2, 1)], failures=2)
    await world.load(source)
    assert source.commits == [(3, 3), (3, 3)]
    assert world.told == ["no; it is tried again"]
    with pytest.raises(ConnectionError):
        await world.load(Listed(bus, layouts, [], failures=1))


async def test_what_cannot_be_loaded_is_passed_with_the_rest(world: World, bus: FaultyBus, layouts: Layouts) -> None:
    source = Listed(bus, layouts, [[b"{", b"", *users(7, 1)], [b"["]])
    made = await world.load(source)
    world.letters.close()
    assert source.commits[-1] == (4, 1)
    assert (made.passed, world.letters.count) == (1, 2)
    letters = [json.loads(line) for line in world.letters.path.read_text().splitlines()]
    assert [(x["topic"], x["partition"], x["offset"], x["text"]) for x in letters] == [("topic", 0, 0, "{"), ("topic", 0, 3, "[")]


async def test_a_stop_ends_a_stream_without_an_end(world: World, bus: FaultyBus, layouts: Layouts) -> None:
    source = Listed(bus, layouts, [users(0, 2)])
    load = asyncio.create_task(world.load(source, until_end=False))
    while (2, 2) not in source.commits:  # noqa: ASYNC110 -- nothing tells when
        await asyncio.sleep(0)
    assert not load.done()
    world.stopped.set()
    await load
    assert world.told == []


async def test_a_stop_does_not_wait_for_ever_for_a_bus_that_takes_nothing(
    world: World, bus: FaultyBus, layouts: Layouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "DRAIN_S", 0.05)
    source = Listed(bus, layouts, [users(0, 1), users(1, 1)])
    bus.faults = [(p, False) for p in range(P)] * 100_000
    load = asyncio.create_task(world.load(source, until_end=False))
    while len(source._reads) == 2:  # noqa: ASYNC110 -- nothing tells when
        await asyncio.sleep(0)
    world.stopped.set()
    await load
    assert source.commits == [(0, 0)]
    assert world.told == ["what was under way is given up after 0.05 s; the next start reads it again"]


async def test_a_bus_that_takes_nothing_for_too_long_ends_it_without_a_commit(
    schema: Schema, layouts: Layouts, bus: FaultyBus, world: World
) -> None:
    source = Listed(bus, layouts, [users(0, 1)])
    bus.faults = [(p, False) for p in range(P)] * 1000
    sender = Sender(bus, Partitioner(P, range(P)), retry_timeout_s=0.0)
    world.pipeline = Pipeline(
        parser_of(world.mapping, layouts), Confirming(layouts, bus, None), sender, world.letters, world.progress
    )
    with pytest.raises(AppendError):
        await world.load(source)
    assert source.commits == []
