"""A disk that fills up: a small tmpfs, where this user may mount one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system of a size that can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def resize(self, size: int) -> None:
        """Give it another size, in bytes."""
        _mount("-o", f"remount,size={size}", "tmpfs", self.path)

    def fill(self, leave: int = 0) -> None:
        """Take all free space but so many bytes, rounded to pages."""
        free = os.statvfs(self.path)
        with self._filling.open("ab") as file:
            size = file.tell() + free.f_bavail * free.f_frsize - leave
            os.posix_fallocate(file.fileno(), 0, max(size, 1))

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filling.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many bytes for the length of a block; the test is skipped where that is not allowed."""
    path.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f"a tmpfs cannot be mounted here, which takes root and CAP_SYS_ADMIN: {e}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)
