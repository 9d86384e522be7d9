"""Logs that a checkpoint has not copied, as they are on Kafka: what is needed for a state to go on, and what has come since."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.open import open_bus
from dgs.bus.topics import ensure_topics
from dgs.codec.entries import decode_entry
from dgs.coordinator.later_orders import with_later_orders
from dgs.coordinator.state import State
from dgs.core.control import ControlItem
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, PositionError, StateError
from dgs.core.types import PartitionIndex, Position
from dgs.store.manifest import SAMPLER, Manifest, Part

READ_BYTES = 1 << 20
WAIT_S = 5.0
"""For entries that are there."""


async def check_logs(deployment: Deployment, kafka: KafkaOptions | None, parts: Sequence[Part]) -> None:
    """Check that the log of each part can be read on from its position.

    Raises:
        StateError: a log lacks it, or belongs to another deployment.
        UnreachableError: the bus is away.
    """
    async with _opened(deployment, kafka) as bus:
        for part in parts:
            topic = RECORDS if part.kind == SAMPLER else SAMPLES
            try:
                await bus.read(topic, PartitionIndex(part.partition), Position(part.position), max_bytes=1, wait_s=0)
            except PositionError as e:
                raise StateError(f"{part.name} of this checkpoint cannot go on: {e}") from None


async def state_since(deployment: Deployment, kafka: KafkaOptions | None, manifest: Manifest, state: State) -> State:
    """Return the coordinator's state of a checkpoint, with what the logs tell of the time since.

    Raises:
        StateError: an order is missing there.
        UnreachableError: the bus is away.
    """
    async with _opened(deployment, kafka) as bus:
        ends = (await bus.ends([RECORDS]))[RECORDS]
        items = await _control_items(bus, Position(manifest.log(RECORDS, 0).end), ends[0])
        grown = any(end > manifest.log(RECORDS, p).end for p, end in enumerate(ends))
    later = with_later_orders(state, items, deployment.serving_partitions)
    # What has come since may be records, and a query that is installed now would not see them.
    return replace(later, loaders_admitted=True) if grown else later


@asynccontextmanager
async def _opened(deployment: Deployment, kafka: KafkaOptions | None) -> AsyncIterator[Bus]:
    bus = open_bus(deployment.bus, kafka=kafka)
    try:
        await ensure_topics(bus, deployment)
        yield bus
    finally:
        await bus.close()


async def _control_items(bus: Bus, position: Position, end: Position) -> list[ControlItem]:
    """Return the orders in a part of the first record partition; what cannot be read is none."""
    items = []
    while position < end:
        entries = await bus.read(RECORDS, PartitionIndex(0), position, max_bytes=READ_BYTES, wait_s=WAIT_S)
        if not entries:
            raise StateError(f"{RECORDS}/0 ends at {end}, but nothing comes from position {position} on; are the brokers well?")
        for entry in entries:
            try:
                decoded = decode_entry(entry.data)
            except CodecError:
                continue
            if isinstance(decoded, ControlItem):
                items.append(decoded)
        position = entries[-1].next
    return items
