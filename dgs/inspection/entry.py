"""One log entry in words: what kind it is, and what stands in it, in a line."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dgs.bus.base import Entry
from dgs.codec.entries import BlockPack, RequestPack, decode_entry
from dgs.core.blocks import CONTROL, DELTA, MARK, WHOLE
from dgs.core.control import BARRIER, DIMENSION, INSTALL, ControlItem
from dgs.core.errors import CodecError
from dgs.core.records import EdgeRecords, RecordBatch
from dgs.core.requests import PING, SUBSCRIBE, UNSUBSCRIBE
from dgs.core.schema import Schema
from dgs.core.types import Records

UNREADABLE = "unreadable"
"""Kind of an entry whose bytes are no entry; workers pass it over."""
_BLOCKS = {DELTA: ("difference", "differences"), WHOLE: ("whole row", "whole rows"), MARK: ("mark", "marks")}
_BLOCKS[CONTROL] = ("control item", "control items")
_REQUESTS = {SUBSCRIBE: ("subscribe", "subscribes"), UNSUBSCRIBE: ("unsubscribe", "unsubscribes"), PING: ("ping", "pings")}


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry as people see it.

    Attributes:
        position: where it stands.
        next: where the next one does.
        size: its bytes, without the log's own.
        kind: records, control, requests, blocks, note, or UNREADABLE.
        summary: what stands in it.
    """

    position: int
    next: int
    size: int
    kind: str
    summary: str


class EntryReader:
    """Puts entries of one deployment into words.

    Args:
        schema: for the names of types.
        barriers: names of barriers by id, as far as they are known.
    """

    def __init__(self, schema: Schema, barriers: Mapping[int, str]) -> None:
        self._schema = schema
        self._barriers = barriers

    def view(self, entry: Entry) -> EntryView:
        """Return an entry in words; one that cannot be decoded is UNREADABLE."""
        try:
            kind, summary = self._told(entry.data)
        except CodecError as e:
            kind, summary = UNREADABLE, str(e)
        return EntryView(entry.position, entry.next, len(entry.data), kind, summary)

    def _told(self, data: bytes) -> tuple[str, str]:
        decoded = decode_entry(data)
        if isinstance(decoded, RecordBatch):
            return "records", self._records(decoded)
        if isinstance(decoded, ControlItem):
            return "control", self._control(decoded)
        if isinstance(decoded, RequestPack):
            return "requests", _requests(decoded)
        return ("blocks" if len(decoded.blocks) else "note"), _blocks(decoded)

    def _records(self, batch: RecordBatch) -> str:
        counts: Counter[str] = Counter()
        for group in batch.groups:
            known = self._schema.edge_types if isinstance(group, EdgeRecords) else self._schema.vertex_types
            number = group.etype if isinstance(group, EdgeRecords) else group.vtype
            what = "edge" if isinstance(group, EdgeRecords) else "vertex"
            name = known[number].name if number in known else f"type {number}, which the schema does not have"
            counts[f"{what} {name}"] += len(group.timestamps)
        return ", ".join(f"{count} × {name}" for name, count in counts.items()) or "no records"

    def _control(self, item: ControlItem) -> str:
        body = item.body
        if item.kind == INSTALL:
            about = f"install query {body['name']!r} (id {body['id']})"
        elif item.kind == DIMENSION:
            about = f"dimension {body['dim']} of attribute {body['attribute']} of {body['kind']} type {body['type']}"
        elif item.kind == BARRIER:
            name = self._barriers.get(body["id"])
            about = f"barrier {body['id'] if name is None else repr(name)} of {body['rounds']} rounds"
        else:
            about = f"{item.kind}, which this program does not know"
        return f"order {item.number}: {about}"


def _requests(pack: RequestPack) -> str:
    numbers = _numbers(pack.first, len(pack.requests))
    return f"from serving partition {pack.sender}, {numbers}: {_counted(pack.requests, _REQUESTS)}"


def _blocks(pack: BlockPack) -> str:
    parts = [f"from sampler partition {pack.sender}"]
    if count := len(pack.blocks):
        parts.append(f"{_numbers(pack.first, count)}: {_counted(pack.blocks.heads, _BLOCKS)}")
    if pack.note is not None:
        note = pack.note
        parts.append(f"note: processed before {note.position}, last number {note.number}, watermark {note.watermark}")
    return ", ".join(parts)


def _numbers(first: int, count: int) -> str:
    return f"numbers {first}..{first + count - 1}" if count != 1 else f"number {first}"


def _counted(items: Records, names: Mapping[int, tuple[str, str]]) -> str:
    kinds, counts = np.unique(items["kind"], return_counts=True)
    pairs = zip(kinds.tolist(), counts.tolist(), strict=True)
    return ", ".join(f"{count} {names[kind][count != 1]}" for kind, count in pairs)
