"""A loader pauses while the service is too far behind, asks seldom, and never stops because it cannot ask."""

import asyncio
import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dgs_client.connection import Connection
from dgs_loader.back_pressure import BackPressure
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.progress import Progress
from dgs_loader.reader import Block
from dgs_loader.sender import Sender
from dgs_loader.service import Lag, Service

from dgs.bus.base import RECORDS
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import appended_ms_of
from dgs.core.errors import DgsError, UnreachableError
from dgs.core.layout import Layouts
from dgs.core.types import PartitionIndex, Position
from tests.loader.conftest import SCHEMA
from tests.loader.coordinator import FakeCoordinator
from tests.loader.world import GOOD, World

INTERVAL_S = 0.01


class FakeService:
    """Answers by a script, its last answer for ever; an exception in it is raised."""

    def __init__(self, *answers: Lag | DgsError) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.threads: set[int] = set()

    def lag(self) -> Lag:
        self.asked += 1
        self.threads.add(threading.get_ident())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, DgsError):
            raise answer
        return answer


class Watched(BackPressure):
    """With what it tells, and a clock that stands still unless the test says otherwise."""

    def __init__(self, service: FakeService, *, ticks: bool = True) -> None:
        self.behind: list[int] = []
        self.told: list[str] = []
        self.now = 0.0
        clock = time.monotonic if ticks else lambda: self.now
        super().__init__(
            service.lag,
            waiting=lambda behind, _: self.behind.append(behind),
            tell=self.told.append,
            interval_s=INTERVAL_S,
            clock=clock,
        )


async def again(pressure: Watched) -> None:
    """Ask for room once more, later; whatever the service says, that has an end."""
    pressure.now += INTERVAL_S
    async with asyncio.timeout(10):
        await pressure.room([0])
        await asyncio.sleep(0.001)


def lag(*behind: int, limit: int = 100) -> Lag:
    return Lag(behind, limit)


async def test_below_the_limit_nobody_waits_and_hardly_anybody_asks() -> None:
    service = FakeService(lag(100, 0))
    pressure = Watched(service, ticks=False)
    for _ in range(1000):
        assert not await pressure.room([0, 1])
        await asyncio.sleep(0)
    assert service.asked == 1
    for turn in range(1, 4):
        pressure.now += INTERVAL_S
        for _ in range(1000):
            await pressure.room([0, 1])
            if service.asked == 1 + turn and pressure._asking is not None and pressure._asking.done():
                break
            await asyncio.sleep(0.001)
        assert service.asked == 1 + turn
    assert threading.get_ident() not in service.threads, "the event loop goes on meanwhile"
    await pressure.close()
    assert (pressure.behind, pressure.told, pressure.waited_s) == ([], [], 0)


async def test_beyond_it_a_load_pauses_until_the_lag_is_well_below() -> None:
    service = FakeService(lag(0, 101), lag(0, 500), lag(0, 90), lag(0, 76), lag(0, 75))
    pressure = Watched(service)
    assert await pressure.room([0, 1])
    assert service.asked == 5
    assert pressure.behind == [101, 500, 90, 76]
    assert pressure.waited_s >= 4 * INTERVAL_S
    waited_s = pressure.waited_s
    service.answers[:] = [lag(0, 100)]
    assert not await pressure.room([0, 1]), "after the pause the whole limit holds again"
    assert pressure.waited_s == waited_s


async def test_only_partitions_that_are_written_to_count() -> None:
    pressure = Watched(FakeService(lag(500, 0, 0)))
    async with asyncio.timeout(10):
        assert not await pressure.room([1, 2])
        assert not await pressure.room([7]), "one that the service does not tell of"
    paused = asyncio.create_task(pressure.room([0, 1]))
    done, _ = await asyncio.wait([paused], timeout=10 * INTERVAL_S)
    assert not done
    paused.cancel()
    with pytest.raises(asyncio.CancelledError):
        await paused
    await pressure.close()


async def test_without_a_limit_nobody_waits() -> None:
    assert not await Watched(FakeService(lag(1 << 60, limit=0))).room([0])


async def test_a_service_that_cannot_be_asked_stops_nobody_and_is_told_of_once() -> None:
    gone = UnreachableError("it is away")
    service = FakeService(lag(500), gone)
    pressure = Watched(service, ticks=False)
    await again(pressure)  # the pause ends with the service
    for _ in range(3):
        asked = service.asked
        while service.asked == asked:
            await again(pressure)
    assert pressure.behind == [500]
    assert len(pressure.told) == 1
    assert "it is away" in pressure.told[0]
    service.answers[:] = [lag(500), lag(0)]
    while len(pressure.behind) == 1:
        await again(pressure)
    assert len(pressure.told) == 1


@pytest.fixture
def coordinator() -> Iterator[FakeCoordinator]:
    found = FakeCoordinator(SCHEMA, "local:///nowhere")
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize("answer", [{"lag_bytes": None, "lag_bytes_max": 1}, {"lag_bytes": ["1"], "lag_bytes_max": 1}, {}, None])
def test_what_is_no_answer_is_an_error(coordinator: FakeCoordinator, answer: dict[str, Any] | None) -> None:
    with Connection(coordinator.url, retry_timeout_s=0) as connection:
        assert Service(connection).lag() == Lag((0, 0, 0), 64 << 20)
        coordinator.lag = answer
        with pytest.raises(DgsError):
            Service(connection).lag()


def test_on_kafka_the_service_tells_entries(coordinator: FakeCoordinator) -> None:
    coordinator.lag = {"lag_bytes": None, "lag_bytes_max": 64 << 20, "lag_entries": [7, 0, 9], "lag_entries_max": 8}
    with Connection(coordinator.url, retry_timeout_s=0) as connection:
        assert Service(connection).lag() == Lag((7, 0, 9), 8, "entries")


async def test_entries_carry_the_time_of_their_append(patterns: PatternFile, layouts: Layouts) -> None:
    bus = MemoryBus()
    await bus.ensure(RECORDS, 3)
    batch, _ = Parser(patterns, layouts).parse(Block(GOOD.encode(), 1))
    now, service = [5.0], FakeService(lag(500, 500, 500), lag(0, 0, 0))

    def wait(_: int, unit: str) -> None:
        now[0] = 7.25

    pressure = BackPressure(service.lag, waiting=wait, tell=lambda _: None, interval_s=INTERVAL_S)
    sender = Sender(bus, Partitioner(3, [0, 1, 2]), back_pressure=pressure, wall_clock=lambda: now[0])
    await sender.send(batch, layouts)
    for p in sender.positions:
        entries = await bus.read(RECORDS, PartitionIndex(p), Position(0), max_bytes=1 << 20, wait_s=0)
        assert [appended_ms_of(e.data) for e in entries] == [7250], "the pause is no part of its way"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_pause_shows(terminal: bool) -> None:
    stream, now = io.StringIO(), [0.0]
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    progress = Progress(stream, None, clock=lambda: now[0])
    for now[0] in (1.0, 2.0, 6.0, 7.0):
        progress.wait(65 << 20, "bytes")
    shown = [line for line in re.split(r"[\r\n]", stream.getvalue()) if line]
    assert set(shown) == {"0 lines, waiting: the service is 65 MiB behind"}
    assert len(shown) == (4 if terminal else 1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    found = World(tmp_path)
    found.coordinator.start()
    yield found
    found.coordinator.stop()
    asyncio.run(found.bus.close())


def test_the_command_waits_and_says_so(world: World) -> None:
    world.coordinator.lags = [{"lag_bytes": [101, 101, 101], "lag_bytes_max": 100}]
    done = world.run()
    assert done.exit_code == 0, done.output
    assert re.search(r"0 dead letters, \d+\.\d s of it waiting for the service\n", done.stderr)
    assert len(world.records()) == 4
    assert [path for _, path, _ in world.coordinator.requests].count("/lag") == 2


def test_the_command_warns_of_a_service_that_does_not_tell(world: World) -> None:
    world.coordinator.lag = None
    done = world.run()
    assert done.exit_code == 0, done.output
    assert done.stderr.count("warning: the service does not say how far it is behind") == 1
    assert set(done.stdout.splitlines()) <= world.ends()
    assert len(world.records()) == 4
