"""Files are hashed and sent to a destination, at a speed that leaves the disk to those who serve. Everything blocks."""

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dgs.core.errors import CodecError
from dgs.store.destination import Destination
from dgs.store.file_ref import FileRef

PACE_BYTES = 32 << 20
"""A second: as much is hashed or sent, that others have the rest of the disk."""
_CHUNK_BYTES = 1 << 18


class Uploads(Protocol):
    """Whoever hashes and sends files: `Uploader` in this process, or `dgs.store.upload_process` in one of its own."""

    def hash(self, source: Path, nbytes: int) -> str:
        """Return the SHA-256 of the first bytes of a file, in hexadecimal.

        Raises:
            OSError: it cannot be read; or `stop` was called.
            CodecError: the file is shorter than that.
        """

    def send(self, source: Path, ref: FileRef) -> None:
        """Write the object that a file of a checkpoint refers to.

        Raises:
            OSError: it cannot be read or written, or has changed since it was hashed; or `stop` was called.
        """

    def stop(self) -> None:
        """Let what is under way in another thread end with an error."""


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


class Uploader:
    """See `Uploads`.

    Args:
        destination: where objects go.
        pace: to keep to.
    """

    def __init__(self, destination: Destination, pace: Pace | None = None) -> None:
        self._destination = destination
        self._pace = pace or Pace()

    def hash(self, source: Path, nbytes: int) -> str:
        """See `Uploads.hash`."""
        digest = hashlib.sha256()
        left = nbytes
        with source.open("rb") as file:
            while left:
                chunk = file.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise CodecError(f"{source} has {nbytes - left} bytes, {nbytes} are there by what is known of it")
                digest.update(chunk)
                self._pace.spent(len(chunk))
                left -= len(chunk)
        return digest.hexdigest()

    def send(self, source: Path, ref: FileRef) -> None:
        """See `Uploads.send`."""
        digest, left = hashlib.sha256(), ref.nbytes
        with source.open("rb") as file, self._destination.create(ref.object) as target:
            while left:
                chunk = file.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    break
                digest.update(chunk)
                target.write(chunk)
                self._pace.spent(len(chunk))
                left -= len(chunk)
        if digest.hexdigest() != ref.sha256:
            self._destination.remove(ref.object)
            raise OSError(f"{ref.path} changed while it was sent")

    def stop(self) -> None:
        """See `Uploads.stop`."""
        self._pace.stop()
