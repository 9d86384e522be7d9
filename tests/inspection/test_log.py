"""Logs as they are shown: extents, entries in words, and the first damage."""

import re
import shutil
from pathlib import Path

import pytest

from dgs.bus.base import RECORDS, SAMPLES, Entry
from dgs.core.errors import CodecError, InputError, NotFoundError, StateError
from dgs.inspection.entry import UNREADABLE, EntryReader, EntryView
from dgs.inspection.log import LogView, list_logs
from dgs.testing import graph
from dgs.testing.graph import Edge
from tests.inspection.conftest import GARBAGE, RAWS, P, World


def entries(world: World, topic: str, partition: int) -> list[EntryView]:
    reader = EntryReader(graph.SCHEMA, world.subject.barrier_names())
    with LogView(world.subject, topic, partition) as view:
        return [reader.view(e) for e in view.entries()]


def test_all_logs_are_listed_with_their_extent(world: World) -> None:
    logs = list_logs(world.subject)
    assert [(log["topic"], log["partition"], log["exists"]) for log in logs] == [
        (topic, p, True) for topic in (RECORDS, SAMPLES) for p in range(2)
    ]
    assert [log["end"] for log in logs[:P]] == world.positions
    assert all((log["begin"], log["segments"], log["bytes"]) == (0, 1, log["end"]) for log in logs)


def test_record_logs_in_words(world: World) -> None:
    for p in range(P):
        found = entries(world, RECORDS, p)
        assert [e.position for e in found[1:]] == [e.next for e in found[:-1]]
        control = [e.summary for e in found if e.kind == "control"]
        assert control[:2] == ["order 1: install query 'shop' (id 7)", "order 2: dimension 2 of attribute 2 of vertex type 0"]
        assert re.fullmatch(r"order 3: barrier 'loaded' of \d rounds", control[2])
        (records,) = (e for e in found if e.kind == "records")
        own = graph.by_partition(RAWS, P)[p]
        edges = sum(isinstance(raw, Edge) and raw.etype == 0 for raw in own)
        assert f"{edges} × edge ab" in records.summary
        requests = [e for e in found if e.kind == "requests"]
        assert requests
        assert all(re.match(r"from serving partition [01], numbers? \d+", e.summary) for e in requests)
        unreadable = [e for e in found if e.kind == UNREADABLE]
        assert [e.size for e in unreadable] == ([len(GARBAGE)] if p == 0 else [])


def test_sample_logs_in_words(world: World) -> None:
    found = entries(world, SAMPLES, 0)
    assert {e.kind for e in found} == {"blocks", "note"}
    text = "\n".join(e.summary for e in found)
    for word in ("differences", "whole row", "mark", "control item", f"note: processed before {world.positions[0]}"):
        assert word in text


def test_reading_begins_and_ends_where_it_is_told(world: World) -> None:
    found = entries(world, RECORDS, 1)
    with LogView(world.subject, RECORDS, 1) as view:
        part = list(view.entries(found[2].position, found[4].position))
        assert [e.position for e in part] == [found[2].position, found[3].position]
        assert list(view.entries(world.positions[1])) == []
        with pytest.raises(InputError, match="is beyond the end of the log"):
            list(view.entries(world.positions[1] + 1))
        with pytest.raises(CodecError, match="If the position was a guess"):
            list(view.entries(found[2].position + 1))


@pytest.fixture
def copied(world: World, tmp_path: Path) -> World:
    shutil.copytree(world.root, tmp_path / "state")
    copy = World(tmp_path / "state")
    copy.positions = world.positions
    return copy


def test_damage_is_named_with_file_and_position(copied: World) -> None:
    found = entries(copied, RECORDS, 1)
    file = copied.directory.log / RECORDS / "1" / f"{0:020d}.log"
    data = bytearray(file.read_bytes())
    data[found[3].position + 12] ^= 1
    file.write_bytes(data)
    with LogView(copied.subject, RECORDS, 1) as view:
        good: list[Entry] = []
        with pytest.raises(CodecError, match=rf"{file.name}: the entry at position {found[3].position} .* checksum"):
            good.extend(view.entries())
    with LogView(copied.subject, RECORDS, 1) as view:
        assert [e.position for e in view.entries(None, found[3].position)] == [e.position for e in found[:3]]


def test_logs_that_are_not_there_yet_and_ends_that_are_lost(copied: World) -> None:
    shutil.rmtree(copied.directory.log / SAMPLES / "1")
    (copied.directory.log / SAMPLES / "1").mkdir()
    logs = list_logs(copied.subject)
    assert [log["exists"] for log in logs] == [True, True, True, False]
    with pytest.raises(NotFoundError, match="nothing has been appended"):
        LogView(copied.subject, SAMPLES, 1)
    (copied.directory.log / RECORDS / "0" / "end").write_bytes(b"")
    with pytest.raises(StateError, match="finds the end again"):
        LogView(copied.subject, RECORDS, 0)
