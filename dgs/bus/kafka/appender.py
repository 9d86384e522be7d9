"""The writing half of a bus on Kafka: appends to any partition through one idempotent producer.

A producer keeps the order of a partition whatever it has to send again, so an append that was given up as late stands before the
one that its caller makes instead. A producer that has failed is not used again, since it would refuse, or lose count of, what
follows; it is closed before another one takes over.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from dgs.bus.kafka.clients import KafkaClients, close
from dgs.bus.kafka.failures import failure
from dgs.core.types import Position
from dgs.telemetry import logs

APPEND_S = 15.0
"""An append that is not acknowledged by then is left to its caller. Longer than a leader takes to be replaced."""

_log = logs.get(__name__)


class Appender:
    """Appends entries under a key.

    The entries of an append are put in together, and so stand next to each other as far as one batch reaches; what comes while a
    batch of the same partition is on its way makes the next one. Between the batches of a large append those of other processes may
    stand.
    """

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closing: asyncio.Task[None] | None = None

    async def append(self, topic: str, partition: int, key: bytes | None, entries: Sequence[bytes]) -> Position | None:
        """Append entries, at least one; return the position behind them, None where the broker did not tell it.

        Raises:
            TooLargeError: the topic does not take an entry of that size.
            StateError: not allowed.
            OSError: not acknowledged; some of the entries may stand there, or come to stand there before any later append.
        """
        producer = None
        try:
            async with asyncio.timeout(APPEND_S):
                async with self._turns[topic, partition]:
                    producer = await self._current()
                    waiting = [await producer.send(topic, entry, key, partition) for entry in entries]
                last = (await asyncio.gather(*waiting))[-1].offset
        except (TimeoutError, KafkaTimeoutError):
            raise TimeoutError(f"Kafka has not acknowledged entries of {topic}/{partition} within {APPEND_S:g} s") from None
        except KafkaError as e:
            self._replace(producer, e)
            raise failure(e, f"append to {topic}/{partition}") from None
        return Position(last + 1) if last >= 0 else None

    async def close(self) -> None:
        """Complete what is under way, as far as brokers answer."""
        if self._closing is not None:
            await self._closing
        if self._producer is not None:
            await close(self._producer)

    async def _current(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._closing is not None:
                await asyncio.shield(self._closing)
                self._closing = None
            if self._producer is None:
                self._producer = await self._clients.producer()
            return self._producer

    def _replace(self, failed: AIOKafkaProducer | None, error: KafkaError) -> None:
        if failed is not None and failed is self._producer:
            _log.warning("the producer has failed; another one takes over", cause=error)
            self._producer, self._closing = None, asyncio.create_task(close(failed))
