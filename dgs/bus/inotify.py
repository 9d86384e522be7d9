"""Wake-ups by the Linux kernel when another process writes to a file.

It never reads the files themselves. The local bus uses it where it exists; where it does not, or the user's limit of watches is
used up, making or using it is an OSError and the bus polls instead.
"""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

_IN_MODIFY = 0x002
_QUEUE_OVERFLOW = 0x4000
_EVENT = struct.Struct("iIII")
_READ_BYTES = 64 * 1024


class Inotify:
    """Calls a function, on the running event loop, after a watched file was written to."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError("this system has no inotify")
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._dispatch)

    def watch(self, path: Path, callback: Callable[[], None]) -> None:
        """Call `callback` after every later write (several at once may count as one)."""
        watch = self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY))
        self._callbacks[watch] = callback

    def close(self) -> None:
        """Drop all watches."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _dispatch(self) -> None:
        events = os.read(self._fd, _READ_BYTES)
        written: set[int] = set()
        offset = 0
        while offset < len(events):
            watch, mask, _, name_bytes = _EVENT.unpack_from(events, offset)
            offset += _EVENT.size + name_bytes
            written.add(watch)
            if mask & _QUEUE_OVERFLOW:  # events were lost, nobody knows whose
                written.update(self._callbacks)
        for watch in written & self._callbacks.keys():
            self._callbacks[watch]()

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            errno = ctypes.get_errno()
            raise OSError(errno, f"inotify: {os.strerror(errno)}")
        return result
