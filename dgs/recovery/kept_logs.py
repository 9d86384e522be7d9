"""Logs that a checkpoint has not copied: whether they have what a state needs to go on, and on Kafka what has come since."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace

from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.log import Logs
from dgs.bus.open import open_bus
from dgs.bus.topics import ensure_topics
from dgs.codec.entries import decode_entry
from dgs.coordinator.later_orders import with_later_orders
from dgs.coordinator.state import State
from dgs.core.control import ControlItem
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, NotFoundError, PositionError, StateError
from dgs.core.repair import ANEW
from dgs.core.types import PartitionIndex, Position
from dgs.store.manifest import SAMPLER, Manifest, Part

READ_BYTES = 1 << 20
WAIT_S = 5.0
"""For entries that are there."""


def check_log(logs: Logs, part: Part) -> None:
    """Check that the log of a part can be read on from its position.

    Args:
        logs: of the deployment.
        part: of a checkpoint of it.

    Raises:
        StateError: the log lacks it or is gone, or belongs to another deployment.
        UnreachableError: the bus is away.
    """
    topic = RECORDS if part.kind == SAMPLER else SAMPLES
    try:
        with closing(logs.open(topic, PartitionIndex(part.partition))) as log:
            log.read(Position(part.position), 1)
        return
    except NotFoundError as e:
        if part.position == 0:
            return
        why = str(e)
    except PositionError as e:
        why = str(e).partition(";")[0]
    raise StateError(f"{part.kind}/{part.partition} would go on from position {part.position}, and cannot: {why}; {ANEW}")


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
