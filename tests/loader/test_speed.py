"""What a line costs: CPU of parsing alone, and of everything but the bus. Run with `-s` to see the figures."""

import random
import time
from collections.abc import Callable

import pytest
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.reader import BLOCK_BYTES, Block

from dgs.core.layout import Dimension, Layouts
from dgs.core.schema import Schema

US_MAX = 4.0
"""CPU per edge line with one weight; the aim is well below, the rest is room for a busy machine."""


def edge(r: random.Random) -> str:
    return f"u2i,{r.randrange(10**7)},{r.randrange(10**6)},{1_700_000_000 + r.randrange(10**7)},{4 * r.random():.3f}\n"


def vertex(r: random.Random) -> str:
    return f"user,{r.randrange(10**7)},{1_700_000_000 + r.randrange(10**7)},{':'.join(f'{r.random():.3f}' for _ in range(10))}\n"


def long_vertex(r: random.Random) -> str:
    return f"user,{r.randrange(10**7)},{1_700_000_000 + r.randrange(10**7)},{':'.join(str(r.random()) for _ in range(10))}\n"


@pytest.mark.parametrize("make", [edge, vertex, long_vertex])
def test_cpu_per_line(make: Callable[[random.Random], str], patterns: PatternFile, schema: Schema) -> None:
    r = random.Random(1)
    lines = []
    size = 0
    while size < BLOCK_BYTES:
        lines.append(make(r))
        size += len(lines[-1])
    block = Block("".join(lines).encode(), 1)
    layouts = Layouts(schema, [Dimension("vertex", 0, 2, 10)])
    parser, partitioner = Parser(patterns, layouts), Partitioner(4, range(4))
    parsing = whole = float("inf")
    for _ in range(7):
        start_s = time.process_time()
        batch, letters = parser.parse(block)
        parsed_s = time.process_time()
        entries = partitioner.entries(batch, layouts)
        parsing, whole = min(parsing, parsed_s - start_s), min(whole, time.process_time() - start_s)
    assert not letters
    assert len(batch) == len(lines)
    assert set(entries) == {0, 1, 2, 3}
    us = 1e6 / len(lines)
    print(f"\n{make.__name__}: {parsing * us:.2f} µs a line parsing, {whole * us:.2f} µs with partitioning and encoding")  # noqa: T201
    if make is edge:
        assert whole * us < US_MAX
