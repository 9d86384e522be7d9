"""The reading half of a bus on Kafka: one partition, from a position on, fetched ahead.

A reader has a consumer and its connections of its own, so that a request that waits at the end of one log holds up no other. While
no broker can be used it goes on trying, and says so in the log once.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, KafkaError, OffsetOutOfRangeError

from dgs.backoff import Backoff
from dgs.bus.base import Entry
from dgs.bus.kafka.clients import KafkaClients, close
from dgs.bus.kafka.failures import failure
from dgs.core.errors import CodecError
from dgs.core.repair import ANEW
from dgs.core.types import Position
from dgs.telemetry import logs

GATHER_S = 0.01
"""Entries that come one by one are fetched together, no sooner than so long after the last ones came: a request costs its part of a
millisecond on either side, and what follows from an entry as much again. What comes after a pause is fetched at once."""
_FEW_BYTES = 1 << 16
SILENT_S = 3.0
"""A broker that has not answered for so long is said to be away. One that is there answers every `FETCH_WAIT_MS`, at least."""
_LOOK_S = 1.0
_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 2.0

_log = logs.get(__name__)

Check = Callable[[Any], None]
"""Raises where a record of Kafka is not to be read."""


class Reader:
    """Reads one partition in order; one call at a time.

    Attributes:
        position: the next entry that it returns.
    """

    def __init__(self, clients: KafkaClients, place: TopicPartition, position: Position, check: Check) -> None:
        self.position = position
        self._clients = clients
        self._place = place
        self._check = check
        self._buffer: deque[Entry] = deque()
        self._opening = asyncio.create_task(self._open())
        self._gathered_at: float | None = None
        self._heard: int | None = None
        self._silent_since: float | None = None
        self._away = False

    async def read(self, max_bytes: int, wait_s: float) -> list[Entry]:
        """Return entries, at least one if it comes within the time.

        Raises:
            OffsetOutOfRangeError: the log has no such position.
            CodecError: a batch is damaged.
            StateError: an entry is another deployment's, or reading is not allowed.
        """
        if not self._buffer:
            await self._fill(wait_s)
        entries: list[Entry] = []
        taken = 0
        while self._buffer and (not entries or taken + len(self._buffer[0].data) <= max_bytes):
            entry = self._buffer.popleft()
            taken += len(entry.data)
            entries.append(entry)
        if entries:
            self.position = entries[-1].next
        return entries

    async def close(self) -> None:
        """Close the consumer; a read that waits returns []."""
        self._opening.cancel()
        await asyncio.wait([self._opening])
        if not self._opening.cancelled() and self._opening.exception() is None:
            await close(self._opening.result())

    async def _open(self) -> AIOKafkaConsumer:
        backoff = Backoff(_RETRY_FIRST_S, _RETRY_MOST_S)
        while True:
            try:
                return await self._clients.consumer(self._place.topic, self._place.partition, self.position)
            except OSError as e:
                self._miss(e)
            await asyncio.sleep(backoff.next())

    async def _fill(self, wait_s: float) -> None:
        """Wait for entries until some are there, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + wait_s
        done, _ = await asyncio.wait([self._opening], timeout=wait_s)
        if not done or self._opening.cancelled():
            return
        consumer = self._opening.result()
        if not await self._gathered(consumer, deadline_s):
            return
        while not self._buffer:
            remaining_s = max(0.0, deadline_s - loop.time())
            try:
                found = await consumer.getmany(self._place, timeout_ms=1000 * min(_LOOK_S, remaining_s))
            except OffsetOutOfRangeError:
                raise
            except ConsumerStoppedError:
                return
            except CorruptRecordException:
                raise CodecError(f"Kafka's log {self._name} is damaged near position {self.position}; {ANEW}") from None
            except KafkaError as e:
                raise failure(e, f"read {self._name}") from None
            records = found.get(self._place, ())
            for record in records:
                self._check(record)
                self._buffer.append(Entry(Position(record.offset), Position(record.offset + 1), record.value or b""))
            self._listen(consumer.last_poll_timestamp(self._place), loop.time(), answered=bool(records))
            if records and sum(len(entry.data) for entry in self._buffer) < _FEW_BYTES:
                consumer.pause(self._place)
                self._gathered_at = loop.time() + GATHER_S
            if not remaining_s:
                return

    async def _gathered(self, consumer: AIOKafkaConsumer, deadline_s: float) -> bool:
        """Wait until some entries may have come together, and have them fetched; return whether that is before the deadline."""
        if self._gathered_at is not None:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, min(self._gathered_at, deadline_s) - loop.time()))
            if loop.time() < self._gathered_at:
                return False
            self._gathered_at = None
            with suppress(AssertionError):  # closed meanwhile
                consumer.resume(self._place)
        return True

    @property
    def _name(self) -> str:
        return f"{self._place.topic}/{self._place.partition}"

    def _listen(self, heard: int | None, now: float, *, answered: bool) -> None:
        """Take note of whether a broker has answered, or when one did last."""
        if answered or heard != self._heard:
            if self._away:
                _log.info("Kafka answers again", log=self._name)
            self._heard, self._silent_since, self._away = heard, None, False
        elif self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since > SILENT_S:
            self._miss("no answer")

    def _miss(self, cause: object) -> None:
        if not self._away:
            self._away = True
            _log.warning("Kafka is away; it is tried again", log=self._name, cause=cause)
