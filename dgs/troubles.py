"""Troubles: writes that the storage refuses at present, such as those to a full disk, from the first refusal to the next success.

Whoever writes goes on trying and tells `Troubles` how each attempt went; a change is logged once, however often it is tried. What
is in trouble shows under `storage` in `/readyz`, that of other processes too, as heartbeats tell it. Nothing here writes data or
decides what is tried again.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dgs.telemetry import logs

_log = logs.get(__name__)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What freeing space mends."""


class Troubles:
    """What one process cannot write at present."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    @property
    def found(self) -> list[str]:
        """What cannot be written now, with the reason and what to do, in words for people."""
        return list(self._found.values())

    def begin(self, what: str, error: OSError) -> None:
        """Take note that a write failed and will be tried again.

        Args:
            what: what is written, in words that follow "for": "the log record-batches/3".
            error: how it was refused.
        """
        told = _told(what, error)
        if self._found.get(what) != told:
            self._found[what] = told
            _log.error("storage refuses a write; it is tried again", what=what, cause=error.strerror or error)

    def end(self, what: str) -> None:
        """Take note that the write went well."""
        if what in self._found:
            del self._found[what]
            _log.info("storage takes the write again", what=what)


class Disk:
    """The free space of the disks that a deployment writes to.

    Args:
        paths: directories on them.
        free_min_bytes: below this much, loaders' records are refused; 0 for no such limit.
    """

    def __init__(self, paths: Sequence[Path], free_min_bytes: int) -> None:
        self._paths = paths
        self._free_min_bytes = free_min_bytes

    def troubles(self) -> list[str]:
        """Return which disks are read-only, or have less free space than they should."""
        found = []
        seen: set[int] = set()
        for path in self._paths:
            with suppress(OSError):  # a directory that is not there yet
                device = path.stat().st_dev
                if device in seen:
                    continue
                seen.add(device)
                if os.statvfs(path).f_flag & os.ST_RDONLY:
                    found.append(f"{path} is read-only: make it writable")
                elif (free := free_bytes(path)) < max(1, self._free_min_bytes):
                    found.append(
                        f"{free} bytes are free in {path}, and records are taken from {self._free_min_bytes} on"
                        " (disk_free_min_bytes): free some"
                    )
        return found


def free_bytes(path: Path) -> int:
    """Return how many bytes may still be written to the disk of a directory; OSError where it is not there."""
    return shutil.disk_usage(path).free


def _told(what: str, error: OSError) -> str:
    why = error.strerror or str(error)
    if error.errno in NO_ROOM:
        return f"no room for {what} ({why}): free some; it is tried again"
    if error.errno == errno.EROFS:
        return f"{what}: {why}: make the disk writable; it is tried again"
    if isinstance(error, ConnectionError | TimeoutError):
        return f"{what}: {why}: look after Kafka's brokers; it is tried again"
    return f"{what}: {why}: look after the disk; it is tried again"
