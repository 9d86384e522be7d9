"""The disk of a simulated sampler partition: remembers every commit, so that the partition can be set back to an older one.

For checkpoints it is copied as one file, which `SimStoreView` looks into and `SimStore.restored` makes a disk of again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.store.memory import MemoryStore
from dgs.testing.process import COMMIT, Life

COPY = "store.json"
"""The file of a copy."""


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

    @property
    def position(self) -> Position:
        """Of the last commit; 0 before the first."""
        return self.commits[-1].position if self.commits else Position(0)

    @classmethod
    def restored(cls, folder: Path, log_id: str) -> Self:
        """Return a store of a copy in a folder, as that of the deployment with this log id; an empty one where there is none."""
        if not (folder / COPY).exists():
            return cls()
        with SimStoreView(folder) as view:
            meta = json.dumps({**json.loads(view.batch.meta), "log_id": log_id}).encode()
            return cls([Batch(view.batch.position, meta, view.batch.puts)])

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

    # What checkpoints need, see `dgs.sampler.checkpoints.CopiedStore`

    flushing = False

    def begin_flush(self) -> None:
        """There is nothing to flush."""

    def copy(self, folder: Path) -> None:
        """Make a copy of what is committed in a new folder."""
        folder.mkdir()
        if (committed := self.committed()) is not None:
            values = {key.hex(): value.hex() for key, value in self.scan(b"")}
            (folder / COPY).write_text(json.dumps([committed[0], committed[1].decode(), values]))


class SimStoreView:
    """A copy, looked into.

    Attributes:
        batch: all of it, as one commit.
    """

    def __init__(self, folder: Path) -> None:
        self._empty = not (folder / COPY).exists()
        position, meta, values = (0, "", {}) if self._empty else json.loads((folder / COPY).read_text())
        puts = {bytes.fromhex(key): bytes.fromhex(value) for key, value in values.items()}
        self.batch = Batch(Position(position), meta.encode(), puts)

    def committed(self) -> tuple[Position, bytes] | None:
        """See `Store.committed`."""
        return None if self._empty else (self.batch.position, self.batch.meta)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to release."""
