"""Troubles: writes that the storage refuses at present, such as those to a full disk, from the first refusal to the next success.

Whoever writes goes on trying and tells `Troubles` how each attempt went; a change is logged once, however often it is tried. What
is in trouble shows under `storage` in `/readyz`, that of sampler processes too: each partition keeps a file in the data directory
that has its place on the disk before there is none left. Nothing here writes data or decides what is tried again.
"""

import errno
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dgs.bulletin import BULLETIN_BYTES, Bulletin
from dgs.telemetry import logs

_log = logs.get(__name__)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What freeing space mends."""
_SHOWN_MOST = 8


class Troubles:
    """What one process, or one partition of it, cannot write at present.

    Args:
        path: a file that other processes read it from, see `read_troubles`; None where nobody else asks.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._bulletin = None if path is None else Bulletin(path)
        self._found: dict[str, str] = {}
        self._changed()  # no room even for this: the frontend looks at the disk itself

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
            self._changed()

    def end(self, what: str) -> None:
        """Take note that the write went well."""
        if what in self._found:
            del self._found[what]
            _log.info("storage takes the write again", what=what)
            self._changed()

    def _changed(self) -> None:
        if self._bulletin is not None:
            with suppress(OSError):
                self._publish()

    def _publish(self) -> None:
        assert self._bulletin is not None
        raw = json.dumps(self.found[:_SHOWN_MOST]).encode()
        self._bulletin.publish(raw if len(raw) <= BULLETIN_BYTES else b'["more than fits here; see the log of the service"]')


def read_troubles(paths: Sequence[Path]) -> list[str]:
    """Return what other processes have published; a file that is missing says nothing."""
    return [text for path in paths for text in Bulletin(path).read(_texts) or ()]


def _texts(data: bytes) -> list[str]:
    return [text for text in json.loads(data) if isinstance(text, str)]


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
