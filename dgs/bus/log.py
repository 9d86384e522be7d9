"""Logs as they stand, for programs that look at them from outside any event loop, as `dgs inspect` and `dgs rebuild` do.

`dgs.bus.open.open_logs` gives those of a deployment; nothing in them is made or changed.
"""

from typing import Protocol

from dgs.bus.base import Entry
from dgs.core.types import PartitionIndex, Position


class Log(Protocol):
    """One partition of a topic. Each call waits for what it asks for.

    On Kafka every call raises UnreachableError while no broker answers.
    """

    def begin(self) -> Position:
        """Return the position of the first entry that is kept."""

    def end(self) -> Position:
        """Return the position after the last entry."""

    def read(self, position: Position, max_bytes: int) -> list[Entry]:
        """Return entries from `position` on, as `Bus.read` does; [] at the end of the log.

        Raises:
            PositionError: beyond the end, or before the first kept entry.
            CodecError: no whole entry is where one must be.
        """

    def close(self) -> None:
        """Close files or connections."""


class Logs(Protocol):
    """The logs of a deployment. Those on Kafka share their connections, so that one more is cheap to look at."""

    def open(self, topic: str, partition: PartitionIndex) -> Log:
        """Return one of them; close it before these.

        Raises:
            NotFoundError: nothing was appended yet, or the log is gone.
            StateError: its end is not recorded, or it is another deployment's.
            UnreachableError: it is on Kafka, and no broker answers.
        """

    def close(self) -> None:
        """Close what they share."""
