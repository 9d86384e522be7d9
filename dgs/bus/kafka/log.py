"""The logs of a deployment on Kafka as they stand, for programs without an event loop; see `dgs.bus.log`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from dgs.bus.base import Entry
from dgs.bus.kafka.address import KafkaAddress
from dgs.bus.kafka.bus import KafkaBus
from dgs.bus.kafka.clients import KafkaClients
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.kafka.topics import KafkaTopics
from dgs.core.errors import NotFoundError, UnreachableError
from dgs.core.types import PartitionIndex, Position

T = TypeVar("T")


class KafkaLogs:
    """See `Logs`. They have an event loop of their own, and one bus.

    Args:
        address: of the cluster.
        options: how to talk to it.
        log_id: of the deployment that the topics have to be of.
    """

    def __init__(self, address: KafkaAddress, options: KafkaOptions, log_id: str) -> None:
        self._address = address
        self._topics = KafkaTopics(KafkaClients(address, options), options)
        self._log_id = log_id
        self._runner = asyncio.Runner()
        self._bus = KafkaBus(address, options)
        self._counts: dict[str, int] = {}

    def open(self, topic: str, partition: PartitionIndex) -> "KafkaLog":
        """See `Logs.open`; StateError also where looking at the topic is not allowed."""
        name = f"{self._address.topic(topic)}/{partition}"
        if partition >= self._count(topic):
            raise NotFoundError(f"Kafka ({', '.join(self._address.brokers)}) has no log {name}, or this user may not see it")
        self.run(self._bus.check_owner(topic, [partition], self._log_id))
        return KafkaLog(self, self._bus, topic, partition, name)

    def close(self) -> None:
        """See `Logs.close`."""
        with self._runner:
            self.run(self._bus.close())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what some work on the bus leads to; UnreachableError where no broker answers."""
        try:
            return self._runner.run(work)
        except OSError as e:
            raise UnreachableError(str(e)) from None

    def _count(self, topic: str) -> int:
        """Return how many partitions a topic has, 0 where there is none."""
        if topic not in self._counts:
            # Looked up before `ensure`, which would make a topic that is not there.
            count = self.run(self._topics.partitions(self._address.topic(topic)))
            if count is None:
                return 0
            self.run(self._bus.ensure(topic, count))
            self._counts[topic] = count
        return self._counts[topic]


class KafkaLog:
    """See `Log`; made by `KafkaLogs.open`."""

    def __init__(self, logs: KafkaLogs, bus: KafkaBus, topic: str, partition: PartitionIndex, name: str) -> None:
        self._logs = logs
        self._bus = bus
        self._topic, self._partition = topic, partition
        self._name = name

    def begin(self) -> Position:
        """See `Log.begin`."""
        return self._logs.run(self._bus.begin(self._topic, self._partition))

    def end(self) -> Position:
        """See `Log.end`."""
        return self._logs.run(self._bus.end(self._topic, self._partition))

    def read(self, position: Position, max_bytes: int) -> list[Entry]:
        """See `Log.read`."""
        entries = self._logs.run(self._bus.read(self._topic, self._partition, position, max_bytes=max_bytes, wait_s=0))
        if not entries and position < self.end():
            raise UnreachableError(f"nothing comes from {self._name} on Kafka, position {position} on; are the brokers well?")
        return entries

    def close(self) -> None:
        """See `Log.close`; other connections than those that have read this one stay."""
        self._logs.run(self._bus.release(self._topic, self._partition))
