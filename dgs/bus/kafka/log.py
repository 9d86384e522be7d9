"""One log on Kafka as it stands, for programs without an event loop; see `dgs.bus.log.Log`."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
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


class KafkaLog:
    """See `Log`. It has an event loop of its own.

    Args:
        address: of the cluster.
        options: how to talk to it.
        topic: the name without a prefix.
        partition: which one.
        log_id: of the deployment that the topic has to be of.

    Raises:
        NotFoundError: Kafka has no such topic or partition.
        StateError: the topic is another deployment's, or looking at it is not allowed.
        UnreachableError: no broker answers.
    """

    def __init__(self, address: KafkaAddress, options: KafkaOptions, topic: str, partition: PartitionIndex, log_id: str) -> None:
        self._topic, self._partition = topic, partition
        self._name = f"{address.topic(topic)}/{partition}"
        with ExitStack() as stack:
            self._runner = stack.enter_context(asyncio.Runner())
            # Looked up before `ensure`, which would make a topic that is not there.
            count = self._run(KafkaTopics(KafkaClients(address, options), options).partitions(address.topic(topic)))
            if count is None or partition >= count:
                raise NotFoundError(f"Kafka ({', '.join(address.brokers)}) has no log {self._name}, or this user may not see it")
            self._bus = KafkaBus(address, options)
            stack.callback(lambda: self._run(self._bus.close()))
            self._run(self._bus.ensure(topic, count))
            self._run(self._bus.check_owner(topic, [partition], log_id))
            self._closing = stack.pop_all()

    def begin(self) -> Position:
        """See `Log.begin`."""
        return self._run(self._bus.begin(self._topic, self._partition))

    def end(self) -> Position:
        """See `Log.end`."""
        return self._run(self._bus.end(self._topic, self._partition))

    def read(self, position: Position, max_bytes: int) -> list[Entry]:
        """See `Log.read`."""
        entries = self._run(self._bus.read(self._topic, self._partition, position, max_bytes=max_bytes, wait_s=0))
        if not entries and position < self.end():
            raise UnreachableError(f"nothing comes from {self._name} on Kafka, position {position} on; are the brokers well?")
        return entries

    def close(self) -> None:
        """See `Log.close`."""
        self._closing.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except OSError as e:
            raise UnreachableError(str(e)) from None
