"""A folder of snapshots: only whole files count, the newest are kept, and what is wrong with a file is said."""

import os
import struct
import zlib
from pathlib import Path

import pytest

from dgs.core.errors import CodecError, StateError
from dgs.core.types import Position
from dgs.store.snapshots import SnapshotDraft, SnapshotFolder, SnapshotReader

PIECES = [b"meta", b"x" * 1000, bytes(range(256))]


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path / "serving" / "3")


def draft(folder: SnapshotFolder, position: int) -> SnapshotDraft:
    """A snapshot that is written, but not finished."""
    made = folder.draft(Position(position))
    for piece in PIECES:
        made.add(piece)
    return made


def test_a_snapshot_counts_when_it_is_finished_and_reads_as_it_was_written(folder: SnapshotFolder) -> None:
    assert folder.files() == []
    made = draft(folder, 70)
    assert folder.files() == []
    made.finish()
    (file,) = folder.files()
    assert (file.position, file.nbytes, file.written_at) == (70, file.path.stat().st_size, file.path.stat().st_mtime)
    memory = bytearray(len(PIECES[1]) + len(PIECES[2]))
    with SnapshotReader(file.path) as reader:
        assert reader.read() == PIECES[0]
        reader.read_into(memoryview(memory))
        reader.end()
    assert memory == PIECES[1] + PIECES[2]
    made.discard()  # does nothing to what is finished
    assert folder.files() == [file]


def test_it_is_on_the_disk_before_it_has_its_name(folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[list[int]] = []
    sync = os.fsync

    def spying(descriptor: int) -> None:
        synced.append([f.position for f in folder.files()])
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spying)
    draft(folder, 5).finish()
    assert synced == [[], [5]], "the file, and then the folder that names it"


def test_the_newest_are_kept_by_position(folder: SnapshotFolder) -> None:
    for position in (9, 100, 20):
        draft(folder, position).finish()
    assert [f.position for f in folder.files()] == [100, 20, 9]
    assert [f.position for f in folder.keep(2)] == [100, 20]
    assert [f.position for f in folder.files()] == [100, 20]


def test_drafts_and_damaged_files_do_not_count(folder: SnapshotFolder) -> None:
    draft(folder, 1).finish()
    draft(folder, 2).finish()
    half, given_up = draft(folder, 3), draft(folder, 4)
    given_up.discard()
    name = folder.set_aside(folder.files()[0])
    (folder.path / "notes.snapshot").write_text("somebody else's")
    assert [f.position for f in folder.files()] == [1]
    assert folder.damaged() == [name]
    folder.clear_drafts()
    assert sorted(p.name for p in folder.path.iterdir()) == [f"{1:020d}.snapshot", f"{2:020d}.snapshot.damaged", "notes.snapshot"]
    half.discard()
    folder.draft(Position(9)).discard()  # not begun


def test_a_newer_format_is_refused_and_not_called_damaged(folder: SnapshotFolder) -> None:
    draft(folder, 1).finish()
    path = folder.files()[0].path
    head = struct.pack("<4sI", b"DGSS", 2)
    path.write_bytes(head + struct.pack("<II", zlib.crc32(head), 0) + path.read_bytes()[16:])
    with pytest.raises(StateError, match="has format 2, this program reads up to 1: start it with the dgs that wrote it"):
        SnapshotReader(path)


def test_memory_that_ends_within_a_piece_is_refused(folder: SnapshotFolder) -> None:
    draft(folder, 1).finish()
    with SnapshotReader(folder.files()[0].path) as reader, pytest.raises(CodecError, match="longer than what it is to fill"):
        reader.read_into(memoryview(bytearray(3)))
