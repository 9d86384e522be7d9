"""All that a sampler partition was ever told, as records: history, newest vertex records, and the log behind the last commit.

Applied in this order to an empty state, they lead to the state that the partition would have at the end of its log: what stands in
both is applied twice, which changes nothing. It only looks; nothing may work on the data directory meanwhile.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from dgs.bus.base import RECORDS
from dgs.bus.log import Logs
from dgs.codec.entries import decode_entry, read_control_json
from dgs.codec.keys import FEATURES, HISTORY, read_element_key, read_history_keys, read_history_sources
from dgs.codec.values import decode_feature, decode_payload
from dgs.core.catalog import Catalog
from dgs.core.control import BARRIER, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, NotFoundError
from dgs.core.layout import Layout, Layouts
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.strings import StringTable
from dgs.core.types import Bytes, PartitionIndex, Position
from dgs.sampler.check import check_records
from dgs.store.view import StoreView

AT_A_TIME = 4096
READ_BYTES = 1 << 20
Found = tuple[VertexRecords | EdgeRecords, list[bytes]]
"""Records, and the texts that their payloads refer to."""


class PartitionHistory:
    """One sampler partition of a data directory.

    Args:
        store: its RocksDB; need not exist.
        logs: of the deployment, open while this is used.

    Attributes:
        committed: position of its last commit.
        passed_over: entries of the log that the partition would have passed over.
        lost: whether the log behind the commit is not there.
    """

    def __init__(self, deployment: Deployment, partition: PartitionIndex, store: Path, logs: Logs, layouts: Layouts) -> None:
        self._deployment = deployment
        self._partition = partition
        self._store = store
        self._logs = logs
        self._layouts = layouts
        self._catalog = Catalog.of(deployment.schema, deployment.first_orders)
        self._control = len(deployment.first_orders)
        self.committed = Position(deployment.begin(partition))
        self.passed_over = 0
        self.lost = False

    def stored(self) -> Iterator[Found]:
        """Yield what is in the store: vertex records, then edges.

        Raises:
            StateError: it cannot be read.
        """
        if not self._store.exists():
            return
        with StoreView(self._store) as view:
            if (committed := view.committed()) is None:
                return
            self.committed, meta = committed[0], json.loads(committed[1])
            kept = (read_control_json(text.encode()) for text in meta["kept_control"])
            self._catalog = Catalog.of(self._deployment.schema, kept)
            self._control = int(meta["control"])
            vertices = view.scan(FEATURES)
            while items := list(islice(vertices, AT_A_TIME)):
                yield from self._vertices(items)
            edges = view.scan(HISTORY)
            while items := list(islice(edges, AT_A_TIME)):
                yield from self._edges(items)

    def tail(self) -> Iterator[Found]:
        """Yield what stands in the log behind the commit; call it when `stored` has ended.

        Raises:
            PositionError: the log does not go back so far.
            StateError: its end is not recorded, or it is another deployment's.
            UnreachableError: it is on Kafka, and no broker answers.
        """
        try:
            log = self._logs.open(RECORDS, self._partition)
        except NotFoundError:
            self.lost = True
            return
        with closing(log):
            position, end = self.committed, log.end()
            self.lost = end < position
            while position < end:
                for entry in log.read(position, READ_BYTES):
                    position = entry.next
                    if position <= end:
                        yield from self._records(entry.data)

    def _vertices(self, items: list[tuple[bytes, bytes]]) -> Iterator[Found]:
        by_type: dict[int, list[tuple[int, bytes]]] = {}
        for key, value in items:
            vtype, vertex = read_element_key(key)
            by_type.setdefault(vtype, []).append((vertex, value))
        for vtype, records in by_type.items():
            decoded = [decode_feature(value) for _, value in records]
            payload, strings = self._joined([(p, s) for _, p, s in decoded], self._layouts.vertex[vtype])
            ids = np.array([vertex for vertex, _ in records], np.int64)
            yield VertexRecords(vtype, ids, np.array([t for t, _, _ in decoded], np.int64), payload), strings

    def _edges(self, items: list[tuple[bytes, bytes]]) -> Iterator[Found]:
        keys = [key for key, _ in items]
        etypes, src_types, src = read_history_sources(keys)
        timestamps, dst_types, dst = read_history_keys(keys)
        kinds, kind_of = np.unique(np.stack([etypes, src_types, dst_types], 1), axis=0, return_inverse=True)
        for kind, (etype, src_type, dst_type) in enumerate(kinds.tolist()):
            rows = np.flatnonzero(kind_of.reshape(-1) == kind)
            payload, strings = self._joined([decode_payload(items[i][1]) for i in rows.tolist()], self._layouts.edge[etype])
            yield EdgeRecords(etype, src_type, dst_type, src[rows], dst[rows], timestamps[rows], payload), strings

    def _joined(self, stored: list[tuple[Bytes, list[bytes]]], layout: Layout) -> tuple[Bytes, list[bytes]]:
        """Return payloads as one array, and the texts of all of them."""
        table, rows = StringTable(), []
        for payload, strings in stored:
            row = layout.widen(payload[None, :]).copy()
            table.adopt(row, layout.string_offsets, strings)
            rows.append(row)
        (payloads,), texts = table.export([(np.concatenate(rows), layout.string_offsets)])
        return payloads, texts

    def _records(self, data: bytes) -> Iterator[Found]:
        try:
            entry = decode_entry(data)
            if isinstance(entry, RecordBatch):
                check_records(entry, self._catalog.layouts, self._deployment, self._partition)
                yield from ((group, entry.strings) for group in entry.groups)
            elif isinstance(entry, ControlItem) and entry.number == self._control + 1:
                self._control += 1
                if entry.kind != BARRIER:
                    self._catalog = self._catalog.taken(entry)
        except CodecError:
            self.passed_over += 1
