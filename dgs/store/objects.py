"""Objects: files at a destination under the hash of their content, so that what is there already is never sent again.

Everything blocks; it is called in threads, and keeps to a speed that leaves disk and processor to those who serve.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from dgs.core.errors import CodecError
from dgs.store.destination import Destination

FOLDER = "objects"
CHUNK_BYTES = 1 << 16
"""Small, as whoever serves waits for a core as long as one chunk is hashed: a megabyte of it triples the p99 of reads."""
PACE_BYTES = 32 << 20
"""A second: as much is hashed or sent, that others have the rest of the disk."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file of a checkpoint, and the object that has its content.

    Attributes:
        path: where it belongs, relative to the folder of its part, with slashes.
        nbytes: how long it is.
        sha256: of its content, in hexadecimal.
    """

    path: str
    nbytes: int
    sha256: str

    @property
    def object(self) -> str:
        """The object's name at the destination."""
        return f"{FOLDER}/{self.sha256[:2]}/{self.sha256}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"path": self.path, "bytes": self.nbytes, "sha256": self.sha256}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else, or names a place outside of its folder.
        """
        path, sha256 = str(document["path"]), str(document["sha256"])
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path!r} is no path within a folder")
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"{sha256!r} is no hash")
        return cls(path, int(document["bytes"]), sha256)


class _Stamp(NamedTuple):
    """Files that agree in this, and in how much of them is meant, have the same content: none of ours changes in place."""

    device: int
    inode: int
    mtime_ns: int
    size: int
    nbytes: int


@dataclass(slots=True)
class Sent:
    """What was sent to a destination.

    Attributes:
        files: of how many files the content was asked for.
        nbytes: their size.
        sent_bytes: how much of it was not there yet.
    """

    files: int = 0
    nbytes: int = 0
    sent_bytes: int = 0


class Pace:
    """Keeps to a number of bytes a second by waiting; used in threads only."""

    def __init__(self, bytes_per_s: float = PACE_BYTES, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._free_at = 0.0
        self._stopped = threading.Event()

    def spent(self, nbytes: int) -> None:
        """Take note of so many bytes, and wait until more may follow.

        Raises:
            OSError: no more may.
        """
        now = self._clock()
        self._free_at = max(self._free_at, now) + nbytes / self._bytes_per_s
        if self._stopped.wait(max(0.0, self._free_at - now)):
            raise OSError("the process is stopping")

    def stop(self) -> None:
        """Let what is under way in another thread end with an error."""
        self._stopped.set()


class Objects:
    """The objects at a destination, as one process sends them. Not for several threads at once.

    Attributes:
        destination: where they are.
        sent: since the last `reset`.
    """

    def __init__(self, destination: Destination, pace: Pace | None = None) -> None:
        self.destination = destination
        self._pace = pace or Pace()
        self._known: dict[_Stamp, str] = {}
        self._used: dict[_Stamp, str] = {}
        self.sent = Sent()

    def reset(self) -> None:
        """Begin to count anew, and forget the hashes of files that were not asked for since the last time."""
        self._known, self._used = self._used, {}
        self.sent = Sent()

    def put(self, source: Path, path: str, nbytes: int | None = None) -> FileRef:
        """Let the destination have a file's content, or the first `nbytes` of it; return what refers to it.

        Raises:
            OSError: it cannot be read or written.
            CodecError: the file is shorter than that.
        """
        with source.open("rb") as file:
            status = os.fstat(file.fileno())
            length = status.st_size if nbytes is None else nbytes
            stamp = _Stamp(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, length)
            sha256 = self._used.get(stamp) or self._known.get(stamp) or self._hashed(file, length, source)
            ref = FileRef(path, length, sha256)
            self.sent.files += 1
            self.sent.nbytes += length
            # An object that is too short was cut off while it was written.
            if self.destination.size(ref.object) != length:
                self._send(file, ref)
            self._used[stamp] = sha256
        return ref

    def _hashed(self, file: BinaryIO, length: int, source: Path) -> str:
        digest = hashlib.sha256()
        left = length
        while left:
            chunk = file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise CodecError(f"{source} has {length - left} bytes, {length} are there by what is known of it")
            digest.update(chunk)
            self._pace.spent(len(chunk))
            left -= len(chunk)
        return digest.hexdigest()

    def _send(self, file: BinaryIO, ref: FileRef) -> None:
        file.seek(0)
        digest, left = hashlib.sha256(), ref.nbytes
        with self.destination.create(ref.object) as target:
            while left:
                chunk = file.read(min(left, CHUNK_BYTES))
                if not chunk:
                    break
                digest.update(chunk)
                target.write(chunk)
                self._pace.spent(len(chunk))
                left -= len(chunk)
        if digest.hexdigest() != ref.sha256:
            self.destination.remove(ref.object)
            raise OSError(f"{ref.path} changed while it was sent")
        self.sent.sent_bytes += ref.nbytes


def fetch(destination: Destination, ref: FileRef, target: Path) -> None:
    """Write the content of a file of a checkpoint to a new file, and make it durable.

    Raises:
        CodecError: the object is missing or damaged.
        OSError: it cannot be read or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        check(destination, ref, file.write)
        file.flush()
        os.fsync(file.fileno())


def check(destination: Destination, ref: FileRef, take: Callable[[bytes], object] = lambda _: None) -> None:
    """Read an object to its end and compare it with what refers to it; `take` gets its content.

    Raises:
        CodecError: it is missing or damaged.
        OSError: it cannot be read.
    """
    digest, nbytes = hashlib.sha256(), 0
    try:
        with destination.open(ref.object) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                nbytes += len(chunk)
                take(chunk)
    except FileNotFoundError:
        raise CodecError(f"{destination.url}: the object {ref.object} of {ref.path} is missing") from None
    if (nbytes, digest.hexdigest()) != (ref.nbytes, ref.sha256):
        raise CodecError(f"{destination.url}: the object {ref.object} of {ref.path} is damaged")


def sweep(destination: Destination, needed: Iterable[FileRef]) -> int:
    """Remove all objects but those; return how many went."""
    kept = {ref.object for ref in needed}
    unneeded = [name for name in (f"{FOLDER}/{n}" for n in destination.names(FOLDER)) if name not in kept]
    for name in unneeded:
        destination.remove(name)
    return len(unneeded)
