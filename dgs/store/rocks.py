"""A store in RocksDB, one directory a sampler partition.

Writes hold the GIL for as long as they take, so this belongs into processes that serve no requests. The write-ahead log is on and
not synced: a commit survives the death of the process; what power loss takes, the log of records brings back. A RocksDB that has
met a full disk refuses all writes until it is opened again; `write` does that.
"""

import errno
import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rocksdict import AccessType, Checkpoint, DBCompressionType, Options, Rdict, ReadOptions, WriteBatch

from dgs.core.errors import StateError
from dgs.core.repair import partition_anew
from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.troubles import free_bytes

_COMMITTED = b"\x00committed"
"""Stands before all other keys: 8 bytes of position, then the meta."""
_FIRST = _COMMITTED + b"\x00"
"""The least key that is not _COMMITTED; keys of the state begin with a letter."""
_WRITE_BUFFER_BYTES = 64 << 20
_SYSTEM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EMFILE, errno.ENFILE)
"""Errors of the system that RocksDB passes on, as their words only."""
_OPENING_BYTES = 1 << 20
"""What opening writes besides the tables: a manifest, options and the like."""


class RocksStore:
    """RocksDB behind the `Store` interface.

    Raises:
        StateError: another process has it, or its files are damaged.
        OSError: the system refuses: the disk is full, or not writable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = self._opened()
        self._refused = False

    def write(self, batch: Batch) -> None:
        """See `Store.write`. After an OSError the same batch is to be written again, before any later one.

        Raises:
            OSError: the disk is full, …; what is in the store stays.
        """
        if self._refused:
            self._open_again()
        writes = WriteBatch(raw_mode=True)
        put = writes.put
        for key in sorted(batch.puts):
            put(key, batch.puts[key])
        put(_COMMITTED, batch.position.to_bytes(8, "big") + batch.meta)
        try:
            self._db.write(writes)
        except Exception as e:  # rocksdict raises bare exceptions
            self._refused = True
            raise (_system_error(e, self._path) or e) from e

    def committed(self) -> tuple[Position, bytes] | None:
        """See `Store.committed`."""
        return read_committed(self._db)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.scan`."""
        return scan(self._db, prefix)

    def begin_flush(self) -> None:
        """Begin to write what stands in the write-ahead log into tables, as `copy` would do it while everybody waits."""
        if not self._refused:
            self._db.flush(False)

    @property
    def flushing(self) -> bool:
        """Whether that goes on."""
        return bool(self._db.property_int_value("rocksdb.num-immutable-mem-table"))

    def copy(self, folder: Path) -> None:
        """Make a RocksDB of what is committed in a folder that does not exist yet; its tables are links to those here.

        Raises:
            OSError: the disk is full, …; part of it may stand there.
        """
        try:
            Checkpoint(self._db).create_checkpoint(str(folder))
        except Exception as e:  # rocksdict raises bare exceptions
            raise (_system_error(e, self._path) or OSError(f"{self._path} cannot be copied: {e}")) from e

    def close(self) -> None:
        """See `Store.close`. The lock is free once no iterator is left."""
        gc.collect()
        try:
            self._db.close()
        except Exception as e:  # it flushes first, which a bad disk refuses; what was written stands in the write-ahead log
            if not self._refused and _system_error(e, self._path) is None:
                raise

    def _opened(self) -> Rdict:
        try:
            return Rdict(str(self._path), _options(), access_type=AccessType.read_write())
        except Exception as e:  # rocksdict raises bare exceptions
            if (refusal := _system_error(e, self._path)) is not None:
                raise refusal from e
            raise StateError(
                f"{self._path} cannot be opened as state of a sampler partition: {e}; if another process works on this partition, "
                f"stop it first; if the files are damaged, {partition_anew('sampler', self._path.name)}"
            ) from e

    def _open_again(self) -> None:
        """Close and open, as a RocksDB that failed to write stays read-only otherwise; reads go on until there is room for that."""
        written_ahead = 0
        for path in self._path.glob("*.log"):
            with suppress(OSError):
                written_ahead += path.stat().st_size
        # Opening writes what stands in the write-ahead log into a table.
        if free_bytes(self._path) < written_ahead + _OPENING_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self.close()
        self._db = self._opened()
        self._refused = False


def read_committed(db: Rdict) -> tuple[Position, bytes] | None:
    """Return position and meta of the newest batch in an open RocksDB; None before the first.

    Raises:
        StateError: its files are damaged.
    """
    try:
        value = db.get(_COMMITTED)
    except Exception as e:  # rocksdict raises bare exceptions
        raise _damaged(db, e) from e
    return None if value is None else (Position(int.from_bytes(value[:8], "big")), value[8:])


def scan(db: Rdict, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of an open RocksDB that begin with the prefix, in the order of keys.

    Raises:
        StateError: its files are damaged; this is noticed where the damage is.
    """
    iterator = db.iter(ReadOptions())
    iterator.seek(max(prefix, _FIRST))
    while iterator.valid():
        key = iterator.key()
        if not key.startswith(prefix):
            return
        yield key, iterator.value()
        iterator.next()
    try:
        iterator.status()  # at a damaged block, too, an iterator just ends
    except Exception as e:  # rocksdict raises bare exceptions
        raise _damaged(db, e) from e


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(2)
    options.set_max_background_jobs(2)
    return options


def _damaged(db: Rdict, error: Exception) -> StateError:
    path = Path(db.path())
    return StateError(f"{path} is damaged: {error}; {partition_anew('sampler', path.name)}")


def _system_error(error: Exception, path: Path) -> OSError | None:
    """Return what the system said, where RocksDB failed because of it."""
    text = str(error)
    code = next((c for c in _SYSTEM_ERRORS if os.strerror(c) in text), None)
    return None if code is None else OSError(code, os.strerror(code), str(path))
