"""Logs are truncated below what every state and every kept checkpoint needs, by one who knows both."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.memory import MemoryBus
from dgs.bus.topics import ensure_topics
from dgs.coordinator.truncation import Truncation
from dgs.core.deployment import Deployment
from dgs.core.errors import PositionError
from dgs.core.types import PartitionIndex, Position
from dgs.store.manifest import SAMPLER, SERVING, LogRange, Manifest, Part

ZERO = PartitionIndex(0)
ENTRY = 10
"""Bytes of an entry, with what the bus adds."""


@pytest_asyncio.fixture
async def bus(deployment: Deployment) -> AsyncIterator[MemoryBus]:
    """Logs with ten entries in each partition."""
    bus = MemoryBus()
    await ensure_topics(bus, deployment)
    for topic, partitions in ((RECORDS, deployment.partitions), (SAMPLES, deployment.serving_partitions)):
        for p in range(partitions):
            await bus.append(topic, PartitionIndex(p), [b"xx"] * 10)
    yield bus
    await bus.close()


def checkpoint(deployment: Deployment, records: int, samples: int) -> Manifest:
    """A checkpoint whose states are at these entries."""
    parts = [Part(SAMPLER, p, records * ENTRY, [], [], [], 0) for p in range(deployment.partitions)]
    parts += [Part(SERVING, s, samples * ENTRY, [], [], [], 0) for s in range(deployment.serving_partitions)]
    logs: list[LogRange] = []
    return Manifest("id", 0, 0.0, 0, deployment.identity(), "", {}, parts, logs)


async def first(bus: MemoryBus, topic: str, partition: int = 0) -> int:
    """Return which is the first entry that is left."""
    for i in range(11):
        try:
            await bus.read(topic, PartitionIndex(partition), Position(i * ENTRY), max_bytes=1, wait_s=0)
        except PositionError:
            continue
        return i
    raise AssertionError("nothing can be read")


@dataclass
class Told:
    """From which entries on partitions have said that they need their logs."""

    records: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(3), 9))
    samples: dict[int, int] = field(default_factory=dict)

    def records_needed(self, partition: int) -> int | None:
        return _position(self.records.get(partition))

    def samples_needed(self, partition: int) -> int | None:
        return _position(self.samples.get(partition))


def _position(entry: int | None) -> int | None:
    return None if entry is None else entry * ENTRY


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def truncation(bus: MemoryBus, deployment: Deployment, told: Told) -> Truncation:
    return Truncation(bus, deployment, told)


async def test_nothing_goes_before_it_is_known_which_checkpoints_are_kept(
    bus: MemoryBus, truncation: Truncation, told: Told
) -> None:
    told.samples[0] = 5
    await truncation.truncate()
    assert await first(bus, SAMPLES) == 0
    truncation.checkpoints_kept([])
    await truncation.truncate()
    assert await first(bus, SAMPLES) == 5
    told.samples[0] = 6
    await truncation.truncate()
    assert await first(bus, SAMPLES) == 6


async def test_without_a_checkpoint_records_stay(bus: MemoryBus, truncation: Truncation) -> None:
    truncation.checkpoints_kept([])
    await truncation.truncate()
    assert await first(bus, RECORDS) == 0


async def test_the_oldest_checkpoint_and_the_oldest_snapshot_count(
    bus: MemoryBus, truncation: Truncation, deployment: Deployment, told: Told
) -> None:
    kept = [checkpoint(deployment, 7, 8), checkpoint(deployment, 4, 3)]
    truncation.checkpoints_kept(kept)
    await truncation.truncate()
    assert [await first(bus, RECORDS, p) for p in range(deployment.partitions)] == [4] * deployment.partitions
    assert await first(bus, SAMPLES) == 0  # it has no snapshots of its own
    told.samples[0] = 6
    await truncation.truncate()
    assert await first(bus, SAMPLES) == 3
    assert await first(bus, SAMPLES, 1) == 0
    truncation.checkpoints_kept(kept[:1])
    await truncation.truncate()
    assert (await first(bus, RECORDS), await first(bus, SAMPLES)) == (7, 6)


async def test_what_a_sampler_has_not_committed_stays(
    bus: MemoryBus, truncation: Truncation, deployment: Deployment, told: Told
) -> None:
    told.records[0] = 2  # behind the checkpoint: it was made of an older one
    del told.records[1]
    truncation.checkpoints_kept([checkpoint(deployment, 7, 8)])
    await truncation.truncate()
    assert [await first(bus, RECORDS, p) for p in range(3)] == [2, 0, 7]


async def test_nothing_goes_while_a_checkpoint_is_created(
    bus: MemoryBus, truncation: Truncation, deployment: Deployment, told: Told
) -> None:
    told.samples[0] = 6
    truncation.checkpoints_kept([checkpoint(deployment, 7, 8)])
    with truncation.held():
        await truncation.truncate()
        assert (await first(bus, RECORDS), await first(bus, SAMPLES)) == (0, 0)
    await truncation.truncate()
    assert await first(bus, SAMPLES) == 6


async def test_a_bus_that_refuses_is_tried_again(
    bus: MemoryBus, truncation: Truncation, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, refusals = bus.truncate, [OSError("read-only"), OSError("read-only")]

    async def truncate(topic: str, partition: PartitionIndex, position: Position) -> None:
        if refusals:
            raise refusals.pop()
        await real(topic, partition, position)

    monkeypatch.setattr(bus, "truncate", truncate)
    monkeypatch.setattr("dgs.coordinator.truncation.INTERVAL_S", 0.001)
    monkeypatch.setattr("dgs.coordinator.truncation.START_S", 0.001)
    told.samples[0] = 6
    truncation.checkpoints_kept([])
    running = asyncio.create_task(truncation.run())
    async with asyncio.timeout(10):
        while await first(bus, SAMPLES) != 6:  # noqa: ASYNC110  # as users see it
            await asyncio.sleep(0.001)
    running.cancel()
    assert [r.getMessage() for r in caplog.records] == ["a log is not truncated; it is tried again"]
