"""A store in RocksDB, one directory a sampler partition.

Writes hold the GIL for as long as they take, so this belongs into processes that serve no requests. The write-ahead log is on and
not synced: a commit survives the death of the process; what power loss takes, the log of records brings back.
"""

import gc
from collections.abc import Iterator
from pathlib import Path

from rocksdict import AccessType, DBCompressionType, Options, Rdict, ReadOptions, WriteBatch

from dgs.core.errors import StateError
from dgs.core.types import Position
from dgs.store.base import Batch

_COMMITTED = b"\x00committed"
"""Stands before all other keys: 8 bytes of position, then the meta."""
_FIRST = _COMMITTED + b"\x00"
"""The least key that is not _COMMITTED; keys of the state begin with a letter."""
_WRITE_BUFFER_BYTES = 64 << 20


class RocksStore:
    """RocksDB behind the `Store` interface."""

    def __init__(self, path: Path) -> None:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_keep_log_file_num(2)
        options.set_max_background_jobs(2)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = Rdict(str(path), options, access_type=AccessType.read_write())
        except Exception as e:  # rocksdict raises bare exceptions
            raise StateError(
                f"{path} cannot be opened as state of a sampler partition: {e}; if another process works on this partition, "
                "stop it first; if the files are damaged, remove the folder, and the state is rebuilt from the log's start"
            ) from e

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        writes = WriteBatch(raw_mode=True)
        put = writes.put
        for key in sorted(batch.puts):
            put(key, batch.puts[key])
        put(_COMMITTED, batch.position.to_bytes(8, "big") + batch.meta)
        self._db.write(writes)

    def committed(self) -> tuple[Position, bytes] | None:
        """See `Store.committed`."""
        value = self._db.get(_COMMITTED)
        return None if value is None else (Position(int.from_bytes(value[:8], "big")), value[8:])

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.scan`."""
        iterator = self._db.iter(ReadOptions())
        iterator.seek(max(prefix, _FIRST))
        while iterator.valid():
            key = iterator.key()
            if not key.startswith(prefix):
                break
            yield key, iterator.value()
            iterator.next()

    def close(self) -> None:
        """See `Store.close`. The lock is free once no iterator is left."""
        gc.collect()
        self._db.close()
