"""The bus: partitioned, append-only logs that every other part of the system talks through.

Sampler and serving workers, coordinator and loader know this interface only; `memory`, `local` and `kafka` implement it.
Nothing of groups, offsets or callbacks leaks out of it.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from dgs.core.types import PartitionIndex, Position

RECORDS = "record-batches"
"""Topic that sampler partitions read: records, control items, requests of serving partitions."""
SAMPLES = "sample-batches"
"""Topic that serving partitions read: blocks, marks and notes of sampler partitions."""
READERS = {RECORDS: "sampler", SAMPLES: "serving"}
"""What reads a topic."""


class Entry(NamedTuple):
    """One entry of a log partition."""

    position: Position
    """Where the entry stands."""
    next: Position
    """Where reading goes on after it."""
    data: bytes
    """The entry itself; what is in it is the codec's business."""


class Bus(Protocol):
    """Durable logs, shared by several writers and readers.

    Ordering: the entries of one `append` stand next to each other and in order; appends of one caller to one partition stand in
    the order in which they were awaited. Entries of different writers interleave between appends, never within one.
    """

    async def ensure(self, topic: str, partitions: int, log_id: str = "") -> None:
        """Make the topic with that many partitions for the deployment of that log id, or check that it is just so.

        Without a log id (of those who only append) its owner is not checked.

        Raises:
            StateError: it has another number of partitions, or belongs to another deployment.
        """

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        """Append entries; return the position just after the last one, once all of them are durable as far as the settings promise.

        When it raises, none, some or all of the entries may stand in the log: the caller sends all of them again, in order,
        before anything else, and readers drop what they have seen already.
        """

    async def read(
        self, topic: str, partition: PartitionIndex, position: Position, *, max_bytes: int, wait_s: float
    ) -> list[Entry]:
        """Return complete entries from `position` on: at least one if there is one, then as many as fit into `max_bytes`.

        With nothing to read it waits up to `wait_s` seconds and returns []. Read on at the `next` of the last entry.

        Raises:
            PositionError: the position is beyond the end of the log, or before its first kept entry.
            CodecError: the bytes at the position are damaged (not merely incomplete); names the file and the position.
        """

    def processed(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """Take note that the machine of a partition has processed all before a position. Only tools of a bus make use of that."""

    async def end(self, topic: str, partition: PartitionIndex) -> Position:
        """Return the position after the last complete entry."""

    async def ends(self, topics: Sequence[str]) -> dict[str, list[Position]]:
        """Return the ends of all partitions of several topics; where logs are files, as they are at one moment.

        Then whatever was written because of an entry beyond one of them stands beyond one of them, too. No append is under way at
        that moment: they wait for a few milliseconds. The brokers of Kafka have no moment in common, so there nobody may rely on
        it: a checkpoint does not need to, as the logs go on after a restore (ADR 13).
        """

    async def truncate(self, topic: str, partition: PartitionIndex, position: Position) -> None:
        """Forget entries before `position`, as far as whole segments allow; later positions keep their values."""

    async def close(self) -> None:
        """Release files and wake-ups; waiting reads return []."""
