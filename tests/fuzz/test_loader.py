"""Inputs of the loader that are anything: every line is loaded, or stands in the dead letters with its place and the reason."""

import asyncio
import base64
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.exact import parse_line
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.pipeline import Pipeline
from dgs_loader.progress import Progress
from dgs_loader.reader import Block, Reader
from dgs_loader.sender import Sender
from hypothesis import strategies as st

from dgs.bus.base import RECORDS
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import decode_entry
from dgs.core.errors import InputError, RecordError
from dgs.core.layout import Dimension, Layouts
from dgs.core.records import RecordBatch
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position
from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.mutations import damaged
from tests.loader.conftest import PATTERN, SCHEMA, records_of

P = 2
LINES = [
    b"user,1,10,0.5:1",
    b"user,-9223372036854775808,,",
    "item,7,3,1.5,käse,1:2,9,0.5:1:2,,,4,1:2".encode(),
    b"u2i,1,7,30,0.5",
    b"i2i,7,8,1e3,x,40,",
    b"",
    b"ghost,1",
]


class NoDimensions:
    """All dimensions are confirmed."""

    def confirm(self, dimension: Dimension) -> Layouts:
        raise AssertionError(f"{dimension} was known")


@st.composite
def inputs(draw: st.DrawFn) -> tuple[bytes, int, int]:
    """Lines, some of them damaged, joined as they come; how many bytes are read at once; how many a line may have."""
    line = st.sampled_from(LINES) | damaged(LINES) | st.binary(max_size=30)
    ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n", b","])
    parts = draw(st.lists(st.tuples(line, ends), max_size=14))
    data = b"".join(text + end for text, end in parts) + draw(st.sampled_from([b"", b"user,2", b"\xff", b"\r"]))
    block_bytes = draw(st.sampled_from([7, 40, 1000]))
    return data, block_bytes, block_bytes + draw(st.integers(0, 40))


def test_lines(fuzzer: Fuzzer, tmp_path: Path, schema: Schema, patterns: PatternFile, layouts: Layouts) -> None:
    by_name = {name.encode(): pattern for name, pattern in patterns.patterns.items()}

    def check(example: tuple[bytes, int, int]) -> None:
        data, block_bytes, line_bytes_max = example
        records, letters = load(data, block_bytes, line_bytes_max, tmp_path / "letters", patterns, layouts)
        left = Counter(map(repr, records))
        lines = data.split(b"\n")
        for number, raw in enumerate(lines if lines[-1] else lines[:-1], 1):
            line = raw.removesuffix(b"\r")
            if len(raw) > line_bytes_max:
                reason, text = letters.pop(number)
                assert "longer than" in reason
                assert raw.startswith(text)
            elif line:
                try:
                    row = parse_line(line, by_name, layouts, delimiter=b",", list_delimiter=b":")
                except RecordError as e:
                    assert letters.pop(number) == (str(e), line)
                else:
                    left.subtract([repr((row.pattern.kind, row.pattern.element.id, row.ids))])
        assert not letters, "a letter of no line"
        assert not +left, "a record of no line"
        assert not -left, "a line without a record"

    fuzzer.run(check, inputs(), count=60)


Letters = dict[int, tuple[str, bytes]]
"""Reason and text by line."""


def load(
    data: bytes, block_bytes: int, line_bytes_max: int, path: Path, patterns: PatternFile, layouts: Layouts
) -> tuple[list[object], Letters]:
    """Return what the loader makes of an input: its records, and its dead letters."""
    path.unlink(missing_ok=True)
    letters = DeadLetterFile(path)
    file = os.memfd_create("data")
    try:
        os.write(file, data)
        os.lseek(file, 0, os.SEEK_SET)
        reader = Reader(file, block_bytes=block_bytes, line_bytes_max=line_bytes_max)
        records = asyncio.run(_load(reader, Parser(patterns, layouts), letters))
    finally:
        os.close(file)
        letters.close()
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    texts = {d["line"]: base64.b64decode(d["text"]) if "encoding" in d else d["text"].encode() for d in found}
    assert len(texts) == letters.count == len(found), "one letter a line"
    return records, {d["line"]: (d["reason"], texts[d["line"]]) for d in found}


async def _load(reader: Reader, parser: Parser, letters: DeadLetterFile) -> list[object]:
    bus = MemoryBus()
    await bus.ensure(RECORDS, P)
    sender = Sender(bus, Partitioner(P, list(range(P))))
    await Pipeline(parser, NoDimensions(), sender, letters, Progress(io.StringIO(), None)).load(reader)
    records: list[object] = []
    for p in range(P):
        for entry in await bus.read(RECORDS, PartitionIndex(p), Position(0), max_bytes=1 << 30, wait_s=0):
            batch = decode_entry(entry.data)
            assert isinstance(batch, RecordBatch)
            records += [(r.kind, r.type, r.ids) for r in records_of(batch, parser.layouts)]
    assert sender.records == len(records)
    return records


# Patterns -------------------------------------------------------------------------------------------------------------------------


def pattern_files() -> st.SearchStrategy[tuple[str, str, str]]:
    """Texts of pattern files, and two delimiters."""
    whole = [PATTERN.encode(), *(line.encode() for line in PATTERN.splitlines())]
    text = (damaged(whole) | st.binary(max_size=40)).map(lambda data: data.decode("utf-8", "surrogateescape"))
    delimiters = st.sampled_from(",;\t |\x00\x0b\x1c\"'_/@")
    other = delimiters.flatmap(lambda d: st.tuples(st.just(PATTERN.replace(",", d)), st.just(d), st.just("~")))
    return st.tuples(text, st.just(","), st.just(":")) | other


def test_patterns(fuzzer: Fuzzer, schema: Schema, layouts: Layouts) -> None:
    def check(example: tuple[str, str, str]) -> None:
        text, delimiter, list_delimiter = example
        try:
            file = PatternFile.parse(text, schema, delimiter)
        except InputError as e:
            assert e.problems
            return
        assert file.patterns
        parser = Parser(file, layouts, delimiter=delimiter, list_delimiter=list_delimiter)
        lines = [line.replace(b":", list_delimiter.encode()).replace(b",", delimiter.encode()) for line in LINES]
        batch, letters = parser.parse(Block(b"\n".join(lines) + b"\n", 1))
        assert len(batch) + len(letters) == len(LINES) - 1, "all but the blank line"

    fuzzer.run(check, pattern_files(), count=200)


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema.parse(json.dumps(SCHEMA))


@pytest.fixture(scope="module")
def patterns(schema: Schema) -> PatternFile:
    return PatternFile.parse(PATTERN, schema)


@pytest.fixture(scope="module")
def layouts(schema: Schema) -> Layouts:
    return Layouts(schema, [Dimension("vertex", 0, 2, 2), Dimension("vertex", 1, 2, 2)])
