"""Blocks of whole lines, whatever the sizes of blocks, lines and reads."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dgs_loader.reader import Block, Reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Open = Callable[[bytes], int]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    fds: list[int] = []

    def write_and_open(data: bytes) -> int:
        (tmp_path / "data").write_bytes(data)
        fds.append(os.open(tmp_path / "data", os.O_RDONLY))
        return fds[-1]

    yield write_and_open
    for fd in fds:
        os.close(fd)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)


def blocks_of(reader: Reader) -> list[Block]:
    found = []
    while (block := reader.next()) is not None:
        found.append(block)
    assert reader.next() is None
    return found


def test_a_file_of_several_blocks_with_lines_across_their_borders(opened: Open) -> None:
    lines = [f"line {i} {'x' * (i % 97)}\n".encode() for i in range(1000)]
    reader = Reader(opened(b"".join(lines)), block_bytes=1000)
    blocks = blocks_of(reader)
    assert len(blocks) > 20
    assert b"".join(b.data for b in blocks) == b"".join(lines)
    number = 1
    for block in blocks:
        assert block.first_line == number
        assert block.data.endswith(b"\n")
        number += block.lines
    assert reader.total_bytes == sum(map(len, lines))


def test_the_last_line_needs_no_newline(opened: Open) -> None:
    assert blocks_of(Reader(opened(b"a\nb"))) == [Block(b"a\n", 1), Block(b"b\n", 2)]


def test_an_empty_file_has_no_blocks(opened: Open) -> None:
    assert blocks_of(Reader(opened(b""))) == []


def test_a_line_longer_than_a_block_is_whole_and_one_beyond_the_limit_is_cut(opened: Open) -> None:
    long, longer = b"y" * 64, b"z" * 65
    reader = Reader(opened(b"a\n" + long + b"\nb\n" + longer + b"\nc\nd"), block_bytes=10, line_bytes_max=64)
    blocks = blocks_of(reader)
    assert [b for b in blocks if b.cut] == [Block(longer[:64] + b"\n", 4, cut=True)]
    assert b"".join(b.data for b in blocks if not b.cut) == b"a\n" + long + b"\nb\nc\nd\n"
    assert [b.first_line for b in blocks][-1] == 6


def test_a_cut_line_at_the_end_of_the_input(opened: Open) -> None:
    assert blocks_of(Reader(opened(b"z" * 1000), block_bytes=10, line_bytes_max=64)) == [Block(b"z" * 64 + b"\n", 1, cut=True)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 20), st.integers(20, 30), st.booleans())
def test_every_line_comes_once_whatever_the_sizes(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], block_bytes: int, line_bytes_max: int, ended: bool
) -> None:
    lines = [(str(i) * n)[:n].encode() for i, n in enumerate(lengths)]
    data = b"".join(line + b"\n" for line in lines)
    if not ended:
        data = data[:-1]
        lines = lines[:-1] if lines and not lines[-1] else lines
    path = tmp_path_factory.getbasetemp() / "sizes"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        blocks = blocks_of(Reader(fd, block_bytes=block_bytes, line_bytes_max=line_bytes_max))
    finally:
        os.close(fd)
    found = {b.first_line + i: (line, b.cut) for b in blocks for i, line in enumerate(b.data.split(b"\n")[:-1])}
    assert found == {i: (line[:line_bytes_max], len(line) > line_bytes_max) for i, line in enumerate(lines, 1)}


def test_a_trickling_pipe_is_passed_on_at_once(pipe: tuple[int, int]) -> None:
    read, write = pipe
    reader = Reader(read)
    assert reader.total_bytes is None
    os.write(write, b"a\nb\nhal")
    assert reader.next() == Block(b"a\nb\n", 1)
    os.write(write, b"f\n")
    assert reader.next() == Block(b"half\n", 3)
    os.write(write, b"end")
    os.close(write)
    assert reader.next() == Block(b"end\n", 4)
    assert reader.next() is None


def test_a_busy_pipe_gives_full_blocks(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read
    monkeypatch.setattr(os, "read", lambda fd, size: real(fd, min(size, 1000)))
    read, write = pipe
    data = b"0123456789abcde\n" * 40_000

    def fill() -> None:
        os.write(write, data)
        os.close(write)

    writer = threading.Thread(target=fill)
    writer.start()
    time.sleep(0.05)
    blocks = blocks_of(Reader(read, block_bytes=32_000))
    writer.join()
    assert b"".join(b.data for b in blocks) == data
    assert 30_000 < max(len(b.data) for b in blocks) <= 32_000 + 16


def test_a_reader_that_waits_can_be_stopped(pipe: tuple[int, int]) -> None:
    read, write = pipe
    reader = Reader(read)
    stopping = threading.Timer(0.1, reader.stop)
    stopping.start()
    assert reader.next() is None
    stopping.join()
    os.close(write)
