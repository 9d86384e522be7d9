"""A folder somewhere else, by URL: in a file system, in memory, in an object store. Checkpoints go there and come from there.

Names are relative to the folder, with slashes. Everything blocks, so it is called in threads; whatever the other side says when it
refuses is an OSError here. Objects appear whole or are too short, and small files are replaced as a whole.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from dgs.core.errors import InputError
from dgs.store.durable import write_durably
from dgs.troubles import free_bytes


class Destination:
    """What stands at a URL, or in the local folder of that path.

    Args:
        url: of the folder.
        free_min_bytes: of a local disk, that are left to others.

    Raises:
        InputError: the URL is of a kind that is not known, or needs a library that is not installed.
    """

    def __init__(self, url: str, *, free_min_bytes: int = 0) -> None:
        self.url = url
        self.free_min_bytes = free_min_bytes
        try:
            # Others write there, too: what was listed before says nothing.
            self._fs, root = url_to_fs(url, use_listings_cache=False)
        except ImportError as e:
            raise InputError(f"checkpoint URL {url!r} needs a library: {e}; for s3:// install dgs[s3]") from None
        except ValueError as e:
            raise InputError(
                f"checkpoint URL {url!r} is not understood: {e}; give a folder, or a URL such as s3://bucket/x"
            ) from None
        self._root = root.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for writing; durable at the end of the block. When it fails, nothing or too little stands there."""
        with self._refusals(name):
            path = self._made(name)
            if self._local and (free := free_bytes(Path(path).parent)) < self.free_min_bytes:
                raise OSError(
                    errno.ENOSPC,
                    f"{free} bytes are free in {self._root}, and {self.free_min_bytes} are left to others (disk_free_min_bytes)",
                )
            with self._fs.open(path, "wb") as file:
                yield cast(BinaryIO, file)
                if self._local:
                    file.flush()
                    os.fsync(file.fileno())

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for reading; FileNotFoundError where there is none."""
        with self._refusals(name), self._fs.open(self._path(name), "rb") as file:
            yield cast(BinaryIO, file)

    def write(self, name: str, data: bytes) -> None:
        """Replace a small file as a whole; durable when it returns."""
        with self._refusals(name):
            if self._local:
                write_durably(Path(self._made(name)), data)
            else:
                self._fs.pipe_file(self._path(name), data)

    def read(self, name: str) -> bytes | None:
        """Return a small file; None where there is none."""
        try:
            with self._refusals(name):
                return bytes(self._fs.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        """Return how many bytes a file has; None where there is none."""
        try:
            with self._refusals(name):
                return int(self._fs.info(self._path(name))["size"])
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, relative to it, ascending."""
        path = self._path(folder)
        with self._refusals(folder):
            found = self._fs.find(path)
        return sorted(name.removeprefix(path).lstrip("/") for name in found)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there; in a file system its folders go with their last file."""
        with self._refusals(name):
            path = self._path(name)
            try:
                self._fs.rm_file(path)
            except FileNotFoundError:
                return
            if self._local:
                folder = Path(path).parent
                while str(folder) != self._root and not any(folder.iterdir()):
                    folder.rmdir()
                    folder = folder.parent

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _made(self, name: str) -> str:
        path = self._path(name)
        if self._local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def _refusals(self, name: str) -> Iterator[None]:
        """Make an OSError of whatever the libraries of object stores raise."""
        try:
            yield
        except OSError:
            raise
        except Exception as e:
            raise OSError(f"{self.url}: {name}: {e}") from e
