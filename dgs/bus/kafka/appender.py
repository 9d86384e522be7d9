"""The writing half of a bus on Kafka: appends to any partition, one at a time each, through one idempotent producer.

A producer keeps its order whatever it has to send again, so an append that was given up as late stands before the one that its
caller makes instead. A producer that has failed is not used again, since it would refuse, or lose count of, what follows.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from dgs.bus.kafka.clients import KafkaClients, close
from dgs.bus.kafka.failures import failure
from dgs.core.types import Position
from dgs.telemetry import logs

APPEND_S = 15.0
"""An append that is not acknowledged by then is left to its caller. Longer than a leader takes to be replaced."""

_log = logs.get(__name__)


@dataclass(slots=True)
class _Shared:
    """A producer, and how many appends use it."""

    producer: AIOKafkaProducer
    users: int = 0
    failed: bool = False


class Appender:
    """Appends entries under a key.

    The entries of an append that fit into one batch stand next to each other. Between the batches of a larger one those of other
    processes may stand; appends through this object never mix.
    """

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients
        self._shared: _Shared | None = None
        self._starting = asyncio.Lock()
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closing: set[asyncio.Task[None]] = set()

    async def append(self, topic: str, partition: int, key: bytes | None, entries: Sequence[bytes]) -> Position | None:
        """Append entries, at least one; return the position behind them, None where the broker did not tell it.

        Raises:
            TooLargeError: the topic does not take an entry of that size.
            StateError: not allowed.
            OSError: not acknowledged; some of the entries may stand there, or come to stand there before any later append.
        """
        async with self._turns[topic, partition]:
            try:
                async with asyncio.timeout(APPEND_S):
                    shared = await self._current()
                    shared.users += 1
                    try:
                        return await _send(shared.producer, topic, partition, key, entries)
                    except KafkaError as e:
                        self._fail(shared, e)
                        raise failure(e, f"append to {topic}/{partition}") from None
                    finally:
                        shared.users -= 1
                        self._close_unused(shared)
            except TimeoutError:
                raise TimeoutError(f"Kafka has not acknowledged entries of {topic}/{partition} within {APPEND_S:g} s") from None

    async def close(self) -> None:
        """Complete what is under way, as far as brokers answer."""
        if self._shared is not None:
            await close(self._shared.producer)
            self._shared = None
        await asyncio.gather(*self._closing)

    async def _current(self) -> _Shared:
        async with self._starting:
            if self._shared is None:
                self._shared = _Shared(await self._clients.producer())
            return self._shared

    def _fail(self, shared: _Shared, error: KafkaError) -> None:
        shared.failed = True
        if self._shared is shared:
            self._shared = None
            _log.warning("the producer has failed; another one takes over", cause=error)

    def _close_unused(self, shared: _Shared) -> None:
        """Close a failed producer once the last append has left it."""
        if shared.failed and not shared.users:
            task = asyncio.create_task(close(shared.producer))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, key: bytes | None, entries: Sequence[bytes]
) -> Position | None:
    """Send entries in as few batches as they fit into, and wait for all of them."""
    acknowledged = []
    at = 0
    while at < len(entries):
        batch = producer.create_batch()
        while at < len(entries) and batch.append(timestamp=None, key=key, value=entries[at]) is not None:
            at += 1
        batch.close()
        acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
        last = batch.record_count()
    results = await asyncio.gather(*acknowledged)
    first = results[-1].offset
    return Position(first + last) if first >= 0 else None
