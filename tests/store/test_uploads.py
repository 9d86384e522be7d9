"""Uploads in this process and in one of their own: the same content, the same errors; and what becomes of that process."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dgs.core.errors import CodecError
from dgs.store.destination import Destination
from dgs.store.file_ref import FileRef
from dgs.store.objects import check
from dgs.store.upload_process import NICENESS, UploadProcess
from dgs.store.uploads import Uploader, Uploads
from tests.e2e.processes import gone, until

CONTENT = bytes(range(256)) * 3000
REF = FileRef("a/b", len(CONTENT), sha256(CONTENT).hexdigest())


@pytest.fixture
def place(tmp_path: Path) -> Destination:
    return Destination(str(tmp_path / "place"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "the source"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(params=[Uploader, UploadProcess])
def uploads(request: pytest.FixtureRequest, place: Destination) -> Iterator[Uploads]:
    made: Uploads = request.param(place)
    yield made
    made.stop()


@pytest.fixture
def process(place: Destination) -> Iterator[UploadProcess]:
    made = UploadProcess(place)
    yield made
    made.stop()


def child_of(uploads: UploadProcess) -> "subprocess.Popen[bytes]":
    assert uploads._child is not None
    return uploads._child


def test_files_are_hashed_and_sent(uploads: Uploads, place: Destination, source: Path) -> None:
    assert uploads.hash(source, len(CONTENT)) == REF.sha256
    assert uploads.hash(source, 1000) == sha256(CONTENT[:1000]).hexdigest()
    uploads.send(source, REF)
    check(place, REF)


@pytest.mark.parametrize("destination", ["s3"], indirect=True)
def test_a_process_sends_to_an_object_store(destination: Destination, source: Path) -> None:
    uploads = UploadProcess(destination)
    uploads.send(source, REF)
    uploads.stop()
    check(destination, REF)


def test_errors_are_told_with_their_reason(uploads: Uploads, place: Destination, source: Path, tmp_path: Path) -> None:
    with pytest.raises(CodecError, match="the source has 768000 bytes, 768001 are there by what is known of it"):
        uploads.hash(source, len(CONTENT) + 1)
    with pytest.raises(FileNotFoundError, match="none"):
        uploads.hash(tmp_path / "none", 1)
    source.write_bytes(CONTENT[::-1])
    with pytest.raises(OSError, match="a/b changed while it was sent"):
        uploads.send(source, REF)
    assert place.size(REF.object) is None
    assert uploads.hash(source, 10) == sha256(CONTENT[::-1][:10]).hexdigest(), "it goes on"


@pytest.mark.parametrize("kind", [Uploader, UploadProcess])
def test_a_full_disk_is_told(kind: type[Uploader] | type[UploadProcess], source: Path, tmp_path: Path) -> None:
    uploads = kind(Destination(str(tmp_path), free_min_bytes=1 << 62))
    with pytest.raises(OSError, match="are left to others") as told:
        uploads.send(source, REF)
    assert told.value.errno == errno.ENOSPC
    uploads.stop()


def test_what_is_under_way_ends_when_it_is_stopped(uploads: Uploads, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 32)
    uploads.hash(large, 10)
    stopping = threading.Timer(0.3, uploads.stop)
    stopping.start()
    began = time.monotonic()
    with pytest.raises(OSError, match="the process is stopping"):
        uploads.hash(large, 1 << 32)
    assert time.monotonic() - began < 60, "at its pace it takes two minutes"
    with pytest.raises(OSError, match="the process is stopping"):
        uploads.hash(large, 10)


def test_the_process_has_a_low_priority(process: UploadProcess, source: Path) -> None:
    process.hash(source, 1)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, child_of(process).pid) == min(own + NICENESS, 19)


def test_a_process_without_work_ends_and_another_takes_its_place(place: Destination, source: Path) -> None:
    process = UploadProcess(place, idle_s=0.1)
    process.hash(source, 1)
    first = child_of(process)
    assert first.wait(30) == 0
    assert process.hash(source, len(CONTENT)) == REF.sha256
    assert child_of(process) is not first
    process.stop()


def test_a_process_that_is_killed_is_told_and_replaced(process: UploadProcess, source: Path) -> None:
    process.hash(source, 1)
    child_of(process).kill()
    with pytest.raises(OSError, match="has ended with status -9"):
        process.hash(source, 1)
    assert process.hash(source, len(CONTENT)) == REF.sha256


def test_the_process_ends_with_its_parent(source: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from dgs.store.destination import Destination\n"
        "from dgs.store.upload_process import UploadProcess\n"
        f"uploads = UploadProcess(Destination({str(tmp_path / 'place')!r})); uploads.hash(Path({str(source)!r}), 1)\n"
        "print(uploads._child.pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until("the child is gone", lambda: gone(child))
    parent.stdout.close()
