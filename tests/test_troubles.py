"""What the storage refuses is told once, published, and taken back once it takes writes again."""

import errno
import logging
import os
from pathlib import Path

import pytest

from dgs.troubles import Disk, Troubles
from tests.disk import small_disk


def error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def test_a_change_is_logged_once_however_often_it_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles()
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            troubles.begin("the log record-batches/3", error(errno.ENOSPC))
        assert [r.levelname for r in caplog.records] == ["ERROR"]
        troubles.begin("the log record-batches/3", error(errno.EIO))
        assert len(caplog.records) == 2, "another reason is another state"
        for _ in range(3):
            troubles.end("the log record-batches/3")
        assert [r.levelname for r in caplog.records] == ["ERROR", "ERROR", "INFO"]
    assert troubles.found == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errno.ENOSPC, "no room for the state (No space left on device): free some; it is tried again"),
        (errno.EDQUOT, "no room for the state (Disk quota exceeded): free some; it is tried again"),
        (errno.EROFS, "the state: Read-only file system: make the disk writable; it is tried again"),
        (errno.EIO, "the state: Input/output error: look after the disk; it is tried again"),
    ],
)
def test_it_says_what_to_do(code: int, told: str) -> None:
    troubles = Troubles()
    troubles.begin("the state", error(code))
    assert troubles.found == [told]


@pytest.mark.parametrize("away", [ConnectionError("no broker"), TimeoutError("no broker")])
def test_what_a_broker_refuses_is_no_matter_of_disks(away: OSError) -> None:
    troubles = Troubles()
    troubles.begin("the log records/0", away)
    assert troubles.found == ["the log records/0: no broker: look after Kafka's brokers; it is tried again"]


def test_a_disk_with_too_little_room_is_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        watched = Disk([disk.path, disk.path, tmp_path / "missing"], 1 << 20)
        assert watched.troubles() == []
        disk.fill(leave=512 << 10)
        (told,) = watched.troubles()
        assert "disk_free_min_bytes" in told
        assert Disk([disk.path], 0).troubles() == [], "there is room yet"
        disk.fill()
        assert Disk([disk.path], 0).troubles() != []
        disk.free()
        assert watched.troubles() == []
