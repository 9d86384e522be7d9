"""Disks that fail: a small tmpfs that fills up, an ext4 that loses power or turns read-only; where this user may mount them."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import until


class SmallDisk:
    """A mounted file system of a size that can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def resize(self, size: int) -> None:
        """Give it another size, in bytes."""
        _mount("-o", f"remount,size={size}", "tmpfs", self.path)

    def make_read_only(self) -> None:
        """Let nobody write to it; nobody may have a file open for that."""
        _mount("-o", "remount,ro", "tmpfs", self.path)

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


_SHUTDOWN, _NO_FLUSH = 0x8004587D, 2
"""The ioctl EXT4_IOC_SHUTDOWN, and its argument that lets nothing more reach the disk, not even the journal."""


class FailingDisk:
    """A mounted ext4 in a file, of which only what was synced is left when it is mounted again after a failure."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._image = image

    def lose_power(self) -> None:
        """Let nothing reach the disk from now on; every access is EIO."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(folder)

    def turn_read_only(self) -> None:
        """Have the kernel find an error in the file system, which it answers with EROFS from now on."""
        found = subprocess.run(["findmnt", "-no", "MAJ:MIN", str(self.path)], check=True, capture_output=True, text=True)
        device = Path(f"/sys/dev/block/{found.stdout.strip()}").resolve().name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("for a test")

    def mount_again(self) -> None:
        """Check and mount it again, as after a boot; those who used it are dead."""
        until("nobody uses it", lambda: subprocess.run(["umount", str(self.path)], capture_output=True).returncode == 0)
        # Status 1 says that errors were repaired.
        checked = subprocess.run(["fsck.ext4", "-fp", str(self._image)], check=False, capture_output=True, text=True)
        assert checked.returncode in (0, 1), checked.stdout
        _mount_image(self._image, self.path)


@contextmanager
def failing_disk(folder: Path, size: int) -> Iterator[FailingDisk]:
    """Mount an ext4 of so many bytes for the length of a block; the test is skipped where that is not allowed."""
    folder.mkdir()
    image, path = folder / "image", folder / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        _mount_image(image, path)
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f"an ext4 cannot be mounted from a file here, which takes root, CAP_SYS_ADMIN and loop devices: {e}")
    try:
        yield FailingDisk(path, image)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount_image(image: Path, path: Path) -> None:
    _mount("-o", "loop,errors=remount-ro", image, path)


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)
