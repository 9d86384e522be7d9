"""Log entries as bytes: record batches, control items and requests in `record-batches`; packs of blocks in `sample-batches`.

`decode_entry` is the only reader. What it returns is safe to hand to kernels: lengths and places are checked here.
"""

import json
import struct
from dataclasses import dataclass, field

import numpy as np

from dgs.codec.frame import as_array, decode_frame, decode_strings, encode_frame, encode_strings
from dgs.core.blocks import BLOCK, SLOT, Blocks
from dgs.core.control import BARRIER, DIMENSION, INSTALL, ControlItem
from dgs.core.errors import CodecError
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.requests import PING, REQUEST, SUBSCRIBE
from dgs.core.types import Bytes, Records

RECORDS_KIND, CONTROL_KIND, REQUESTS_KIND, BLOCKS_KIND = 1, 2, 3, 4

GROUP = np.dtype([("edge", "<u4"), ("type", "<i4"), ("src_type", "<i4"), ("dst_type", "<i4"), ("count", "<u4"), ("width", "<u4")])


@dataclass(frozen=True, slots=True)
class Note:
    """Progress of a sampler partition: entries before `position` are processed and the last number on this channel was `number`.

    `watermark` is the largest event time seen, None before any data. `oldest` is the position of the record batch that was
    appended first of those that no note of this process covered before, and `appended_ms` when that was, see `RecordBatch`; 0 where
    none tells. These two travel beside: no state follows from them.
    """

    position: int
    number: int
    watermark: int | None
    oldest: int = 0
    appended_ms: int = 0


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

ROUNDS_MOST = 65535
"""Of a barrier: marks carry the number of rounds in two bytes."""

_BODIES: dict[str, dict[str, type]] = {
    DIMENSION: {"kind": str, "type": int, "attribute": int, "dim": int},
    INSTALL: {"id": int, "name": str, "plan": dict},
    BARRIER: {"id": int, "rounds": int},
}
_SECTIONS = {CONTROL_KIND: 1, REQUESTS_KIND: 2, BLOCKS_KIND: 6}
_REQUEST_HEAD = struct.Struct("<IIQ")
_BLOCK_HEAD = struct.Struct("<IIQQQqQQBB6x")
_RECORDS_HEAD = struct.Struct("<Q")


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
    return encode_frame(RECORDS_KIND, [_RECORDS_HEAD.pack(batch.appended_ms), np.array(heads, GROUP), strings, *columns])


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
    except (ValueError, RecursionError) as e:
        raise CodecError(f"not a control item: {e!r}") from None
    if not isinstance(document, dict):
        raise CodecError("a control item is an object")
    number, kind, body = document.get("number"), document.get("kind"), document.get("body")
    if type(number) is not int or not 1 <= number < 1 << 63:
        raise CodecError(f"the number of a control item is {number!r}")
    if not isinstance(kind, str):
        raise CodecError(f"the kind of a control item is {kind!r}")
    # A kind of the future passes: whoever applies it must stop, as passing over a numbered item would lose all behind it.
    if not isinstance(body, dict) or any(type(body.get(key)) is not t for key, t in _BODIES.get(kind, {}).items()):
        raise CodecError(f"the body of a control item of kind {kind} has other fields: {body!r}")
    if kind == BARRIER and not (0 <= body["id"] < 1 << 63 and 1 <= body["rounds"] <= ROUNDS_MOST):
        raise CodecError(f"a barrier of {body['rounds']} rounds")
    return ControlItem(number, kind, body)


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
        note.oldest,
        note.appended_ms,
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
    if len(sections) != _SECTIONS.get(kind, len(sections)):
        raise CodecError(f"an entry of kind {kind} with {len(sections)} sections")
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


def appended_ms_of(data: bytes) -> int:
    """Return when a log entry was appended if it is a record batch that tells, else 0; its records are not looked at.

    Raises:
        CodecError: as `decode_entry` does.
    """
    kind, sections = decode_frame(data)
    if kind != RECORDS_KIND or not sections or len(sections[0]) != _RECORDS_HEAD.size:
        return 0
    (appended_ms,) = _RECORDS_HEAD.unpack(sections[0].tobytes())
    return int(appended_ms)


def _records(sections: list[Bytes]) -> RecordBatch:
    (appended_ms,) = _RECORDS_HEAD.unpack(sections[0].tobytes())
    if appended_ms >= 1 << 63:
        raise CodecError(f"records were appended at {appended_ms} ms")
    heads = as_array(sections[1], GROUP)
    if np.any(heads["edge"] > 1) or np.any(heads["width"] < 1):
        raise CodecError("a group of neither vertices nor edges, or of payloads of no bytes")
    if len(sections) != 3 + int(np.sum(heads["edge"] + 3)):
        raise CodecError("groups promise another number of columns than there is")
    rest = iter(sections[3:])
    groups: list[VertexRecords | EdgeRecords] = []
    for h in heads:
        n, width = int(h["count"]), int(h["width"])
        ids, *more = (as_array(next(rest), "<i8", (n,)) for _ in range(3 if h["edge"] else 2))
        payload = as_array(next(rest), "u1", (n, width))
        if h["edge"]:
            groups.append(EdgeRecords(int(h["type"]), int(h["src_type"]), int(h["dst_type"]), ids, more[0], more[1], payload))
        else:
            groups.append(VertexRecords(int(h["type"]), ids, more[0], payload))
    return RecordBatch(tuple(groups), decode_strings(sections[2]), appended_ms)


def _requests(sections: list[Bytes]) -> RequestPack:
    generation, sender, first = _REQUEST_HEAD.unpack(sections[0].tobytes())
    requests = as_array(sections[1], REQUEST)
    if not 1 <= first < 1 << 63:
        raise CodecError(f"requests are numbered from {first}")
    if np.any((requests["kind"] < SUBSCRIBE) | (requests["kind"] > PING)):
        raise CodecError("an unknown kind of request")
    pings = requests[requests["kind"] == PING]
    if np.any((pings["operator"] < 1) | (pings["operator"] > pings["count"]) | (pings["count"] > ROUNDS_MOST)):
        raise CodecError("a ping of a round that its barrier does not have")
    return RequestPack(generation, sender, first, requests)


def _blocks(sections: list[Bytes]) -> BlockPack:
    head = _BLOCK_HEAD.unpack(sections[0].tobytes())
    generation, sender, first, position, number, watermark, oldest, appended_ms, has_note, has_watermark = head
    heads, additions = as_array(sections[1], BLOCK), as_array(sections[2], SLOT)
    removals = as_array(sections[3], "<u2")
    blocks = Blocks(heads, additions, removals, sections[4], decode_strings(sections[5]))
    if not 1 <= first < 1 << 63 or max(position, number, oldest, appended_ms) >= 1 << 63:
        raise CodecError(f"items are numbered from {first}, the note says {number} and position {position}")
    if len(heads) or len(additions) or len(removals) or len(sections[4]):
        _check_blocks(blocks)
    note = Note(position, number, watermark if has_watermark else None, oldest, appended_ms) if has_note else None
    return BlockPack(generation, sender, first, blocks, note)


def _check_blocks(blocks: Blocks) -> None:
    """Refuse what kernels that apply blocks must not meet. What depends on the row (its K, its layout) is for them to check."""
    from dgs.core.kernels import blocks as kernels  # here, as a loader only encodes, and numba takes long to import

    fault = kernels.fault_of(blocks.heads, blocks.additions, blocks.removals, len(blocks.payload))
    if fault == kernels.FINE:
        return
    words = {
        kernels.SIZES: "heads promise another number of added, removed or payload_bytes than there is",
        kernels.KIND: "an unknown kind of item",
        kernels.TOO_MANY: "a block adds another number of slots than its row has room for",
        kernels.REMOVES: "only a difference removes slots",
        kernels.PAYLOAD: "payloads do not fit the additions",
        kernels.ROUND: "a mark of a round that its barrier does not have",
        kernels.ADDITION: "an addition lies outside its row, or not behind the one before it",
        kernels.REMOVAL: "a removal lies outside its row, or not behind the one before it",
    }
    raise CodecError(words[fault])
