"""Shows Kafka's own tools how far a process is: positions of its readers, committed under a consumer group about once a second.

Nobody reads them again: what counts is in the state of the machines. So whatever fails here is said once, and disturbs nobody.
"""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from dgs.bus.kafka.clients import KafkaClients, close
from dgs.bus.kafka.failures import told
from dgs.core.errors import DgsError
from dgs.core.types import Position
from dgs.telemetry import logs

INTERVAL_S = 1.0
RETRY_S = 30.0
"""After a failure."""

_log = logs.get(__name__)


class GroupPositions:
    """Commits positions under one group, as long as it runs."""

    def __init__(self, clients: KafkaClients, group: str) -> None:
        self._clients = clients
        self._group = group
        self._positions: dict[TopicPartition, Position] = {}
        self._committed: Mapping[TopicPartition, Position] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._told = False
        self._task = asyncio.create_task(self._run())

    def reading(self, place: TopicPartition, position: Position) -> None:
        """Take note that everything before a position has been processed."""
        self._positions[place] = position

    async def close(self) -> None:
        """Commit no more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._close_consumer()

    async def _run(self) -> None:
        while True:
            pause_s = INTERVAL_S
            if self._positions != self._committed:
                try:
                    await self._commit(dict(self._positions))
                except (KafkaError, DgsError, OSError) as e:
                    pause_s = RETRY_S
                    await self._close_consumer()
                    if not self._told:
                        self._told = True
                        _log.warning("Kafka's tools do not see the lag", group=self._group, cause=told(e))
                else:
                    self._told = False
            await asyncio.sleep(pause_s)

    async def _commit(self, positions: dict[TopicPartition, Position]) -> None:
        if self._consumer is None:
            self._consumer = await self._clients.idle_consumer(self._group)
        if self._consumer.assignment() != positions.keys():
            self._consumer.assign(list(positions))
            self._consumer.pause(*positions)  # it only commits
            for place, position in positions.items():
                self._consumer.seek(place, position)
        await self._consumer.commit(positions)
        self._committed = positions

    async def _close_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await close(consumer)
