"""One entry of each kind, with something in every field; their bytes stand in `schemas/golden/entries/`."""

from pathlib import Path

import numpy as np

from dgs.codec.entries import (
    BlockPack,
    LogEntry,
    Note,
    RequestPack,
    encode_blocks,
    encode_control,
    encode_records,
    encode_requests,
)
from dgs.core.blocks import BLOCK, CONTROL, DELTA, MARK, SLOT, WHOLE, Blocks
from dgs.core.control import ControlItem
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.requests import PING, REQUEST, SUBSCRIBE, UNSUBSCRIBE

FOLDER = Path(__file__).parents[2] / "schemas" / "golden" / "entries"
LEAST, MOST = -(1 << 63), (1 << 63) - 1


def _payload(rows: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return (np.arange(rows * width) % 251).astype(np.uint8).reshape(rows, width)


def _records() -> RecordBatch:
    return RecordBatch(
        (
            EdgeRecords(2, 0, 1, np.array([1, LEAST]), np.array([-1, MOST]), np.array([1_700_000_000, LEAST]), _payload(2, 9)),
            VertexRecords(1, np.array([MOST, -5, 0]), np.array([0, -7, MOST]), _payload(3, 13)),
            EdgeRecords(3, 1, 1, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), _payload(0, 1)),
        ),
        [b"", b"text", "käse".encode()],
        1_700_000_000_123,
    )


def _requests() -> RequestPack:
    requests = [(SUBSCRIBE, 3, LEAST, 0), (UNSUBSCRIBE, 4, 42, 0), (PING, 2, 9, 3)]
    return RequestPack(1, 2, 77, np.array(requests, REQUEST))


def _blocks() -> Blocks:
    control = b'{"a control item":1}'
    heads = np.array(
        [
            (DELTA, 0, 4, 2, 2, 7, 10, -5, 0, 1 << 63),
            (WHOLE, 0, 2, 2, 0, 8, 6, 42, 99, 123),
            (DELTA, 0, 0, 0, 0, 7, 0, MOST, 0, 0),
            (MARK, 0, 3, 0, 0, 2, 0, 11, 0, 0),
            (CONTROL, 0, 0, 0, 0, 0, len(control), 0, 5, 0),
        ],
        BLOCK,
    )
    additions = np.array(
        [
            ((1 << 64) - 1, 5, LEAST, -1, 0, 1),
            (3, 4, MOST, 2, 1, 3),
            (9, 9, 1, 2, 0, 0),
            (8, 9, 1, 2, 0, 1),
        ],
        SLOT,
    )
    payload = np.concatenate([_payload(2, 5).ravel(), _payload(2, 3).ravel(), np.frombuffer(control, np.uint8)])
    return Blocks(heads, additions, np.array([0, 1], np.uint16), payload, [b"text", b"\xff"])


ENTRIES: dict[str, LogEntry] = {
    "records": _records(),
    "control-dimension": ControlItem(1, "dimension", {"kind": "vertex", "type": 0, "attribute": 2, "dim": 128}),
    "control-install": ControlItem(2, "install", {"id": 0, "name": "käse", "plan": {"query_plan": {"plan_nodes": []}}}),
    "control-barrier": ControlItem(MOST, "barrier", {"id": 7, "rounds": 65535}),
    "requests": _requests(),
    "blocks": BlockPack(1, 3, 1 << 40, _blocks(), Note(1 << 50, (1 << 40) - 1, -9, 1 << 49, 1_700_000_000_456)),
    "note": BlockPack(1, 0, 1, note=Note(12, 0, None)),
    "blocks-without-note": BlockPack(2, 1, 5, _blocks().take(np.array([0, 2]))),
}


def encode(entry: LogEntry) -> bytes:
    """Return any entry as bytes."""
    if isinstance(entry, RecordBatch):
        return encode_records(entry)
    if isinstance(entry, ControlItem):
        return encode_control(entry)
    return encode_requests(entry) if isinstance(entry, RequestPack) else encode_blocks(entry)


def same(a: object, b: object) -> bool:
    """Whether two entries, or parts of them, are equal; arrays by their bytes, type and shape."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    names = getattr(type(a), "__slots__", ())
    if type(a) is type(b) and names:
        return all(same(getattr(a, name), getattr(b, name)) for name in names)
    return type(a) is type(b) and a == b
