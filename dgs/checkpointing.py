"""From settings and a data directory to the checkpoints of a deployment."""

from typing import TYPE_CHECKING

from dgs.datadir import DataDir

if TYPE_CHECKING:
    from dgs.store.checkpoints import Checkpoints


def open_checkpoints(url: str | None, directory: DataDir | None, *, free_min_bytes: int = 0) -> "Checkpoints":
    """Return the checkpoints at a URL, else those in a data directory; those who create some leave so much of a disk to others.

    Raises:
        InputError: the URL is not understood.
    """
    from dgs.store.checkpoints import Checkpoints
    from dgs.store.destination import Destination

    if url is None:
        assert directory is not None, "neither a URL nor a data directory"
        url = str(directory.checkpoints.absolute())
    return Checkpoints(Destination(url, free_min_bytes=free_min_bytes))
