"""Records on their way to new partitions: each to its owner, in order, with its own texts."""

import json

import numpy as np

from dgs.codec.entries import decode_entry
from dgs.core.layout import Layouts
from dgs.core.partition import partition_of
from dgs.core.records import RecordBatch, VertexRecords
from dgs.core.schema import Schema
from dgs.core.strings import StringTable
from dgs.recovery.routing import ENTRY_RECORDS, Router

SCHEMA = Schema.parse(
    json.dumps(
        {
            "attr_defs": [
                {"type": 0, "name": "timestamp", "value_type": "INT64"},
                {"type": 1, "name": "title", "value_type": "STRING"},
            ],
            "vertex_defs": [{"vtype": 0, "name": "user", "attr_types": [0, 1]}],
            "edge_defs": [],
            "edge_relation_defs": [],
        }
    )
)
LAYOUTS = Layouts(SCHEMA)
LAYOUT = LAYOUTS.vertex[0]


def records(texts: list[bytes]) -> tuple[VertexRecords, list[bytes]]:
    """Vertices 0, 1, … with these titles; the last title stands first among the texts."""
    n = len(texts)
    payload = np.zeros((n, LAYOUT.width), np.uint8)
    (at,) = LAYOUT.string_offsets
    pool = sorted(set(texts) - {b""}, reverse=True)
    references = [pool.index(t) + 1 if t else 0 for t in texts]
    payload[:, at : at + 8] = np.array(references, "<u8").view(np.uint8).reshape(n, 8)
    return VertexRecords(0, np.arange(n), np.arange(n) * 10, payload), pool


def read(entry: bytes) -> list[tuple[int, int, bytes]]:
    """Return id, timestamp and title of an entry's records."""
    batch = decode_entry(entry)
    assert isinstance(batch, RecordBatch)
    found = []
    for group in batch.groups:
        assert isinstance(group, VertexRecords)
        table, payload = StringTable(), group.payload.copy()
        table.adopt(payload, LAYOUT.string_offsets, batch.strings)
        (at,) = LAYOUT.string_offsets
        references = np.ascontiguousarray(payload[:, at : at + 8]).view(np.uint64)[:, 0].tolist()
        found += list(zip(group.ids.tolist(), group.timestamps.tolist(), map(table.__getitem__, references), strict=True))
    return found


def test_every_record_comes_to_its_owner_with_its_text() -> None:
    texts = [[b"", b"a", b"bb", b"ccc"][i % 4] for i in range(100)]
    for partitions in (1, 3, 8):
        router = Router(LAYOUTS, partitions)
        router.put(*records(texts[:50]))
        router.put(*records(texts))
        entries = router.take()
        assert router.take() == {}
        found = {p: read(entry) for p, entry in entries.items()}
        for p, own in found.items():
            assert all(partition_of(v, partitions) == p for v, _, _ in own)
            mine = [v for v in range(100) if partition_of(v, partitions) == p]
            # What was put first stands first.
            assert own == [(v, v * 10, texts[v]) for v in [*(v for v in mine if v < 50), *mine]]
        assert sum(map(len, found.values())) == 150


def test_it_is_full_when_entries_are_large_enough() -> None:
    router = Router(LAYOUTS, 2)
    router.put(*records([b"x"] * (2 * ENTRY_RECORDS - 1)))
    assert not router.full
    router.put(*records([b"x"]))
    assert router.full
    router.take()
    assert not router.full
