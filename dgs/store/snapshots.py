"""A folder of snapshots: files of checksummed pieces, each named by the position that it reflects.

A file appears under its name when it is whole and on the disk, and never changes; one that turns out to be damaged is set aside
under another name. What is in the pieces is the business of those who write and read them (`dgs.serving`).

Bytes, little endian: magic "DGSS" | format u32 | crc32 of these u32 | zeros u32, then the pieces, each: length u32 | crc32 u32 |
the bytes. A piece's checksum goes on from that of the piece before, so one that is missing, or in another's place, is noticed.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from dgs.core.errors import CodecError, StateError
from dgs.core.types import Position

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

FORMAT = 1
"""A newer one is refused, an older one would be read."""
_MAGIC = b"DGSS"
_HEAD = struct.Struct("<4sIII")
_PIECE = struct.Struct("<II")
_SUFFIX, _DRAFT, _DAMAGED = ".snapshot", ".tmp", ".damaged"


class SnapshotFile(NamedTuple):
    """A snapshot that stands in its folder."""

    position: Position
    path: Path
    written_at: float
    """Seconds since 1970."""
    nbytes: int


class SnapshotFolder:
    """The snapshots of one serving partition, which alone writes here.

    Args:
        path: made when the first snapshot is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[SnapshotFile]:
        """Return the snapshots that stand here, newest position first; drafts and damaged ones are none."""
        found = []
        for path in self.path.glob(f"*{_SUFFIX}"):
            if path.stem.isdigit():
                status = path.stat()
                found.append(SnapshotFile(Position(int(path.stem)), path, status.st_mtime, status.st_size))
        return sorted(found, reverse=True)

    def draft(self, position: Position) -> "SnapshotDraft":
        """Begin a snapshot; nothing is written yet."""
        return SnapshotDraft(self.path / f"{position:020d}{_SUFFIX}")

    def keep(self, newest: int) -> list[SnapshotFile]:
        """Delete all but so many of the newest; return those that stay, newest first."""
        files = self.files()
        for file in files[newest:]:
            file.path.unlink()
        return files[:newest]

    def clear_drafts(self) -> None:
        """Delete what killed writers have left; to be called while nobody writes."""
        for path in self.path.glob(f"*{_DRAFT}"):
            path.unlink()

    def set_aside(self, file: SnapshotFile) -> Path:
        """Take a damaged snapshot out of the row, but leave it to be looked at; return its new name."""
        name = file.path.with_name(file.path.name + _DAMAGED)
        file.path.replace(name)
        return name

    def damaged(self) -> Sequence[Path]:
        """Return the snapshots that were set aside."""
        return sorted(self.path.glob(f"*{_SUFFIX}{_DAMAGED}"))


class SnapshotDraft:
    """A snapshot that is being written. Every method may wait for the disk, and raises OSError where that refuses.

    Args:
        path: what it is called once it is finished.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(path.name + _DRAFT)
        self._file: FileIO | None = None
        self._crc = 0

    def add(self, piece: "Buffer") -> None:
        """Write the next piece; the first one makes the file, and the folder if need be."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._draft.open("wb", buffering=0)
            head = _HEAD.pack(_MAGIC, FORMAT, 0, 0)
            self._crc = zlib.crc32(head[:8])
            self._write(_HEAD.pack(_MAGIC, FORMAT, self._crc, 0))
        self._crc = zlib.crc32(piece, self._crc)
        view = memoryview(piece)
        self._write(_PIECE.pack(view.nbytes, self._crc))
        self._write(view)

    def finish(self) -> None:
        """Make it durable, and let it stand under its name."""
        assert self._file is not None, "a snapshot of no pieces"
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Leave nothing of it, unless it is finished."""
        if self._file is not None:
            self._file.close()
            with suppress(OSError):
                self._draft.unlink()

    def _write(self, data: "Buffer") -> None:
        assert self._file is not None, "written before it is open"
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


class SnapshotReader:
    """Reads a snapshot from its beginning.

    Raises:
        CodecError: what is read is damaged; this may be noticed late.
        StateError: a newer program has written it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            head = self._file.read(_HEAD.size)
            if len(head) < _HEAD.size or zlib.crc32(head[:8]) != _HEAD.unpack(head)[2] or head[:4] != _MAGIC:
                raise CodecError(f"{path} does not begin as a snapshot does")
            if (version := _HEAD.unpack(head)[1]) > FORMAT:
                raise StateError(
                    f"{path} has format {version}, this program reads up to {FORMAT}: start it with the dgs that wrote it"
                )
        except BaseException:
            self._file.close()
            raise
        self._crc = zlib.crc32(head[:8])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self) -> bytes:
        """Return the next piece."""
        length, crc = self._piece()
        data = self._file.read(length)
        self._check(data, length, crc)
        return data

    def pieces(self) -> Iterator[bytes]:
        """Yield all pieces that are left."""
        while self._file.peek(1):
            yield self.read()

    def read_into(self, memory: memoryview) -> None:
        """Fill memory with the next pieces, which end with it."""
        while memory:
            length, crc = self._piece()
            if length > len(memory):
                raise CodecError(f"{self._path} is damaged: a piece is longer than what it is to fill")
            got, piece = 0, memory[:length]
            while got < length and (n := self._file.readinto(piece[got:])):
                got += n
            self._check(piece[:got], length, crc)
            memory = memory[length:]

    def end(self) -> None:
        """Check that nothing is left."""
        if self._file.read(1):
            raise CodecError(f"{self._path} is damaged: it goes on behind its end")

    def _piece(self) -> tuple[int, int]:
        head = self._file.read(_PIECE.size)
        if len(head) < _PIECE.size:
            raise CodecError(f"{self._path} is damaged: it ends too soon")
        length, crc = _PIECE.unpack(head)
        if not length:
            raise CodecError(f"{self._path} is damaged: a piece of no bytes")
        return length, crc

    def _check(self, data: "Buffer", length: int, crc: int) -> None:
        self._crc = zlib.crc32(data, self._crc)
        if memoryview(data).nbytes < length or self._crc != crc:
            raise CodecError(f"{self._path} is damaged: wrong checksum before byte {self._file.tell()}")
