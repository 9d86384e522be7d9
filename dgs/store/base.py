"""The store: where a sampler partition keeps its state, together with the position that the state reflects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from dgs.core.types import Position


@dataclass(frozen=True, slots=True)
class Batch:
    """One commit: everything that changed since the one before, and what the whole reflects. There is none without a position."""

    position: Position
    meta: bytes
    """What else belongs to the position: channel numbers, control items, …; the codec of the machine reads it back."""
    puts: Mapping[bytes, bytes]


class Store(Protocol):
    """A key-value store whose batches are atomic. Keys begin with a letter and sort as bytes."""

    def write(self, batch: Batch) -> None:
        """Write a batch, all of it or nothing, so that it survives the death of the process."""

    def committed(self) -> tuple[Position, bytes] | None:
        """Return position and meta of the newest batch; None before the first."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values that begin with the prefix, in the order of keys."""

    def close(self) -> None:
        """Release files and locks."""
