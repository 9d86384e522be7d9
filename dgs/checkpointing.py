"""From settings and a data directory to the checkpoints of a deployment."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dgs.datadir import DataDir

if TYPE_CHECKING:
    from dgs.store.checkpoints import Checkpoints


def destination_of(url: str | None, directory: DataDir) -> str:
    """Return where checkpoints go, as any process of this host understands it: as was given, else a folder of the directory."""
    if url is None:
        return str(directory.checkpoints.absolute())
    return url if urlsplit(url).scheme else str(directory.root.cwd() / url)


def is_of_one_host(destination: str) -> bool:
    """Whether a destination is a folder, which other hosts do not have."""
    return urlsplit(destination).scheme in ("", "file", "local")


def open_checkpoints(destination: str, *, free_min_bytes: int = 0) -> "Checkpoints":
    """Return the checkpoints at a destination; those who create some leave so much of a disk to others.

    Raises:
        InputError: the URL is not understood.
    """
    from dgs.store.checkpoints import Checkpoints
    from dgs.store.destination import Destination

    return Checkpoints(Destination(destination, free_min_bytes=free_min_bytes))
