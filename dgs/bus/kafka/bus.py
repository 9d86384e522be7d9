"""The bus on Apache Kafka: a partition of a topic is a partition on Kafka, an entry is a record, a position is an offset.

The key of a record is the log id of the deployment that wrote it, so that what belongs to another one is noticed; records without a
key, those of foreign programs, are read as any. Groups are used to show the lag only: which partitions a process reads, and from
where on, is never Kafka's decision. See docs/kafka.md and ADR 16.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from dgs.backoff import Backoff
from dgs.bus.base import READERS, Entry
from dgs.bus.kafka.address import KafkaAddress
from dgs.bus.kafka.appender import Appender
from dgs.bus.kafka.clients import KafkaClients
from dgs.bus.kafka.failures import UNAUTHORIZED, failure
from dgs.bus.kafka.lag import GroupPositions
from dgs.bus.kafka.offsets import KafkaOffsets, Moment
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.kafka.reader import Reader
from dgs.bus.kafka.topics import KafkaTopics
from dgs.core.errors import InputError, NotFoundError, StateError, UnreachableError
from dgs.core.types import PartitionIndex, Position
from dgs.telemetry import logs

ENSURE_S = 60.0
"""How long a cluster that is away is waited for at the start."""
IDLE_READERS_MOST = 4
"""Of one log, that are kept: a worker's, stand-bys', and those of who looks at it now and then; the latest used stay."""
ANSWER_S = 5.0
"""How long a read that must not wait for new entries waits for those that are there."""
_RETRY_FIRST_S, _RETRY_MOST_S = 0.2, 2.0

_log = logs.get(__name__)


class KafkaBus:
    """See `dgs.bus.base.Bus`. One event loop.

    Args:
        address: of the cluster.
        options: how to talk to it.
    """

    def __init__(self, address: KafkaAddress, options: KafkaOptions) -> None:
        self._address = address
        self._options = options
        self._clients = KafkaClients(address, options)
        self._appender = Appender(self._clients)
        self._counts: dict[str, int] = {}
        self._owners: dict[str, bytes] = {}
        self._idle: dict[TopicPartition, list[Reader]] = {}
        self._busy: set[Reader] = set()
        self._groups: dict[str, GroupPositions] = {}
        self._offsets = KafkaOffsets(self._clients)
        self._undeletable: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def ensure(self, topic: str, partitions: int, log_id: str = "") -> None:
        """See `Bus.ensure`; at least one partition, else InputError.

        Raises:
            UnreachableError: the cluster stays away.
        """
        self._check_open()
        if partitions < 1:
            raise InputError(f"topic {topic} needs at least one partition, not {partitions}")
        deadline_s = asyncio.get_running_loop().time() + ENSURE_S
        backoff = Backoff(_RETRY_FIRST_S, _RETRY_MOST_S)
        told = False
        while True:
            try:
                await KafkaTopics(self._clients, self._options).ensure(self._address.topic(topic), partitions)
                self._counts[topic] = partitions
                if log_id:
                    await self.check_owner(topic, range(partitions), log_id)
                return
            except OSError as e:
                if asyncio.get_running_loop().time() >= deadline_s:
                    raise UnreachableError(f"topic {topic} cannot be used, after {ENSURE_S:g} s: {e}") from None
                if not told:
                    _log.warning("Kafka is away; it is tried again", topic=topic, cause=e)
                told = True
            await asyncio.sleep(backoff.next())

    async def check_owner(self, topic: str, partitions: Iterable[int], log_id: str) -> None:
        """Look at the first kept record of some partitions; whatever of the topic is read later is checked as it is read.

        Raises:
            StateError: it is another deployment's.
            OSError: no broker tells it.
        """
        places = [self._place(topic, PartitionIndex(p)) for p in partitions]
        begins, ends = await self._offsets.begins(places), await self._offsets.ends(places)
        for place in places:
            if begins[place] < ends[place]:
                reader = Reader(self._clients, place, begins[place], lambda record: _check_key(record, topic, log_id.encode()))
                try:
                    await reader.read(1, ANSWER_S)
                except OffsetOutOfRangeError:
                    pass  # truncated meanwhile, which only an owner does
                finally:
                    await reader.close()
        self._owners[topic] = log_id.encode()

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        """See `Bus.append`. Entries of other processes may stand between the batches (1 MiB) of a large append; nobody minds.

        Channels and orders are numbered, and records of one loader only have to be in order.

        Raises:
            NotFoundError: no such topic or partition.
            TooLargeError, StateError: Kafka will never take it; says which setting is in the way.
            OSError: Kafka has not acknowledged it.
        """
        place = self._place(topic, partition)
        if not entries:
            return await self.end(topic, partition)
        end = await self._appender.append(place.topic, place.partition, self._owners.get(topic), entries)
        return await self.end(topic, partition) if end is None else end

    async def read(
        self, topic: str, partition: PartitionIndex, position: Position, *, max_bytes: int, wait_s: float
    ) -> list[Entry]:
        """See `Bus.read`. While no broker answers it returns [], when the time is over."""
        place = self._place(topic, partition)
        await asyncio.sleep(0)
        if not wait_s:
            if await self.end(topic, partition) == position:
                return []
            wait_s = ANSWER_S
        reader = self._idle_at(place, position)
        if reader is None:
            owner = self._owners.get(topic, b"")
            reader = Reader(self._clients, place, position, lambda record: _check_key(record, topic, owner))
        self._busy.add(reader)
        try:
            entries = await reader.read(max_bytes, wait_s)
        except OffsetOutOfRangeError:
            self._discard(reader)
            with suppress(OSError):  # who does not answer is asked again
                await self._offsets.check(topic, place, position)
            return []
        except OSError as e:
            self._discard(reader)
            _log.warning("a read from Kafka failed; it is made again", log=f"{place.topic}/{partition}", cause=e)
            await asyncio.sleep(min(wait_s, _RETRY_MOST_S))
            return []
        except BaseException:
            self._discard(reader)
            raise
        finally:
            self._busy.discard(reader)
        idle = self._idle.setdefault(place, [])
        idle.append(reader)
        if len(idle) > IDLE_READERS_MOST:
            self._discard(idle.pop(0))
        return entries

    async def release(self, topic: str, partition: PartitionIndex) -> None:
        """Close what has read a log; a later read opens it again."""
        for reader in self._idle.pop(self._place(topic, partition), []):
            self._discard(reader)

    def processed(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """See `Bus.processed`; Kafka's tools for groups show it."""
        self._group(topic).reading(self._place(topic, partition), position)

    async def begin(self, topic: str, partition: PartitionIndex) -> Position:
        """Return the position of the first entry that is kept; OSError while no broker tells it."""
        place = self._place(topic, partition)
        return (await self._offsets.begins([place]))[place]

    async def end(self, topic: str, partition: PartitionIndex) -> Position:
        """Return the position after the last entry; OSError while no broker tells it."""
        place = self._place(topic, partition)
        ends = await self._offsets.ends([place])
        return ends[place]

    async def ends(self, topics: Sequence[str]) -> dict[str, list[Position]]:
        """See `Bus.ends`. They are asked for together, but brokers do not tell them of one moment."""
        places = {topic: [self._place(topic, PartitionIndex(p)) for p in range(self._count(topic))] for topic in topics}
        ends = await self._offsets.ends([place for of_topic in places.values() for place in of_topic])
        return {topic: [ends[place] for place in of_topic] for topic, of_topic in places.items()}

    async def since(self, topic: str, moment: Moment) -> list[Position]:
        """Return where each partition has the first entry since a moment; OSError while no broker tells it."""
        places = [self._place(topic, PartitionIndex(p)) for p in range(self._count(topic))]
        found = await self._offsets.since(places, moment)
        return [found[place] for place in places]

    async def truncate(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """Have Kafka delete the records before `position`; said in the log, and left, where that is not allowed.

        Raises:
            PositionError: it is beyond the end.
            OSError: Kafka did not do it.
        """
        place = self._place(topic, partition)
        begins = await self._offsets.begins([place])
        if position <= begins[place]:
            return
        try:
            async with self._clients.admin() as admin:
                await admin.delete_records({place: RecordsToDelete(position)})
        except OffsetOutOfRangeError:
            await self._offsets.check(topic, place, position)
        except UNAUTHORIZED:
            if topic not in self._undeletable:
                self._undeletable.add(topic)
                _log.warning("Kafka does not allow to delete records that nobody needs; they stay", topic=place.topic)
        except KafkaError as e:
            raise failure(e, f"delete records of {place.topic}/{partition}") from None

    async def close(self) -> None:
        """End waiting reads, complete appends under way, and close all connections; every later call is a StateError."""
        self._closed = True
        for reader in [*self._busy, *(reader for idle in self._idle.values() for reader in idle)]:
            self._discard(reader)
        self._idle.clear()
        await asyncio.gather(*(group.close() for group in self._groups.values()), self._appender.close(), *self._closing)
        await self._offsets.close()

    # -- below: places and their owner --------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"the bus on {', '.join(self._address.brokers)} was closed")

    def _count(self, topic: str) -> int:
        self._check_open()
        count = self._counts.get(topic)
        if count is None:
            raise NotFoundError(f"no topic {topic}: `ensure` makes it")
        return count

    def _place(self, topic: str, partition: PartitionIndex) -> TopicPartition:
        count = self._count(topic)
        if not 0 <= partition < count:
            raise NotFoundError(f"topic {topic} has partitions 0 to {count - 1}, no {partition}")
        return TopicPartition(self._address.topic(topic), int(partition))

    # -- below: readers -----------------------------------------------------------------------------------------------

    def _group(self, topic: str) -> GroupPositions:
        group = self._groups.get(topic)
        if group is None:
            name = f"{self._options.group_prefix}-{READERS.get(topic, topic)}"
            group = self._groups[topic] = GroupPositions(self._clients, name)
        return group

    def _idle_at(self, place: TopicPartition, position: Position) -> Reader | None:
        """Take the idle reader that reads on at a position, if there is one."""
        idle = self._idle.get(place, [])
        found = next((reader for reader in idle if reader.position == position), None)
        if found is not None:
            idle.remove(found)
        return found

    def _discard(self, reader: Reader | None) -> None:
        if reader is not None:
            task = asyncio.create_task(reader.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _check_key(record: Any, topic: str, owner: bytes) -> None:
    """Refuse a record that another deployment has written."""
    if owner and record.key is not None and record.key != owner:
        raise StateError(
            f"topic {topic} on Kafka ({record.topic}/{record.partition}, offset {record.offset}) belongs to another deployment"
            f" ({record.key.decode(errors='replace')}, not {owner.decode()}): give each deployment topics of its own, by a prefix"
            " of their names (kafka://host:9092/PREFIX)"
        )
