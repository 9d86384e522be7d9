"""Log entries as bytes: record batches, control items and requests in `record-batches`; packs of blocks in `sample-batches`.

`decode_entry` is the only reader. What it returns is safe to hand to kernels: lengths and places are checked here.
"""

import json
import struct
from dataclasses import dataclass, field

import numpy as np

from dgs.codec.frame import as_array, decode_frame, decode_strings, encode_frame, encode_strings
from dgs.core.blocks import BLOCK, CONTROL, DELTA, SLOT, WHOLE, Blocks
from dgs.core.control import ControlItem
from dgs.core.errors import CodecError
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.requests import PING, REQUEST, SUBSCRIBE
from dgs.core.types import Bytes, Records

RECORDS_KIND, CONTROL_KIND, REQUESTS_KIND, BLOCKS_KIND = 1, 2, 3, 4

GROUP = np.dtype([("edge", "<u4"), ("type", "<i4"), ("src_type", "<i4"), ("dst_type", "<i4"), ("count", "<u4"), ("width", "<u4")])


@dataclass(frozen=True, slots=True)
class Note:
    """Progress of a sampler partition: entries before `position` are processed and the last number on this channel was `number`.

    `watermark` is the largest event time seen, None before any data.
    """

    position: int
    number: int
    watermark: int | None


@dataclass(frozen=True, slots=True)
class RequestPack:
    """Requests of one serving partition: numbers `first`, `first` + 1, … of its channel to this sampler partition."""

    generation: int
    sender: int
    first: int
    requests: Records


@dataclass(frozen=True, slots=True)
class BlockPack:
    """Blocks of one sampler partition: numbers `first`, `first` + 1, … of its channel to this serving partition; and a note."""

    generation: int
    sender: int
    first: int
    blocks: Blocks = field(default_factory=lambda: Blocks.concat([]))
    note: Note | None = None


LogEntry = RecordBatch | ControlItem | RequestPack | BlockPack

_REQUEST_HEAD = struct.Struct("<IIQ")
_BLOCK_HEAD = struct.Struct("<IIQQQqBB6x")


def encode_records(batch: RecordBatch) -> bytes:
    """Return a record batch as a log entry."""
    heads, columns = [], []
    for g in batch.groups:
        if isinstance(g, EdgeRecords):
            heads.append((1, g.etype, g.src_type, g.dst_type, *g.payload.shape))
            columns += [g.src, g.dst, g.timestamps, g.payload]
        else:
            heads.append((0, g.vtype, 0, 0, *g.payload.shape))
            columns += [g.ids, g.timestamps, g.payload]
    strings = encode_strings(batch.strings) if batch.strings else b""
    return encode_frame(RECORDS_KIND, [np.array(heads, GROUP), strings, *columns])


def encode_control(item: ControlItem) -> bytes:
    """Return a control item as a log entry."""
    return encode_frame(CONTROL_KIND, [control_json(item)])


def control_json(item: ControlItem) -> bytes:
    """Return a control item as JSON, as it stands in log entries and in blocks."""
    document = {"number": item.number, "kind": item.kind, "body": item.body}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def read_control_json(data: bytes) -> ControlItem:
    """Read what `control_json` wrote.

    Raises:
        CodecError: it is something else.
    """
    try:
        document = json.loads(data)
        return ControlItem(int(document["number"]), str(document["kind"]), dict(document["body"]))
    except (ValueError, KeyError, TypeError) as e:
        raise CodecError(f"not a control item: {e!r}") from None


def encode_requests(pack: RequestPack) -> bytes:
    """Return requests as a log entry."""
    return encode_frame(REQUESTS_KIND, [_REQUEST_HEAD.pack(pack.generation, pack.sender, pack.first), pack.requests])


def encode_blocks(pack: BlockPack) -> bytes:
    """Return blocks and a note as a log entry."""
    note = pack.note or Note(0, 0, None)
    head = _BLOCK_HEAD.pack(
        pack.generation,
        pack.sender,
        pack.first,
        note.position,
        note.number,
        note.watermark or 0,
        pack.note is not None,
        note.watermark is not None,
    )
    b = pack.blocks
    return encode_frame(
        BLOCKS_KIND,
        [head, b.heads, b.additions, b.removals, b.payload, encode_strings(b.strings) if b.strings else b""],
    )


def decode_entry(data: bytes) -> LogEntry:
    """Read any log entry.

    Raises:
        CodecError: the bytes are corrupt, foreign, of a newer version, or do not fit together.
    """
    kind, sections = decode_frame(data)
    try:
        if kind == RECORDS_KIND:
            return _records(sections)
        if kind == CONTROL_KIND:
            return read_control_json(sections[0].tobytes())
        if kind == REQUESTS_KIND:
            return _requests(sections)
        if kind == BLOCKS_KIND:
            return _blocks(sections)
    except (IndexError, struct.error, ValueError) as e:
        raise CodecError(f"an entry of kind {kind} has the wrong sections: {e}") from None
    raise CodecError(f"unknown kind of entry: {kind}")


def _records(sections: list[Bytes]) -> RecordBatch:
    heads = as_array(sections[0], GROUP)
    rest = iter(sections[2:])
    groups: list[VertexRecords | EdgeRecords] = []
    for h in heads:
        n, width = int(h["count"]), int(h["width"])
        if width < 1:
            raise CodecError("a payload of no bytes")
        ids, *more = (as_array(next(rest), "<i8", (n,)) for _ in range(3 if h["edge"] else 2))
        payload = as_array(next(rest), "u1", (n, width))
        if h["edge"]:
            groups.append(EdgeRecords(int(h["type"]), int(h["src_type"]), int(h["dst_type"]), ids, more[0], more[1], payload))
        else:
            groups.append(VertexRecords(int(h["type"]), ids, more[0], payload))
    if next(rest, None) is not None:
        raise CodecError("more columns than groups")
    return RecordBatch(tuple(groups), decode_strings(sections[1]))


def _requests(sections: list[Bytes]) -> RequestPack:
    generation, sender, first = _REQUEST_HEAD.unpack(sections[0].tobytes())
    requests = as_array(sections[1], REQUEST)
    if first < 1 or np.any((requests["kind"] < SUBSCRIBE) | (requests["kind"] > PING)):
        raise CodecError("an unknown kind of request")
    return RequestPack(generation, sender, first, requests)


def _blocks(sections: list[Bytes]) -> BlockPack:
    head = _BLOCK_HEAD.unpack(sections[0].tobytes())
    generation, sender, first, position, number, watermark, has_note, has_watermark = head
    heads, additions = as_array(sections[1], BLOCK), as_array(sections[2], SLOT)
    removals = as_array(sections[3], "<u2")
    blocks = Blocks(heads, additions, removals, sections[4], decode_strings(sections[5]))
    for name, have in (("added", len(additions)), ("removed", len(removals)), ("payload_bytes", len(sections[4]))):
        if int(heads[name].sum(dtype=np.int64)) != have:
            raise CodecError(f"heads promise another number of {name} than there is")
    if np.any((heads["kind"] < DELTA) | (heads["kind"] > CONTROL)):
        raise CodecError("an unknown kind of item")
    rows = heads[(heads["kind"] == DELTA) | (heads["kind"] == WHOLE)]
    if np.any(rows["added"] > rows["count"]):
        raise CodecError("a block adds more slots than its row has")
    if np.any(additions["place"] >= np.repeat(heads["count"], heads["added"])) or np.any(additions["place"] < 0):
        raise CodecError("an addition lies outside its row")
    note = Note(position, number, watermark if has_watermark else None) if has_note else None
    return BlockPack(generation, sender, first, blocks, note)
