"""Bulletins: a small value that one process publishes and others read, written over in place in one block of a file.

The file has its place on the disk from the first value on, so what is published gets through a full disk, too. It is not synced:
after a power loss a value of before is worth nothing. Bytes: crc32 of the rest as eight hexadecimal digits, a space; the value,
filled up with spaces.
"""

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
BULLETIN_BYTES = 4096
_HEAD_BYTES = 9
_ATTEMPTS = 100
"""A reader may meet a bulletin that is half written, as the system lets reads pass writes; it is whole a moment later."""


class Bulletin:
    """What stands in a file; its folder is made by the first value."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def publish(self, value: bytes) -> None:
        """Put a value in the place of the last one; it is filled up with spaces.

        Raises:
            ValueError: it takes more than a bulletin has.
            OSError: the system refuses.
        """
        if len(value) > BULLETIN_BYTES - _HEAD_BYTES:
            raise ValueError(f"{len(value)} bytes are more than a bulletin has")
        self._path.parent.mkdir(exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            rest = value.ljust(BULLETIN_BYTES - _HEAD_BYTES)
            os.pwrite(descriptor, b"%08x " % zlib.crc32(rest) + rest, 0)
        finally:
            os.close(descriptor)

    def read(self, parse: Callable[[bytes], T]) -> T | None:
        """Return what `parse` makes of the value; None where there is no whole bulletin, or `parse` raises ValueError."""
        for _ in range(_ATTEMPTS):
            try:
                block = self._path.read_bytes()
            except OSError:
                return None
            if block[:_HEAD_BYTES] == b"%08x " % zlib.crc32(block[_HEAD_BYTES:]):
                break
        else:
            return None
        try:
            return parse(block[_HEAD_BYTES:].rstrip())
        except ValueError:
            return None
