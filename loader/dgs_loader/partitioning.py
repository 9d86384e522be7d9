"""Record batches to log entries: every record goes to the partition that owns its vertex, an edge to that of its source.

The order of the records of one type stays what it was, within each partition. Nothing here appends; the sender does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dgs.codec.entries import encode_records
from dgs.core.layout import Layout, Layouts
from dgs.core.partition import partitions_of
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.schema import ValueType
from dgs.core.types import Int64s, PartitionIndex

BATCH_RECORDS = 4096
"""Records in an entry, at most, unless the user says otherwise: kernels reach their speed from a few hundred on."""
_ENTRY_BYTES_MAX = 512 << 10
"""Columns in an entry, at most, unless one record is larger: entries must fit into a message of any bus."""
Records = VertexRecords | EdgeRecords


@dataclass(slots=True)
class _Filling:
    """An entry in the making."""

    groups: list[Records] = field(default_factory=list)
    strings: list[bytes] = field(default_factory=list)
    records: int = 0
    bytes: int = 0


class Partitioner:
    """Splits batches by partition.

    Args:
        partitions: number of data partitions.
        router: the log partition of each data partition.
        batch_records: upper bound of records in one entry.
    """

    def __init__(self, partitions: int, router: Sequence[int], *, batch_records: int = BATCH_RECORDS) -> None:
        self._partitions = partitions
        self._router: Int64s = np.array(router, np.int64)
        self._logs = int(self._router.max()) + 1
        self._batch_records = batch_records

    def entries(self, batch: RecordBatch, layouts: Layouts) -> dict[PartitionIndex, list[bytes]]:
        """Return the encoded entries of a batch, in order, by log partition, each with the batch's `appended_ms`.

        `layouts` are those of the batch's payloads.
        """
        entries: dict[PartitionIndex, list[bytes]] = {}
        filling: dict[PartitionIndex, _Filling] = {}
        for group in batch.groups:
            layout = layouts.edge[group.etype] if isinstance(group, EdgeRecords) else layouts.vertex[group.vtype]
            logs = self._router[partitions_of(_owners(group), self._partitions)]
            # A stable sort of small integers is a radix sort.
            order = np.argsort(logs.astype(np.uint16), kind="stable")
            ends = np.cumsum(np.bincount(logs, minlength=self._logs)).tolist()
            ordered = _take(group, order)
            start = 0
            for log, end in enumerate(ends):
                if end > start:
                    partition = PartitionIndex(log)
                    own, start = _take(ordered, slice(start, end)), end
                    self._fill(filling.setdefault(partition, _Filling()), entries.setdefault(partition, []), own, layout, batch)
        for partition, rest in filling.items():
            if rest.records:
                entries[partition].append(_encoded(rest, batch.appended_ms))
        return entries

    def _fill(self, filling: _Filling, done: list[bytes], group: Records, layout: Layout, batch: RecordBatch) -> None:
        record_bytes = 24 + group.payload.shape[1]
        at, count = 0, len(group.timestamps)
        while at < count:
            room = min(self._batch_records - filling.records, (_ENTRY_BYTES_MAX - filling.bytes) // record_bytes)
            if room < 1 and filling.records:
                done.append(_encoded(filling, batch.appended_ms))
                filling.groups, filling.strings, filling.records, filling.bytes = [], [], 0, 0
                continue
            part = _take(group, slice(at, at + max(room, 1)))
            _move_strings(part, layout, batch.strings, filling.strings)
            filling.groups.append(part)
            taken = len(part.timestamps)
            filling.records += taken
            filling.bytes += taken * record_bytes
            at += taken


def _owners(group: Records) -> Int64s:
    return group.src if isinstance(group, EdgeRecords) else group.ids


def _take(group: Records, rows: Int64s | slice) -> Records:
    timestamps, payload = group.timestamps[rows], group.payload[rows]
    if isinstance(group, EdgeRecords):
        return replace(group, src=group.src[rows], dst=group.dst[rows], timestamps=timestamps, payload=payload)
    return replace(group, ids=group.ids[rows], timestamps=timestamps, payload=payload)


def _move_strings(group: Records, layout: Layout, strings: Sequence[bytes], own: list[bytes]) -> None:
    """Copy the strings that the records refer to into `own`, and let them refer to those; changes the payload in place."""
    for name, place in layout.fields.items():
        if place.attribute.value_type is ValueType.STRING:
            rows = np.flatnonzero(layout.present(group.payload, name))
            references = layout.column(group.payload, name)[rows].tolist()
            moved = np.arange(len(own) + 1, len(own) + 1 + len(rows), dtype="<u8")
            group.payload[rows, place.offset : place.end] = moved.view(np.uint8).reshape(-1, 8)
            own += [strings[i - 1] for i in references]


def _encoded(filling: _Filling, appended_ms: int) -> bytes:
    return encode_records(RecordBatch(tuple(filling.groups), filling.strings, appended_ms))
