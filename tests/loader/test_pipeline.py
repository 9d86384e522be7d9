"""From parsed batches to the logs: partitions, order, entries, strings, failures, and the agreement on dimensions."""

import asyncio
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dgs_loader import partitioning
from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.pipeline import Pipeline
from dgs_loader.progress import Progress
from dgs_loader.reader import Block, Reader
from dgs_loader.sender import AppendError, Sender

from dgs.bus.base import RECORDS
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import decode_entry
from dgs.core.layout import Dimension, Layouts
from dgs.core.partition import partition_of
from dgs.core.records import RecordBatch
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position
from tests.loader.conftest import Record, records_of

P = 3


class FaultyBus(MemoryBus):
    """Fails appends as `faults` says: of which partition the next one fails, and whether after it was done."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[tuple[int, bool]] = []
        self.appends: list[tuple[int, list[bytes]]] = []

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        self.appends.append((partition, list(entries)))
        for fault in self.faults:
            if fault[0] == partition:
                self.faults.remove(fault)
                if fault[1]:
                    await super().append(topic, partition, entries)
                raise OSError(28, "No space left on device")
        return await super().append(topic, partition, entries)


class Confirming:
    """Confirms dimensions, those of another loader where there are such, and remembers what was in the log at that moment."""

    def __init__(self, layouts: Layouts, bus: MemoryBus, first: dict[int, int] | None = None) -> None:
        self.layouts, self.bus, self.first = layouts, bus, first or {}
        self.proposals: list[Dimension] = []
        self.records_before: list[int] = []

    def confirm(self, dimension: Dimension) -> Layouts:
        self.proposals.append(dimension)
        self.records_before.append(sum(len(log.entries) for log in self.bus._topics[RECORDS]))
        dim = self.first.get(dimension.type, dimension.dim)
        self.layouts = self.layouts.confirmed(Dimension(dimension.kind, dimension.type, dimension.attribute, dim))
        return self.layouts


async def batches_of(bus: MemoryBus, partition: int) -> list[RecordBatch]:
    entries = await bus.read(RECORDS, PartitionIndex(partition), Position(0), max_bytes=1 << 30, wait_s=0)
    batches = [decode_entry(entry.data) for entry in entries]
    assert all(isinstance(b, RecordBatch) for b in batches)
    return [b for b in batches if isinstance(b, RecordBatch)]


@pytest.fixture
async def bus() -> FaultyBus:
    found = FaultyBus()
    await found.ensure(RECORDS, P)
    return found


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    fds: list[int] = []

    def write_and_open(data: bytes) -> int:
        (tmp_path / "data").write_bytes(data)
        fds.append(os.open(tmp_path / "data", os.O_RDONLY))
        return fds[-1]

    yield write_and_open
    for fd in fds:
        os.close(fd)


def parse(patterns: PatternFile, layouts: Layouts, lines: list[str], **options: Any) -> RecordBatch:
    batch, letters = Parser(patterns, layouts, **options).parse(Block("".join(f"{x}\n" for x in lines).encode(), 1))
    assert not letters
    return batch


LINES = [
    line
    for i in range(500)
    for line in (
        f"user,{i - 250},{i},{i}:0.5",
        f"u2i,{i % 7},{i},{i},1",
        f"i2i,{i},{i + 1},2,label {i},{i}",
        f"item,{i},,,n{i},,,,,,,",
    )
]


async def test_every_record_goes_to_the_owner_of_its_vertex_in_the_order_of_lines(
    patterns: PatternFile, layouts: Layouts, bus: FaultyBus
) -> None:
    batch = parse(patterns, layouts, LINES, reversed_edges={2, 3})
    sender = Sender(bus, Partitioner(P, range(P)))
    await sender.send(batch, layouts)
    all_records = records_of(batch, layouts)
    assert sender.records == len(all_records) == 500 * 6
    for partition in range(P):
        found = [r for b in await batches_of(bus, partition) for r in records_of(b, layouts)]
        assert found
        assert {partition_of(r.ids[0], P) for r in found} == {partition}
        for key in {(r.kind, r.type, r.ends) for r in all_records}:
            own = [r for r in found if (r.kind, r.type, r.ends) == key]
            assert own == [r for r in all_records if (r.kind, r.type, r.ends) == key and partition_of(r.ids[0], P) == partition]
        assert sender.positions[PartitionIndex(partition)] == await bus.end(RECORDS, PartitionIndex(partition))


async def test_the_router_maps_data_partitions_to_log_partitions(patterns: PatternFile, layouts: Layouts, bus: FaultyBus) -> None:
    router = [2, 0, 0, 2]
    await Sender(bus, Partitioner(4, router)).send(parse(patterns, layouts, LINES), layouts)
    assert not await batches_of(bus, 1)
    for log in (0, 2):
        for batch in await batches_of(bus, log):
            assert {router[partition_of(r.ids[0], 4)] for r in records_of(batch, layouts)} == {log}


@pytest.mark.parametrize("batch_records", [1, 16, 100, 4096])
async def test_entries_are_full_up_to_the_batch_size(
    patterns: PatternFile, layouts: Layouts, bus: FaultyBus, batch_records: int
) -> None:
    batch = parse(patterns, layouts, LINES)
    await Sender(bus, Partitioner(P, range(P), batch_records=batch_records)).send(batch, layouts)
    total = 0
    for partition in range(P):
        sizes = [len(b) for b in await batches_of(bus, partition)]
        assert all(size == batch_records for size in sizes[:-1])
        assert 1 <= sizes[-1] <= batch_records
        total += sum(sizes)
    assert total == len(batch)


def test_entries_of_wide_records_are_bounded_in_bytes(
    patterns: PatternFile, layouts: Layouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioning, "_ENTRY_BYTES_MAX", 1000)
    batch = parse(patterns, layouts, LINES)
    entries = [e for own in Partitioner(P, range(P)).entries(batch, layouts).values() for e in own]
    assert max(len(e) for e in entries) < 1600
    monkeypatch.setattr(partitioning, "_ENTRY_BYTES_MAX", 1)
    entries = [e for own in Partitioner(P, range(P)).entries(batch, layouts).values() for e in own]
    assert len(entries) == len(batch)


def test_a_batch_of_nothing_has_no_entries(layouts: Layouts) -> None:
    assert Partitioner(P, range(P)).entries(RecordBatch(()), layouts) == {}


@pytest.mark.parametrize("done_before", [False, True])
async def test_a_failed_append_is_sent_again_as_it_was_and_others_go_on(
    patterns: PatternFile, layouts: Layouts, bus: FaultyBus, done_before: bool
) -> None:
    bus.faults = [(1, done_before), (1, False)]
    sender = Sender(bus, Partitioner(P, range(P)), retry_timeout_s=20)
    await sender.send(parse(patterns, layouts, LINES), layouts)
    tried = [entries for partition, entries in bus.appends if partition == 1]
    assert len(tried) == 3
    assert tried[0] == tried[1] == tried[2]
    assert [partition for partition, _ in bus.appends].count(0) == 1
    assert sender.positions[PartitionIndex(1)] == await bus.end(RECORDS, PartitionIndex(1))


async def test_an_append_that_fails_for_too_long_says_what_to_do(patterns: PatternFile, layouts: Layouts, bus: FaultyBus) -> None:
    bus.faults = [(2, False)] * 1000
    sender = Sender(bus, Partitioner(P, range(P)), retry_timeout_s=0.3)
    with pytest.raises(
        AppendError, match=r"partition 2 of record-batches took nothing for 0\.3 s: .*No space left.* load the same"
    ) as e:
        await sender.send(parse(patterns, layouts, LINES), layouts)
    assert e.value.exit_code == 1
    assert sender.records == 0


class Loaded:
    """A pipeline over a file, with all its parts at hand."""

    def __init__(self, patterns: PatternFile, layouts: Layouts, bus: MemoryBus, folder: Path, first: dict[int, int] | None) -> None:
        self.parser = Parser(patterns, layouts)
        self.dimensions = Confirming(layouts, bus, first)
        self.sender = Sender(bus, Partitioner(P, range(P)), retry_timeout_s=0.2)
        self.letters = DeadLetterFile(folder / "dead")
        self.progress = Progress(io.StringIO(), None)
        self.closed = False
        self.pipeline = Pipeline(self.parser, self.dimensions, self.sender, self.letters, self.progress, self.close)

    def close(self) -> None:
        self.closed = True

    def dead(self) -> list[dict[str, Any]]:
        self.letters.close()
        return [json.loads(x) for x in self.letters.path.read_text().splitlines()] if self.letters.path.exists() else []


async def records_in(bus: MemoryBus, layouts: Layouts) -> list[Record]:
    return [r for p in range(P) for b in await batches_of(bus, p) for r in records_of(b, layouts)]


@pytest.mark.parametrize("block_bytes", [64, 1000, 1 << 20])
async def test_a_file_of_many_blocks_arrives_whole(
    patterns: PatternFile, layouts: Layouts, bus: FaultyBus, tmp_path: Path, opened: Callable[[bytes], int], block_bytes: int
) -> None:
    loaded = Loaded(patterns, layouts, bus, tmp_path, None)
    data = "\n".join(LINES).encode()
    await loaded.pipeline.load(Reader(opened(data), block_bytes=block_bytes))
    assert sorted(await records_in(bus, layouts), key=repr) == sorted(
        records_of(parse(patterns, layouts, LINES), layouts), key=repr
    )
    assert (loaded.progress.count, loaded.progress.bytes) == (len(LINES), len(data) + 1)
    assert not loaded.letters.path.exists()


async def test_a_dimension_is_confirmed_before_a_record_with_that_list_is_sent(
    patterns: PatternFile, schema: Schema, bus: FaultyBus, tmp_path: Path, opened: Callable[[bytes], int]
) -> None:
    loaded = Loaded(patterns, Layouts(schema), bus, tmp_path, None)
    lines = ["u2i,1,2,3,4", "user,1,2,", "user,2,2,1:2:3", "user,3,2,1:2", "item,1,,,,,,,,,,7", "user,4,2,4:5:6"]
    await loaded.pipeline.load(Reader(opened("\n".join(lines).encode()), block_bytes=1))
    assert loaded.dimensions.proposals == [Dimension("vertex", 0, 2, 3), Dimension("vertex", 1, 2, 1)]
    assert loaded.dimensions.records_before == [2, 3]
    assert [(x["line"], x["reason"]) for x in loaded.dead()] == [(4, "column 4 (feature): 2 elements; the dimension is 3")]
    assert loaded.sender.records == 5


async def test_another_loader_may_have_been_first(
    patterns: PatternFile, schema: Schema, bus: FaultyBus, tmp_path: Path, opened: Callable[[bytes], int]
) -> None:
    loaded = Loaded(patterns, Layouts(schema), bus, tmp_path, {0: 2})
    await loaded.pipeline.load(Reader(opened(b"user,1,1,1:2:3\nuser,2,2,1:2\nuser,3,3,\n")))
    assert loaded.dimensions.proposals == [Dimension("vertex", 0, 2, 3)]
    assert [(x["line"], x["reason"]) for x in loaded.dead()] == [(1, "column 4 (feature): 3 elements; the dimension is 2")]
    found = await records_in(bus, loaded.parser.layouts)
    assert sorted((r.ids[0], r.values.get("feature")) for r in found) == [(2, [1.0, 2.0]), (3, None)]


async def test_dead_letters_are_json_lines(
    tmp_path: Path, patterns: PatternFile, layouts: Layouts, bus: FaultyBus, opened: Callable[[bytes], int]
) -> None:
    loaded = Loaded(patterns, layouts, bus, tmp_path, None)
    await loaded.pipeline.load(Reader(opened(b'ghost,1,"\xc3\xa9"\nuser,1,2,\n\n\xff\xfe\nuser,x,2,\r\n')))
    known = "unknown type 'ghost' in column 1; the pattern file has i2i, item, u2i, user"
    assert loaded.dead() == [
        {"line": 1, "reason": known, "text": 'ghost,1,"é"'},
        {"line": 4, "reason": "not UTF-8 (byte 1)", "text": "//4=", "encoding": "base64"},
        {"line": 5, "reason": "column 2 (id): 'x' is not an integer", "text": "user,x,2,"},
    ]
    assert loaded.letters.count == 3


async def test_a_failure_ends_the_load_and_the_reader(
    patterns: PatternFile, layouts: Layouts, bus: FaultyBus, tmp_path: Path
) -> None:
    bus.faults = [(p, False) for p in range(P)] * 1000
    loaded = Loaded(patterns, layouts, bus, tmp_path, None)
    read, write = os.pipe()
    try:
        os.write(write, b"user,1,2,\n")
        with pytest.raises(AppendError):
            await asyncio.wait_for(loaded.pipeline.load(Reader(read)), 10)
    finally:
        os.close(read)
        os.close(write)


async def test_a_load_that_waits_for_its_input_can_be_cancelled(
    patterns: PatternFile, layouts: Layouts, bus: FaultyBus, tmp_path: Path
) -> None:
    loaded = Loaded(patterns, layouts, bus, tmp_path, None)
    read, write = os.pipe()
    try:
        os.write(write, b"user,1,2,\n")
        load = asyncio.create_task(loaded.pipeline.load(Reader(read)))
        while not loaded.progress.count:  # noqa: ASYNC110  # nothing tells when a block is done
            await asyncio.sleep(0.01)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(load, 5)
        assert loaded.closed
        assert loaded.sender.records == 1
    finally:
        os.close(read)
        os.close(write)


def test_progress_renews_its_line_on_a_terminal_and_is_rare_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, period_s in ((Terminal(), 0.1), (io.StringIO(), 5.0)):
        times = iter([0.0, 0.01, period_s, period_s, period_s])
        progress = Progress(stream, 4_000_000, times.__next__)
        progress.advance(10, 1_000_000, 0)
        assert stream.getvalue() == ""
        progress.advance(10, 1_000_000, 3)
        rate = f"{20 / period_s:,.0f} lines/s, {2 / period_s:,.1f} MB/s"
        line = f"20 lines, 2.0 MB (50 %), {rate}, 3 dead letters"
        assert stream.getvalue() == ("\r" + line if stream.isatty() else line + "\n")
        progress.clear()
        assert stream.getvalue().endswith("\r" if stream.isatty() else "\n")
