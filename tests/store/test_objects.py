"""Objects at a destination: sent once, whole or not there, noticed when they are damaged; on every kind of destination."""

from pathlib import Path

import pytest

from dgs.core.errors import CodecError
from dgs.store.destination import Destination
from dgs.store.file_ref import FileRef
from dgs.store.objects import Objects, check, fetch, sweep
from dgs.store.uploads import Pace, Uploader

CONTENT = bytes(range(256)) * 20_000


@pytest.fixture
def objects(destination: Destination) -> Objects:
    return Objects(destination, Uploader(destination, Pace(1 << 40)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def test_a_file_comes_back_as_it_was(destination: Destination, objects: Objects, source: Path, tmp_path: Path) -> None:
    ref = objects.put(source, "a/b")
    assert (ref.path, ref.nbytes) == ("a/b", len(CONTENT))
    check(destination, ref)
    fetch(destination, ref, tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_bytes() == CONTENT


def test_what_is_there_is_not_sent_again_whatever_its_name(destination: Destination, objects: Objects, source: Path) -> None:
    first = objects.put(source, "one")
    assert objects.sent.sent_bytes == len(CONTENT)
    link = source.with_name("link")
    link.hardlink_to(source)
    assert objects.put(link, "two").sha256 == first.sha256
    again = Objects(destination, Uploader(destination, Pace(1 << 40)))  # another process, that knows no hashes
    again.put(source, "three")
    assert (objects.sent.sent_bytes, again.sent.sent_bytes) == (len(CONTENT), 0)


def test_an_unchanged_file_is_not_read_again(objects: Objects, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = objects.put(source, "one")
    for _ in range(2):
        objects.reset()
        monkeypatch.setattr(Pace, "spent", lambda *_: pytest.fail("it is read"))
        assert objects.put(source, "one") == ref


def test_only_a_files_beginning_is_meant_where_a_length_is_given(
    destination: Destination, objects: Objects, source: Path, tmp_path: Path
) -> None:
    ref = objects.put(source, "part", 1000)
    fetch(destination, ref, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT[:1000]
    with pytest.raises(CodecError, match="source has 5120000 bytes, 6000000 are there"):
        objects.put(source, "part", 6_000_000)


def test_an_object_that_was_cut_off_is_sent_again(destination: Destination, objects: Objects, source: Path) -> None:
    ref = objects.put(source, "one")
    destination.write(ref.object, CONTENT[:777])
    objects.put(source, "one")
    check(destination, ref)


def test_damage_and_loss_are_named(destination: Destination, objects: Objects, source: Path, tmp_path: Path) -> None:
    ref = objects.put(source, "one")
    destination.write(ref.object, CONTENT[:-1] + b"\x00")
    with pytest.raises(CodecError, match=f"{ref.object} of one is damaged"):
        fetch(destination, ref, tmp_path / "new")
    destination.remove(ref.object)
    with pytest.raises(CodecError, match=f"{ref.object} of one is missing"):
        check(destination, ref)


def test_a_sweep_leaves_what_is_needed(destination: Destination, objects: Objects, source: Path) -> None:
    ref = objects.put(source, "one")
    source.write_bytes(b"other")
    other = objects.put(source, "one")
    assert sweep(destination, [ref]) == 1
    check(destination, ref)
    assert destination.size(other.object) is None


@pytest.mark.parametrize("path", ["../x", "/etc/x", "", "a/../../x"])
def test_a_path_out_of_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path within a folder"):
        FileRef.from_json({"path": path, "bytes": 1, "sha256": "0" * 64})


def test_a_hash_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no hash"):
        FileRef.from_json({"path": "x", "bytes": 1, "sha256": "../" + "0" * 61})


def test_the_pace_is_kept_and_ends_when_it_is_stopped() -> None:
    now = 0.0
    pace = Pace(1000.0, clock=lambda: now)
    waits: list[float] = []
    pace._stopped.wait = lambda timeout=None: bool(waits.append(timeout or 0.0))  # type: ignore[method-assign, func-returns-value]
    for _ in range(3):
        pace.spent(500)
    assert waits == [0.5, 1.0, 1.5]
    stopped = Pace(1.0)
    stopped.stop()
    with pytest.raises(OSError, match="the process is stopping"):
        stopped.spent(1 << 20)
