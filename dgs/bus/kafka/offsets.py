"""Where partitions on Kafka begin and end, and what it means that a position is in neither."""

import asyncio
from collections.abc import Sequence
from typing import Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from dgs.bus.base import READERS
from dgs.bus.kafka.clients import KafkaClients, close
from dgs.bus.kafka.failures import failure
from dgs.core.errors import PositionError
from dgs.core.repair import ANEW, state_anew
from dgs.core.types import Position

BEYOND_END_S = 2.0
"""A position beyond the end is believed after so long: right after a change of leaders the end may be told too low."""
_LOOK_S = 0.2

Offsets = dict[TopicPartition, Position]
Moment = Literal["earliest", "latest"] | int
"""The beginning of what is kept, the end, or a time in ms since 1970, as Kafka has it for each entry."""


class KafkaOffsets:
    """Asks for offsets of one cluster; every method raises OSError while no broker tells them."""

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients
        self._consumer: AIOKafkaConsumer | None = None
        self._starting = asyncio.Lock()

    async def begins(self, places: Sequence[TopicPartition]) -> Offsets:
        """Return the positions of the first kept entries."""
        consumer = await self._started()
        try:
            return _positions(await consumer.beginning_offsets(places))
        except KafkaError as e:
            raise failure(e, f"tell where {places[0].topic} begins") from None

    async def ends(self, places: Sequence[TopicPartition]) -> Offsets:
        """Return the positions behind the last entries."""
        consumer = await self._started()
        try:
            return _positions(await consumer.end_offsets(places))
        except KafkaError as e:
            raise failure(e, f"tell where {places[0].topic} ends") from None

    async def since(self, places: Sequence[TopicPartition], moment: Moment) -> Offsets:
        """Return the positions of the first kept entries since a moment; of the ends where there are none."""
        if moment == "earliest":
            return await self.begins(places)
        consumer, ends = await self._started(), await self.ends(places)
        if moment == "latest":
            return ends
        try:
            found = await consumer.offsets_for_times(dict.fromkeys(places, moment))
        except KafkaError as e:
            raise failure(e, f"tell where {places[0].topic} is at a time") from None
        return {place: ends[place] if (at := found.get(place)) is None else Position(at.offset) for place in places}

    async def check(self, topic: str, place: TopicPartition, position: Position) -> None:
        """Check that a log has a position; `topic` is its name without a prefix.

        Raises:
            PositionError: it does not; says what to do.
        """
        deadline_s = asyncio.get_running_loop().time() + BEYOND_END_S
        log = f"{place.topic}/{place.partition} on Kafka"
        while True:
            begin, end = (await self.begins([place]))[place], (await self.ends([place]))[place]
            if position < begin:
                raise PositionError(
                    f"{log}: position {position} is before the first kept entry ({begin}): the log was truncated, or Kafka's"
                    " retention has removed entries (retention.ms, retention.bytes), and what would read on from there has lost"
                    f" them; {state_anew(READERS.get(topic), place.partition)}"
                )
            if position <= end:
                return
            if asyncio.get_running_loop().time() >= deadline_s:
                raise PositionError(
                    f"{log}: position {position} is beyond the end of the log ({end}): the data directory that keeps this position"
                    f" and this topic do not belong together, or Kafka has lost entries; {ANEW}"
                )
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Close the connections."""
        if self._consumer is not None:
            await close(self._consumer)

    async def _started(self) -> AIOKafkaConsumer:
        async with self._starting:
            if self._consumer is None:
                self._consumer = await self._clients.idle_consumer()
            return self._consumer


def _positions(offsets: dict[TopicPartition, int]) -> Offsets:
    return {place: Position(offset) for place, offset in offsets.items()}
