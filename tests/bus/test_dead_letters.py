"""Entries that cannot be read: each place of a log is kept once, whole, and when the disk has room."""

import errno
import itertools
import json
import os
from pathlib import Path

import pytest

from dgs.bus.base import Entry
from dgs.bus.dead_letters import DeadEntries, DeadEntry, DeadEntryFile, read_dead_entries
from dgs.core.errors import StateError
from dgs.core.types import Position
from dgs.troubles import Troubles
from tests.disk import small_disk


def dead(position: int, data: bytes = b"bytes", topic: str = "sample-batches", partition: int = 1) -> DeadEntry:
    return DeadEntry(topic, partition, Entry(Position(position), Position(position + len(data) + 8), data), "a reason, in words")


def kept_in(path: Path) -> list[DeadEntry]:
    return [kept.dead for kept in read_dead_entries(path)]


def test_what_is_kept_comes_back_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "dead-letters" / "serving-1.jsonl"
    times = itertools.count(1_700_000_000.5)
    file = DeadEntryFile(path, now=lambda: next(times))
    assert file.count == 0
    letters = [dead(0, bytes(range(256))), dead(300, b""), dead(8, topic="record-batches")]
    for letter in letters:
        file(letter)
    assert kept_in(path) == letters
    assert [k.when for k in read_dead_entries(path)][:2] == ["2023-11-14T22:13:20.500Z", "2023-11-14T22:13:21.500Z"]
    assert file.count == 3


def test_a_place_is_kept_once_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    for _ in range(2):
        file = DeadEntryFile(path, now=lambda: 0.0)
        for position in (0, 13, 0):
            file(dead(position))
        file(dead(0, partition=2))
        assert file.count == 3
    assert [(k.partition, k.entry.position) for k in kept_in(path)] == [(1, 0), (1, 13), (2, 0)]


def test_a_line_that_a_killed_writer_left_half_written_is_kept_again(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    file = DeadEntryFile(path, now=lambda: 0.0)
    file(dead(0))
    file(dead(13, b"x" * 10_000))
    path.write_bytes(path.read_bytes()[:-5000])
    assert [k.entry.position for k in kept_in(path)] == [0]
    again = DeadEntryFile(path, now=lambda: 0.0)
    again(dead(0))
    again(dead(13, b"x" * 10_000))
    assert [k.entry.position for k in kept_in(path)] == [0, 13]


def test_lines_of_older_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    line = {"topic": "record-batches", "partition": 0, "position": 5, "reason": "r", "data": "AAE="}
    path.write_text(json.dumps(line) + "\n")
    (kept,) = read_dead_entries(path)
    assert (kept.dead.entry.data, kept.when) == (b"\x00\x01", "")
    file = DeadEntryFile(path, now=lambda: 0.0)
    file(dead(5, topic="record-batches", partition=0))
    assert file.count == 1


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"topic": "t"}'])
def test_a_file_of_something_else_names_the_line_and_does_not_stop_the_worker(tmp_path: Path, line: str) -> None:
    path = tmp_path / "d.jsonl"
    DeadEntryFile(path, now=lambda: 0.0)(dead(0))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StateError, match="line 2 is no dead letter"):
        list(read_dead_entries(path))
    writer = DeadEntryFile(path, now=lambda: 0.0)
    writer(dead(0))
    writer(dead(13))
    assert writer.count == 2


def test_a_full_disk_keeps_them_waiting_and_nothing_half_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256 << 10) as disk:
        troubles = Troubles()
        file = DeadEntryFile(disk.path / "d.jsonl", now=lambda: 0.0, troubles=troubles)
        waiting = DeadEntries(file)
        waiting.add(dead(0))
        disk.fill(leave=8192)
        waiting.add(dead(13, b"x" * 100_000))
        waiting.add(dead(99))
        assert troubles.found
        with pytest.raises(OSError, match="No space"):
            waiting.flush()
        assert kept_in(disk.path / "d.jsonl") == [dead(0)]
        assert file.count == 1
        disk.free()
        waiting.flush()
        assert kept_in(disk.path / "d.jsonl") == [dead(0), dead(13, b"x" * 100_000), dead(99)]
        assert troubles.found == []


def test_those_that_wait_go_first() -> None:
    kept: list[DeadEntry] = []
    failures = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))] * 2

    def keep(letter: DeadEntry) -> None:
        if failures:
            raise failures.pop()
        kept.append(letter)

    waiting = DeadEntries(keep)
    for position in (1, 2, 3):
        waiting.add(dead(position))
    assert [k.entry.position for k in kept] == [1, 2, 3]
