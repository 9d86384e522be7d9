"""The local bus on a bad day: torn tails, flipped bits, lost bytes, full disks, syncs that fail."""

import asyncio
import errno
import os
import resource
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from dgs.bus import frames
from dgs.bus.base import RECORDS, Entry
from dgs.bus.local import LocalBus
from dgs.bus.tail import TailFile
from dgs.core.errors import CodecError, StateError, TooLargeError
from dgs.core.types import PartitionIndex, Position

ZERO = PartitionIndex(0)
START = Position(0)
SENT = [b"entry %d " % index * 5 for index in range(5)]


@pytest_asyncio.fixture(params=["never", "batch"])
async def root(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path]:
    """A log of five entries whose writers are gone."""
    bus = LocalBus(tmp_path, fsync=request.param)
    await bus.ensure(RECORDS, 1)
    await bus.append(RECORDS, ZERO, SENT)
    await bus.close()
    yield tmp_path


def segment(root: Path) -> Path:
    return max((root / RECORDS / "0").glob("*.log"))


def end_file(root: Path) -> Path:
    return root / RECORDS / "0" / "end"


async def read_all(root: Path) -> list[bytes]:
    bus = LocalBus(root)
    entries: list[Entry] = []
    try:
        while new := await bus.read(RECORDS, ZERO, entries[-1].next if entries else START, max_bytes=10_000, wait_s=0):
            entries += new
    finally:
        await bus.close()
    return [entry.data for entry in entries]


TORN_TAILS: dict[str, bytes] = {
    "half a header": b"\x05\x00",
    "half a payload": b"".join(frames.encode([b"x" * 100]))[:60],
    "one whole, one torn": b"".join(frames.encode([b"whole", b"x" * 100]))[:60],
    "a wrong checksum": b"\x05\x00\x00\x00abcdhello",
    "garbage after a power loss": b"\x05\x00\x00\x00abcdhello" + b"".join(frames.encode([b"stale"])),
    "zeros after a power loss": bytes(5000),
}


@pytest.mark.parametrize("tail", TORN_TAILS.values(), ids=TORN_TAILS)
@pytest.mark.parametrize("fsync", ["never", "batch"])
async def test_a_torn_tail_is_not_seen_and_is_cut_off(root: Path, tail: bytes, fsync: str) -> None:
    writer, reader = (LocalBus(root, fsync="batch" if fsync == "batch" else "never") for _ in range(2))
    end = await reader.end(RECORDS, ZERO)
    await writer.end(RECORDS, ZERO)
    with segment(root).open("ab") as file:  # as another writer that is killed now
        file.write(tail)
    assert await reader.read(RECORDS, ZERO, end, max_bytes=100, wait_s=0.02) == []
    waiting = asyncio.create_task(reader.read(RECORDS, ZERO, end, max_bytes=1000, wait_s=5))
    await asyncio.sleep(0.02)
    await writer.append(RECORDS, ZERO, [b"later"])
    whole = [b"whole"] if tail is TORN_TAILS["one whole, one torn"] else []
    assert [entry.data for entry in await waiting][:1] == [*whole, b"later"][:1]
    assert await read_all(root) == [*SENT, *whole, b"later"]
    await writer.close()
    await reader.close()


@pytest.mark.parametrize("tail", TORN_TAILS.values(), ids=TORN_TAILS)
async def test_a_torn_tail_is_cut_off_by_a_new_process(root: Path, tail: bytes) -> None:
    with segment(root).open("ab") as file:
        file.write(tail)
    assert (await read_all(root))[:5] == SENT
    size = segment(root).stat().st_size
    bus = LocalBus(root)
    assert await bus.end(RECORDS, ZERO) == size
    await bus.append(RECORDS, ZERO, [b"later"])
    await bus.close()
    assert (await read_all(root))[-1] == b"later"


@pytest.mark.parametrize("at", [0, 3, 5, 20], ids=["length", "large length", "checksum", "payload"])
@pytest.mark.parametrize("which", [2, 4], ids=["middle", "last"])
async def test_a_flipped_bit_is_an_error_that_names_the_place(root: Path, at: int, which: int) -> None:
    position = sum(8 + len(data) for data in SENT[:which])
    flip(segment(root), position + at)
    bus = LocalBus(root)
    good = await bus.read(RECORDS, ZERO, START, max_bytes=10_000, wait_s=0)
    assert [entry.data for entry in good] == SENT[:which], "what stands before the damage is still there"
    with pytest.raises(CodecError, match=f"{segment(root)}: the entry at position {position} .byte {position}"):
        await bus.read(RECORDS, ZERO, good[-1].next, max_bytes=10_000, wait_s=5)
    await bus.append(RECORDS, ZERO, [b"later"])
    with pytest.raises(CodecError):
        await bus.read(RECORDS, ZERO, good[-1].next, max_bytes=10_000, wait_s=0)
    await bus.close()


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x20
    path.write_bytes(content)


@pytest.mark.parametrize("tail", ["half a payload", "zeros after a power loss"])
async def test_a_log_without_its_end_file_is_read_from_its_segments(root: Path, tail: str) -> None:
    end_file(root).unlink()
    with segment(root).open("ab") as file:
        file.write(TORN_TAILS[tail])
    assert await read_all(root) == SENT


async def test_zeros_with_something_behind_them_are_damage_where_no_end_is_recorded(root: Path) -> None:
    end_file(root).unlink()
    with segment(root).open("ab") as file:
        file.write(bytes(5000) + b"x")
    with pytest.raises(CodecError, match="is damaged"):
        await read_all(root)


async def test_an_end_is_synced_where_appends_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.add(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    bus = LocalBus(tmp_path / "log", fsync="batch")
    await bus.ensure(RECORDS, 1)
    await bus.end(RECORDS, ZERO)
    await bus.close()
    assert {end_file(tmp_path / "log").name, "0"} <= synced


async def test_a_log_without_its_end_file_is_not_cut_at_a_damaged_entry(root: Path) -> None:
    end_file(root).unlink()
    size = segment(root).stat().st_size
    flip(segment(root), 60)
    bus = LocalBus(root)
    with pytest.raises(CodecError, match="checksum"):
        await bus.append(RECORDS, ZERO, [b"later"])
    await bus.close()
    assert segment(root).stat().st_size == size


async def test_a_damaged_end_file_is_made_good_by_the_next_append(root: Path) -> None:
    bus = LocalBus(root)
    end = await bus.end(RECORDS, ZERO)
    flip(end_file(root), 2)
    assert await bus.end(RECORDS, ZERO) == end
    assert await bus.read(RECORDS, ZERO, end, max_bytes=100, wait_s=0) == []
    await bus.append(RECORDS, ZERO, [b"later"])
    await bus.close()
    assert await read_all(root) == [*SENT, b"later"]


@pytest.mark.parametrize("harm", [lambda path: os.truncate(path, 100), Path.unlink], ids=["cut", "gone"])
async def test_lost_entries_are_never_written_over(root: Path, harm: Callable[[Path], None]) -> None:
    running = LocalBus(root)
    await running.end(RECORDS, ZERO)
    harm(segment(root))
    for bus in (running, LocalBus(root)):
        with pytest.raises(StateError, match=f"delete {end_file(root)}"):
            await bus.append(RECORDS, ZERO, [b"later"])
        await bus.close()
    segments = list(end_file(root).parent.glob("*.log"))
    end_file(root).unlink()
    kept = SENT[:2] if segments else []
    assert await read_all(root) == kept, "deleting `end` gives up what is lost, and only that"


async def test_an_older_end_after_a_power_loss_is_caught_up(root: Path, tmp_path: Path) -> None:
    kept = tmp_path / "end-before"
    shutil.copy(end_file(root), kept)
    bus = LocalBus(root, fsync="batch", segment_bytes=100)
    for index in range(10):
        end = await bus.append(RECORDS, ZERO, [b"more %d" % index * 10])
    await bus.close()
    shutil.copy(kept, end_file(root))
    bus = LocalBus(root, fsync="batch")
    assert await bus.end(RECORDS, ZERO) == end
    await bus.close()
    assert len(await read_all(root)) == 15


async def test_a_missing_segment_is_noticed(root: Path) -> None:
    bus = LocalBus(root, segment_bytes=100)
    for index in range(10):
        await bus.append(RECORDS, ZERO, [b"more %d" % index * 10])
    await bus.close()
    sorted((root / RECORDS / "0").glob("*.log"))[2].unlink()
    with pytest.raises(CodecError, match="position"):
        await read_all(root)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the system refuse to grow any file beyond `size`: a real short write, then a real error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_an_os_error_and_nothing_stays(root: Path) -> None:
    bus = LocalBus(root)
    end = await bus.end(RECORDS, ZERO)
    with file_size_limit(end + 5000), pytest.raises(OSError, match="File too large") as caught:
        await bus.append(RECORDS, ZERO, [b"fits"] * 10 + [b"x" * 10_000])
    assert caught.value.errno == errno.EFBIG
    assert segment(root).stat().st_size == end
    await bus.append(RECORDS, ZERO, [b"later"])
    await bus.close()
    assert await read_all(root) == [*SENT, b"later"]


async def test_an_entry_above_the_limit_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "ENTRY_BYTES_MAX", 1000)
    bus = LocalBus(root)
    with pytest.raises(TooLargeError, match="1001 bytes"):
        await bus.append(RECORDS, ZERO, [b"fits", b"x" * 1001])
    await bus.close()
    assert await read_all(root) == SENT


async def grown(root: Path, end: int) -> None:
    async with asyncio.timeout(5):
        while segment(root).stat().st_size == end:  # noqa: ASYNC110 - nothing tells of what is not published
            await asyncio.sleep(0.001)


async def test_readers_stop_at_the_synced_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = threading.Event(), os.fdatasync

    def slow(fd: int) -> None:
        assert synced.wait(10)
        sync(fd)

    writer, reader = LocalBus(root, fsync="batch"), LocalBus(root, fsync="batch")
    end = await writer.end(RECORDS, ZERO)
    assert await reader.end(RECORDS, ZERO) == end
    monkeypatch.setattr(os, "fdatasync", slow)
    append = asyncio.create_task(writer.append(RECORDS, ZERO, [b"later"]))
    await grown(root, end)
    assert await writer.end(RECORDS, ZERO) == end
    assert await writer.read(RECORDS, ZERO, end, max_bytes=100, wait_s=0.05) == []
    assert await reader.read(RECORDS, ZERO, end, max_bytes=100, wait_s=0.05) == []
    synced.set()
    await append
    assert [entry.data for entry in await reader.read(RECORDS, ZERO, end, max_bytes=100, wait_s=5)] == [b"later"]
    await writer.close()
    await reader.close()


async def test_a_failed_sync_takes_the_entries_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    bus = LocalBus(root, fsync="batch")
    end = await bus.end(RECORDS, ZERO)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        with pytest.raises(OSError, match="Input/output"):
            await bus.append(RECORDS, ZERO, [b"lost"])
    assert await bus.end(RECORDS, ZERO) == end == segment(root).stat().st_size
    await bus.append(RECORDS, ZERO, [b"later"])
    await bus.close()
    assert await read_all(root) == [*SENT, b"later"]


async def test_a_cancelled_append_keeps_the_lock_until_its_sync_is_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = threading.Event(), os.fdatasync

    def slow(fd: int) -> None:
        assert synced.wait(10)
        sync(fd)

    bus = LocalBus(root, fsync="batch")
    end = await bus.end(RECORDS, ZERO)
    monkeypatch.setattr(os, "fdatasync", slow)
    first = asyncio.create_task(bus.append(RECORDS, ZERO, [b"cancelled"]))
    await grown(root, end)
    first.cancel()
    await asyncio.sleep(0.02)
    stranger = TailFile(end_file(root))
    assert not stranger.try_lock()
    stranger.close()
    synced.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    await bus.append(RECORDS, ZERO, [b"later"])
    await bus.close()
    assert await read_all(root) == [*SENT, b"later"]
