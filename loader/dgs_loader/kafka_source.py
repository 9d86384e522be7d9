"""A user's Kafka topic as a source of events: where to begin, what comes next, and how far all of it has been loaded.

All partitions are read by one consumer, assigned by hand. How far a group has come is committed under its name, only when told that
what was read is loaded; events of transactions that were aborted are never seen. Nothing here looks into an event.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError

from dgs.backoff import Backoff
from dgs.bus.kafka.clients import KafkaClients, close
from dgs.bus.kafka.failures import failure
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.kafka.topics import KafkaTopics
from dgs.core.errors import CodecError, InputError, PositionError
from dgs_loader.events import Event
from dgs_loader.offset_info import OffsetInfo
from dgs_loader.source_topic import SourceTopic

EVENTS_MOST = 4096
"""Events that one read returns."""
COMMIT_S = 15.0
"""A commit that brokers have not acknowledged by then has failed."""
SILENT_S = 5.0
"""Brokers of which none has answered for so long are said to be away; one that is there answers every half a second."""
_RETRY_FIRST_S, _RETRY_MOST_S = 0.2, 2.0

Offsets = dict[TopicPartition, int]


class KafkaSource:
    """Reads a topic from where its group has come to. Made by `opened`."""

    def __init__(
        self, consumer: AIOKafkaConsumer, where: SourceTopic, starts: Offsets, ends: Offsets, tell: Callable[[str], None]
    ) -> None:
        self._consumer = consumer
        self._where = where
        self._read = dict(starts)
        self._ends = ends
        self._loaded: Offsets = {}
        self._committed: Offsets = {}
        self._tell = tell
        self._heard: int | None = None
        self._silent_since = asyncio.get_running_loop().time()
        self._away = False

    @classmethod
    async def opened(
        cls, where: SourceTopic, options: KafkaOptions, begin: OffsetInfo, *, retry_timeout_s: float, tell: Callable[[str], None]
    ) -> Self:
        """Return the source, ready to read; brokers that are away are waited for.

        Raises:
            InputError: there is no such topic, or it has not what `begin` names.
            PositionError: the group's position is not there any more; says what to do.
            StateError: this is not allowed.
            OSError: the cluster stays away.
        """
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it says every attempt; what matters is told here
        clients = KafkaClients(where.address, options)
        clock = asyncio.get_running_loop().time
        give_up_s, backoff, told = clock() + retry_timeout_s, Backoff(_RETRY_FIRST_S, _RETRY_MOST_S), False
        while True:
            try:
                return await cls._open(clients, options, where, begin, tell)
            except OSError as e:
                if clock() >= give_up_s:
                    raise
                if not told:
                    tell(f"the source is away: {e}; trying for {retry_timeout_s:g} s")
                told = True
            await asyncio.sleep(min(backoff.next(), max(0.0, give_up_s - clock())))

    @property
    def ended(self) -> bool:
        """Whether all has been read that was there at the start."""
        return all(self._read[place] >= end for place, end in self._ends.items())

    async def read(self, wait_s: float) -> list[Event]:
        """Return the next events, [] where none come within the time.

        Raises:
            PositionError: retention has removed what comes next; says what to do.
            CodecError: Kafka's log is damaged.
            StateError: reading is not allowed.
            OSError: Kafka failed to do it.
        """
        consumer, topic = self._consumer, self._where.topic
        try:
            found = await consumer.getmany(*self._read, timeout_ms=int(1000 * wait_s), max_records=EVENTS_MOST)
            # Not only what was returned moves on: marks of transactions, and what was compacted away, are passed over.
            for place in self._read:
                self._read[place] = await consumer.position(place)
        except OffsetOutOfRangeError:
            await self._check_positions()
            return []
        except CorruptRecordException as e:
            raise CodecError(f"Kafka's log of {topic} is damaged: {e}; repair it there, or go on behind it with --group") from None
        except KafkaError as e:
            raise failure(e, f"read {topic}") from None
        self._listen(answered=bool(found))
        return [Event(r.topic, r.partition, r.offset, r.value or b"") for records in found.values() for r in records]

    def loaded(self) -> None:
        """Take note that all that was read is loaded."""
        self._loaded = dict(self._read)

    async def commit(self) -> None:
        """Have Kafka keep how far the group has loaded.

        Raises:
            StateError: this is not allowed.
            OSError: it is not acknowledged.
        """
        offsets = {place: offset for place, offset in self._loaded.items() if self._committed.get(place) != offset}
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_S):
                await self._consumer.commit(offsets)
        except TimeoutError:
            raise TimeoutError(
                f"Kafka has not acknowledged the positions of group {self._where.group} within {COMMIT_S:g} s"
            ) from None
        except KafkaError as e:
            raise failure(e, f"commit positions of group {self._where.group}") from None
        self._committed |= offsets

    async def close(self) -> None:
        """Close the connections."""
        await close(self._consumer)

    @classmethod
    async def _open(
        cls, clients: KafkaClients, options: KafkaOptions, where: SourceTopic, begin: OffsetInfo, tell: Callable[[str], None]
    ) -> Self:
        count = await KafkaTopics(clients, options).partitions(where.topic)
        if count is None:
            raise InputError(
                f"--source: {', '.join(where.address.brokers)} has no topic {where.topic!r}, or this user may not describe it"
            )
        places = [TopicPartition(where.topic, partition) for partition in range(count)]
        consumer = await clients.idle_consumer(where.group, committed_only=True)
        try:
            consumer.assign(places)
            starts, ends = await _starts(consumer, where, begin, places, tell)
        except BaseException as e:
            await close(consumer)
            if isinstance(e, KafkaError):
                raise failure(e, f"tell the positions of group {where.group} in {where.topic}") from None
            raise
        return cls(consumer, where, starts, ends, tell)

    async def _check_positions(self) -> None:
        """Check that the log has what comes next: retention may have been faster than this loader."""
        try:
            begins, ends = await _extent(self._consumer, list(self._read))
        except KafkaError as e:
            raise failure(e, f"tell where {self._where.topic} begins") from None
        for place, position in self._read.items():
            _check(self._where, place, position, begins[place], ends[place])

    def _listen(self, *, answered: bool) -> None:
        """Say once that no broker answers, and when one does again."""
        heard = max((t for place in self._read if (t := self._consumer.last_poll_timestamp(place)) is not None), default=None)
        now = asyncio.get_running_loop().time()
        if answered or heard != self._heard:
            if self._away:
                self._tell("the source answers again")
            self._heard, self._silent_since, self._away = heard, now, False
        elif not self._away and now - self._silent_since > SILENT_S:
            self._away = True
            self._tell(f"the source is away: no broker of {', '.join(self._where.address.brokers)} answers; it is tried again")


async def _starts(
    consumer: AIOKafkaConsumer, where: SourceTopic, begin: OffsetInfo, places: list[TopicPartition], tell: Callable[[str], None]
) -> tuple[Offsets, Offsets]:
    """Have the consumer begin where it has to; return where that is, and where each partition ends now."""
    if unknown := sorted(begin.offsets.keys() - {place.partition for place in places}):
        raise InputError(f"--offset-info names partition {unknown[0]}; topic {where.topic} has 0 to {len(places) - 1}")
    begins, ends = await _extent(consumer, places)
    timed = {}
    if begin.timestamp_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(places, begin.timestamp_ms))
        timed = {place: ends[place] if at is None else at.offset for place, at in found.items()}
    starts: Offsets = {}
    told = []
    for place in places:
        committed = await consumer.committed(place)
        if committed is not None:
            _check(where, place, committed, begins[place], ends[place])
            starts[place], why = committed, "as committed"
        elif place.partition in begin.offsets:
            starts[place], why = begin.offsets[place.partition], "as --offset-info says"
            if not begins[place] <= starts[place] <= ends[place]:
                raise InputError(
                    f"--offset-info: partition {place.partition} of {where.topic} has offsets {begins[place]} to {ends[place]} now,"
                    f" not {starts[place]}"
                )
        else:
            starts[place], why = timed.get(place, begins[place]), "by time" if timed else "the earliest"
        consumer.seek(place, starts[place])
        told.append(f"{place.partition} at {starts[place]} ({why})")
    tell(f"group {where.group} reads {where.topic} from partition {', '.join(told)}")
    return starts, ends


async def _extent(consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> tuple[Offsets, Offsets]:
    """Return where partitions begin and end."""
    return await consumer.beginning_offsets(places), await consumer.end_offsets(places)


def _check(where: SourceTopic, place: TopicPartition, position: int, begin: int, end: int) -> None:
    """Check that a partition has a position.

    Raises:
        PositionError: it does not; says what to do.
    """
    reset = f"kafka-consumer-groups.sh --reset-offsets --group {where.group} --topic {place.topic}:{place.partition} --execute"
    log = f"{place.topic}/{place.partition} on Kafka"
    if position < begin:
        raise PositionError(
            f"{log}: group {where.group} goes on at {position}, but the first kept event is {begin}: retention (retention.ms,"
            f" retention.bytes) has removed {begin - position} that were never loaded. If they are needed, load them from"
            f" elsewhere; to go on without them: {reset} --to-earliest"
        )
    if position > end:
        raise PositionError(
            f"{log}: group {where.group} goes on at {position}, but the log ends at {end}: the topic was made anew, or Kafka has"
            f" lost events. Load what it has now from its beginning: {reset} --to-earliest"
        )
