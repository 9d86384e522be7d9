"""Entries of a foreign writer in the service's logs: passed over, kept with place and reason, and the stream goes on."""

import asyncio
import base64
import json
from pathlib import Path

import numpy as np
import pytest

from dgs.bus import open_bus
from dgs.bus.base import RECORDS, SAMPLES
from dgs.codec.entries import RECORDS_KIND, encode_records
from dgs.codec.frame import encode_frame
from dgs.core.records import EdgeRecords, RecordBatch
from dgs.core.types import PartitionIndex, Position
from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import until
from tests.e2e.service import Service


def append(service: Service, topic: str, partition: int, entries: list[bytes]) -> list[int]:
    """Append entries behind the service's back; return where they stand, if nobody else writes meanwhile."""

    async def write() -> list[int]:
        bus = open_bus(f"local://{service.data_dir / 'log'}")
        try:
            start = await bus.end(topic, PartitionIndex(partition))
            await bus.append(topic, PartitionIndex(partition), entries)
            read = await bus.read(topic, PartitionIndex(partition), Position(start), max_bytes=1 << 20, wait_s=0)
            return [int(e.position) for e in read[: len(entries)]]
        finally:
            await bus.close()

    return asyncio.run(write())


def letters(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def edge(etype: int, width: int) -> bytes:
    """Return an entry with one edge record."""
    one, payload = np.ones(1, np.int64), np.zeros((1, width), np.uint8)
    return encode_records(RecordBatch((EdgeRecords(etype, 0, 1, one, one, one, payload),), []))


def damaged() -> list[bytes]:
    """Entries that are no entries, each in a way of its own; the last ones are sound, but of another schema."""
    good = edge(2, 1)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    no_frames = [b"garbage", bytes(range(256)), good[:-8], bytes(flipped), good[:2] + b"\x63" + good[3:]]
    return [*no_frames, encode_frame(99, [b"x"]), encode_frame(RECORDS_KIND, []), good, edge(77, 9)]


@pytest.mark.slow
def test_a_corrupt_record_entry_is_passed_over_and_kept_and_the_stream_goes_on(new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags)
    service.start()
    service.load_lines(graph.pattern_file, graph.lines[:2000], "half")
    bad = damaged()
    positions = {p: append(service, RECORDS, p, bad) for p in (0, 3)}
    ended = service.load(graph.pattern_file, graph.data_file, "--barrier", "b")
    assert ended.code == 0, ended.err
    service.wait("b")
    for p, places in positions.items():
        kept = letters(service.data_dir / "dead-letters" / f"sampler-{p}.jsonl")
        assert [k["position"] for k in kept] == places
        assert [base64.b64decode(str(k["data"])) for k in kept] == bad
        assert all((k["topic"], k["partition"]) == (RECORDS, p) and k["reason"] for k in kept)
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
    assert "Traceback" not in service.said()
    # A start after a crash passes over them, too.
    service.kill_all()
    service.start()
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


def test_a_corrupt_sample_entry_is_passed_over_and_kept_and_the_stream_goes_on(new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags)
    service.start()
    service.load_lines(graph.pattern_file, graph.lines[:2000], "half")
    path = service.data_dir / "dead-letters" / "serving-1.jsonl"
    append(service, SAMPLES, 1, [b"garbage", bytes(64)])
    until("both are kept", lambda: len(letters(path)) == 2)
    assert [base64.b64decode(str(k["data"])) for k in letters(path)] == [b"garbage", bytes(64)]
    # A start that reads them again keeps them no second time.
    service.kill_all()
    service.start()
    assert len(letters(path)) == 2
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "b").code == 0
    service.wait("b")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
    assert "Traceback" not in service.said()
