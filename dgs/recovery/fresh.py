"""A data directory that is made from something else: it is whole in the end, or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgs.core.errors import InputError
from dgs.datadir import DataDir


@contextmanager
def fresh_directory(root: Path, why: str) -> Iterator[DataDir]:
    """Give a new data directory; what fails in the block leaves nothing behind.

    Args:
        root: a folder that is empty or not there yet; its parent is.
        why: it has to be new.

    Raises:
        InputError: the folder is not empty.
        StateError: it cannot be made.
    """
    if root.is_dir() and any(root.iterdir()):
        raise InputError(f"{root} is not empty: {why}; give another --data-dir")
    directory, made = DataDir(root), not root.exists()
    directory.make()
    try:
        yield directory
    except BaseException:
        for path in root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if made:
            root.rmdir()
        raise
