"""A store in memory, for tests: what was written survives the machine that wrote it, as long as the object lives."""

from collections.abc import Iterator

from dgs.core.types import Position
from dgs.store.base import Batch


class MemoryStore:
    """A dict behind the `Store` interface."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._committed: tuple[Position, bytes] | None = None

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        self._values.update(batch.puts)
        self._committed = batch.position, batch.meta

    def committed(self) -> tuple[Position, bytes] | None:
        """See `Store.committed`."""
        return self._committed

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.scan`."""
        yield from sorted((k, v) for k, v in self._values.items() if k.startswith(prefix))

    def close(self) -> None:
        """See `Store.close`."""
