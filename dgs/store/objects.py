"""Objects: files at a destination under the hash of their content, so that what is there already is never sent again.

Everything blocks; it is called in threads.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dgs.core.errors import CodecError
from dgs.store.destination import Destination
from dgs.store.file_ref import FOLDER, FileRef
from dgs.store.uploads import Uploader, Uploads

CHUNK_BYTES = 1 << 20


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


class Objects:
    """The objects at a destination, as one process sends them. Not for several threads at once.

    Args:
        destination: where they are.
        uploads: hashes and sends files; None for doing so in this process.

    Attributes:
        sent: since the last `reset`.
    """

    def __init__(self, destination: Destination, uploads: Uploads | None = None) -> None:
        self.destination = destination
        self._uploads = uploads or Uploader(destination)
        self._known: dict[_Stamp, str] = {}
        self._used: dict[_Stamp, str] = {}
        self.sent = Sent()

    def stop(self) -> None:
        """Let what is under way in another thread end with an error."""
        self._uploads.stop()

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
        status = source.stat()
        length = status.st_size if nbytes is None else nbytes
        stamp = _Stamp(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, length)
        sha256 = self._used.get(stamp) or self._known.get(stamp) or self._uploads.hash(source, length)
        ref = FileRef(path, length, sha256)
        self.sent.files += 1
        self.sent.nbytes += length
        # An object that is too short was cut off while it was written.
        if self.destination.size(ref.object) != length:
            self._uploads.send(source, ref)
            self.sent.sent_bytes += length
        self._used[stamp] = sha256
        return ref


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
