"""Pages: one value after the other in the same place, also on a disk that is full."""

import json
import threading
from pathlib import Path

import pytest

from dgs.page import PAGE_BYTES, Page


def test_the_last_value_is_read(tmp_path: Path) -> None:
    page = Page(tmp_path / "folder" / "page")
    assert page.read(json.loads) is None
    for value in ({"a": 1, "long": "x" * 1000}, [1], {"b": "ü"}):
        page.publish(json.dumps(value).encode())
        assert Page(tmp_path / "folder" / "page").read(json.loads) == value
    assert (tmp_path / "folder" / "page").stat().st_size == PAGE_BYTES


def test_what_is_too_long_is_refused_and_the_last_value_stays(tmp_path: Path) -> None:
    page = Page(tmp_path / "page")
    page.publish(b"1")
    with pytest.raises(ValueError, match="more than a page"):
        page.publish(b"x" * (PAGE_BYTES + 1))
    assert page.read(json.loads) == 1


def test_what_cannot_be_parsed_is_none(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"{")
    assert Page(tmp_path / "page").read(json.loads) is None


def test_readers_meet_whole_values(tmp_path: Path) -> None:
    page, values = Page(tmp_path / "page"), [json.dumps([i] * (i + 1)).encode() for i in range(600)]
    page.publish(values[0])
    done = threading.Event()

    def write() -> None:
        for value in values:
            page.publish(value)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        found = page.read(json.loads)
        assert found == [found[0]] * (found[0] + 1)
    writer.join()
