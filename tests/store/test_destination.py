"""A destination of any kind: files whole or refused, names below a folder, nothing remembered of what others may have changed."""

import shutil
import sys
from pathlib import Path

import pytest

from dgs.core.errors import InputError
from dgs.store.destination import Destination


def test_files_are_there_once_they_are_written(destination: Destination) -> None:
    assert (destination.read("a/b"), destination.size("a/b"), destination.names("a")) == (None, None, [])
    destination.write("a/b", b"12")
    with destination.create("a/c/d") as file:
        file.write(b"345")
    assert (destination.read("a/b"), destination.size("a/c/d")) == (b"12", 3)
    assert destination.names("a") == ["b", "c/d"]
    assert destination.names("") == ["a/b", "a/c/d"]
    with destination.open("a/c/d") as file:
        assert (file.read(2), file.read()) == (b"34", b"5")
    with pytest.raises(FileNotFoundError), destination.open("a/x"):
        pass


def test_a_file_is_replaced_and_removed(destination: Destination) -> None:
    destination.write("a/b", b"12")
    destination.write("a/b", b"345")
    assert destination.read("a/b") == b"345"
    destination.remove("a/b")
    destination.remove("a/b")
    assert (destination.read("a/b"), destination.names("a")) == (None, [])


def test_what_others_do_is_seen(destination: Destination) -> None:
    other = Destination(destination.url)
    assert destination.names("a") == []
    other.write("a/b", b"1")
    assert (destination.names("a"), destination.size("a/b"), destination.read("a/b")) == (["b"], 1, b"1")
    other.remove("a/b")
    assert (destination.names("a"), destination.size("a/b"), destination.read("a/b")) == ([], None, None)


def test_large_files_come_back_as_they_were(destination: Destination) -> None:
    data = bytes(range(256)) * 50_000
    with destination.create("large") as file:
        for start in range(0, len(data), 1 << 20):
            file.write(data[start : start + (1 << 20)])
    assert destination.size("large") == len(data)
    with destination.open("large") as file:
        assert file.read() == data


def test_folders_of_a_file_system_go_with_their_last_file(tmp_path: Path) -> None:
    destination = Destination(f"file://{tmp_path}/place")
    destination.write("a/b/c", b"")
    destination.write("a/d", b"")
    destination.remove("a/b/c")
    assert not (tmp_path / "place" / "a" / "b").exists()
    destination.remove("a/d")
    assert (tmp_path / "place").exists()
    assert not (tmp_path / "place" / "a").exists()


def test_a_destination_that_refuses_is_an_oserror_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("a file, not a folder")
    destination = Destination(str(tmp_path / "place"))
    with pytest.raises(OSError, match="place"):
        destination.write("a/b", b"1")
    with pytest.raises(OSError, match="place"), destination.create("a/b"):
        pass


def test_what_others_need_of_a_disk_is_left_to_them(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    Destination(str(tmp_path), free_min_bytes=free // 2).write("a", b"1")
    with Destination(str(tmp_path), free_min_bytes=free // 2).create("b") as file:
        file.write(b"1")
    with (
        pytest.raises(OSError, match=r"bytes are free in .*are left to others \(disk_free_min_bytes\)"),
        Destination(str(tmp_path), free_min_bytes=free * 2).create("c"),
    ):
        pass


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(InputError, match="checkpoint URL 'nowhere://x' is not understood"):
        Destination("nowhere://x")


def test_a_kind_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match="needs a library"):
        Destination("gs://bucket/x")
