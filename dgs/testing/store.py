"""The disk of a simulated sampler partition: remembers every commit, so that the partition can be set back to an older one."""

from collections.abc import Iterator

from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.store.memory import MemoryStore
from dgs.testing.process import COMMIT, Life


class SimStore:
    """What a sampler partition has committed, over all lives of its process.

    Attributes:
        commits: all of them, oldest first.
    """

    def __init__(self, commits: list[Batch] | None = None) -> None:
        self.commits = commits or []
        self._memory = MemoryStore()
        for batch in self.commits:
            self._memory.write(batch)

    def older(self, back: int) -> "SimStore":
        """Return a copy as it was so many commits before."""
        return SimStore(self.commits[: max(0, len(self.commits) - back)])

    def opened(self, life: Life) -> "OpenedStore":
        """Return the store as a process sees it."""
        return OpenedStore(self, self._memory, life)


class OpenedStore:
    """The store of one process; see `dgs.store.base.Store`."""

    def __init__(self, store: SimStore, memory: MemoryStore, life: Life) -> None:
        self._store = store
        self._memory = memory
        self._life = life

    def write(self, batch: Batch) -> None:
        """See `Store.write`; OSError where a fault wants it. The process may die just before or just after."""
        self._life.touch(COMMIT)
        if self._life.process.refused():
            raise OSError("a fault of the simulation: the disk refuses the commit")
        self._memory.write(batch)
        self._store.commits.append(batch)
        self._life.touch(COMMIT)

    def committed(self) -> tuple[Position, bytes] | None:
        """See `Store.committed`."""
        return self._memory.committed()

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.scan`."""
        return self._memory.scan(prefix)

    def close(self) -> None:
        """See `Store.close`."""
