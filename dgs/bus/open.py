"""From a URL to a bus, or to its files: the one place that knows which implementations there are. The composition root calls it."""

from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

from dgs.bus.base import Bus
from dgs.bus.limits import NO_LIMITS, AppendLimits
from dgs.bus.local import Fsync, LocalBus
from dgs.bus.memory import MemoryBus
from dgs.core.errors import InputError, StateError

_FORMS = "local:///absolute/path (files that the processes of this host share) or memory:// (one process, for tests)"


def local_path(url: str) -> Path | None:
    """Return the directory of a bus in files, None for any other."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "local" else None


def open_bus(url: str, *, fsync: Fsync = "never", limits: AppendLimits = NO_LIMITS) -> Bus:
    """Return the bus that a URL names; `fsync` and `limits` matter to files only. Every `memory://` is a bus of its own.

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
        return LocalBus(Path(unquote(parts.path)), fsync=fsync, limits=limits)
    raise InputError(f"bus URL {url!r} is not understood; it is {_FORMS}")


def log_directory(bus: str, own: Path) -> Path:
    """Return the directory that has a deployment's logs: its own in its data directory, unless it is on another bus.

    Raises:
        StateError: that bus is not in files of this host.
    """
    path = local_path(bus) if bus else own
    if path is None:
        raise StateError(f"the logs of {own.parent} are on {bus}, not in files of this host")
    return path
