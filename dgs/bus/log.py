"""A log as it stands, for programs that look at one from outside any event loop, as `dgs inspect` and `dgs rebuild` do.

`dgs.bus.open.open_log` opens one; nothing in it is made or changed.
"""

from typing import Protocol

from dgs.bus.base import Entry
from dgs.core.types import Position


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
