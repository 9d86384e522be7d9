"""Bulletins: one value after the other in the same place, also on a disk that is full."""

import json
import threading
from pathlib import Path

import pytest

from dgs.bulletin import BULLETIN_BYTES, Bulletin


def test_the_last_value_is_read(tmp_path: Path) -> None:
    bulletin = Bulletin(tmp_path / "folder" / "bulletin")
    assert bulletin.read(json.loads) is None
    for value in ({"a": 1, "long": "x" * 1000}, [1], {"b": "ü"}):
        bulletin.publish(json.dumps(value).encode())
        assert Bulletin(tmp_path / "folder" / "bulletin").read(json.loads) == value
    assert (tmp_path / "folder" / "bulletin").stat().st_size == BULLETIN_BYTES


def test_what_is_too_long_is_refused_and_the_last_value_stays(tmp_path: Path) -> None:
    bulletin = Bulletin(tmp_path / "bulletin")
    bulletin.publish(b"1")
    with pytest.raises(ValueError, match="more than a bulletin"):
        bulletin.publish(b"x" * (BULLETIN_BYTES + 1))
    assert bulletin.read(json.loads) == 1


def test_what_cannot_be_parsed_is_none(tmp_path: Path) -> None:
    bulletin = Bulletin(tmp_path / "bulletin")
    bulletin.publish(b"{")
    assert bulletin.read(json.loads) is None


def test_half_a_value_is_none_even_where_it_can_be_parsed(tmp_path: Path) -> None:
    path, bulletin = tmp_path / "bulletin", Bulletin(tmp_path / "bulletin")
    bulletin.publish(b"[1, 1, 1, 1]")
    old = path.read_bytes()
    bulletin.publish(b"[2, 2, 2, 2]")
    path.write_bytes(path.read_bytes()[:15] + old[15:])
    assert bulletin.read(json.loads) is None


def test_readers_meet_whole_values(tmp_path: Path) -> None:
    bulletin, values = Bulletin(tmp_path / "bulletin"), [json.dumps([i] * (i + 1)).encode() for i in range(600)]
    bulletin.publish(values[0])
    done = threading.Event()

    def write() -> None:
        for value in values:
            bulletin.publish(value)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        found = bulletin.read(json.loads)
        assert found is not None
        assert found == [found[0]] * (found[0] + 1)
    writer.join()
