"""Records on their way to the partitions of a new generation: each goes to the one that owns its vertex, with the texts it needs.

Records of one vertex keep their order. Used by `dgs.recovery.rebuild`; it does no I/O.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dgs.codec.entries import encode_records
from dgs.core.layout import Layout, Layouts
from dgs.core.partition import partitions_of
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.strings import StringTable
from dgs.core.types import PartitionIndex

ENTRY_RECORDS = 4096
"""So many records for one partition make an entry."""
Records = VertexRecords | EdgeRecords


class Router:
    """Collects records by partition.

    Args:
        layouts: of the new generation: those of its first record on.
        partitions: how many there are.

    Attributes:
        full: whether entries should be taken.
    """

    def __init__(self, layouts: Layouts, partitions: int) -> None:
        self._layouts = layouts
        self._partitions = partitions
        self._strings = StringTable()
        self._waiting: list[list[Records]] = [[] for _ in range(partitions)]
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether entries should be taken."""
        return self._count >= ENTRY_RECORDS * self._partitions

    def put(self, group: Records, strings: Sequence[bytes]) -> None:
        """Take records whose payloads refer to these texts, from 1 on."""
        layout = self._layout(group)
        payload = layout.widen(group.payload).copy()
        self._strings.adopt(payload, layout.string_offsets, strings)
        owners = partitions_of(group.src if isinstance(group, EdgeRecords) else group.ids, self._partitions)
        for p in np.unique(owners).tolist():
            rows = np.flatnonzero(owners == p)
            if isinstance(group, EdgeRecords):
                own: Records = replace(group, src=group.src[rows], dst=group.dst[rows], timestamps=group.timestamps[rows])
            else:
                own = replace(group, ids=group.ids[rows], timestamps=group.timestamps[rows])
            self._waiting[p].append(replace(own, payload=payload[rows]))
        self._count += len(owners)

    def take(self) -> dict[PartitionIndex, bytes]:
        """Return what was put since the last call, as an entry for each partition that gets any."""
        entries = {PartitionIndex(p): self._entry(groups) for p, groups in enumerate(self._waiting) if groups}
        self._waiting = [[] for _ in range(self._partitions)]
        self._strings, self._count = StringTable(), 0
        return entries

    def _entry(self, groups: list[Records]) -> bytes:
        payloads, strings = self._strings.export([(g.payload, self._layout(g).string_offsets) for g in groups])
        return encode_records(RecordBatch(tuple(replace(g, payload=p) for g, p in zip(groups, payloads, strict=True)), strings))

    def _layout(self, group: Records) -> Layout:
        return self._layouts.edge[group.etype] if isinstance(group, EdgeRecords) else self._layouts.vertex[group.vtype]
