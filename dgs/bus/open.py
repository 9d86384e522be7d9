"""From a URL to a bus: the one place that knows which implementations there are. The composition root calls it."""

from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

from dgs.bus.base import Bus
from dgs.bus.local import Fsync, LocalBus
from dgs.bus.memory import MemoryBus
from dgs.core.errors import InputError

_FORMS = "local:///absolute/path (files that the processes of this host share) or memory:// (one process, for tests)"


def open_bus(url: str, *, fsync: Fsync = "never") -> Bus:
    """Return the bus that a URL names; `fsync` matters to files only. Every `memory://` is a bus of its own.

    Raises:
        InputError: the URL is none that this version knows, or `fsync` has no such value.
    """
    if fsync not in get_args(Fsync):
        raise InputError(f"fsync is {' or '.join(get_args(Fsync))}, not {fsync!r}")
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.netloc:
        raise InputError(f"bus URL {url!r} is not understood; it is {_FORMS}")
    if parts.scheme == "memory" and not parts.path:
        return MemoryBus()
    if parts.scheme == "local" and parts.path.startswith("/"):
        return LocalBus(Path(unquote(parts.path)), fsync=fsync)
    raise InputError(f"bus URL {url!r} is not understood; it is {_FORMS}")
