"""The state of a sampler partition: rows, records, subscribers, history, channel numbers; loading it and cutting commits from it.

A function of the log's prefix. The machine changes it, the worker commits it; nobody else sees it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dgs.codec.entries import control_json, read_control_json
from dgs.codec.frame import encode_strings
from dgs.codec.keys import FEATURES, ROWS, element_keys
from dgs.codec.values import encode_feature, row_heads
from dgs.core.blocks import SLOT
from dgs.core.catalog import Catalog
from dgs.core.control import ControlItem
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.core.features import FeatureTable
from dgs.core.operators import Operator
from dgs.core.repair import partition_anew
from dgs.core.reservoir import Reservoir
from dgs.core.slab import Slab
from dgs.core.strings import StringTable
from dgs.core.types import Bytes, Int32s, PartitionIndex, Position, UInt64s
from dgs.core.vertices import VertexIndex
from dgs.sampler.history import History
from dgs.sampler.loading import load_features, load_rows
from dgs.store.base import Batch, Store


@dataclass(slots=True)
class Rows:
    """An operator's share of the state: its reservoir (None for a vertex operator), and who is fed which row.

    Attributes:
        subscribers: uint64 [vertex rows, words]: bit s of a row is set while serving partition s subscribes to it.
        dirty: vertex rows changed since the last cut.
    """

    operator: Operator
    reservoir: Reservoir | None
    subscribers: Slab
    dirty: list[Int32s] = field(default_factory=list)


class SamplerState:
    """Everything that a sampler partition knows."""

    def __init__(self, deployment: Deployment, partition: PartitionIndex, store: Store) -> None:
        self.deployment = deployment
        self.partition = partition
        self.position = Position(deployment.begin(partition))
        self.received = [0] * deployment.serving_partitions
        self.sent = [0] * deployment.serving_partitions
        self.control = 0
        self.kept_control: list[ControlItem] = []
        self.watermark: int | None = None
        self.catalog = Catalog.empty(deployment.schema)
        self.strings = StringTable()
        self.history = History(store, self.strings)
        self.vertices = {vtype: VertexIndex() for vtype in deployment.schema.vertex_types}
        self.features = {vtype: FeatureTable(layout) for vtype, layout in self.catalog.layouts.vertex.items()}
        self.dirty_features: dict[int, list[Int32s]] = {vtype: [] for vtype in self.features}
        self.rows: dict[int, Rows] = {}
        self._words = (deployment.serving_partitions + 63) // 64
        self._load(store)

    def take_control(self, item: ControlItem) -> None:
        """Change the catalog by a control item; widen tables and make those of new operators."""
        self.kept_control.append(item)
        self.catalog = self.catalog.taken(item)
        for vtype, table in self.features.items():
            table.widen(self.catalog.layouts.vertex[vtype])
        for operator in self.catalog.operators.operators:
            rows, layout = self.rows.get(operator.id), self.catalog.layout(operator)
            if rows is None:
                reservoir = None if operator.etype is None else Reservoir(operator, layout)
                self.rows[operator.id] = Rows(operator, reservoir, Slab("<u8", self._words))
                continue
            rows.operator = operator
            if rows.reservoir is not None:
                rows.reservoir.widen(layout)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that vertices, rows and records take. Texts, and history on its way to the store, are not among them."""
        found = sum(index.nbytes for index in self.vertices.values()) + sum(table.nbytes for table in self.features.values())
        for rows in self.rows.values():
            found += rows.subscribers.nbytes + (rows.reservoir.nbytes if rows.reservoir is not None else 0)
        return found

    def sweep_strings(self) -> None:
        """Forget texts that no row and no record refers to, once there are many."""
        if self.strings.wants_sweep:
            live = [refs for table in self.features.values() for refs in table.references()]
            for rows in self.rows.values():
                if rows.reservoir is not None:
                    live += rows.reservoir.rows.references(self.catalog.layout(rows.operator))
            self.strings.sweep(live)

    # Commit -----------------------------------------------------------------------------------------------------------------

    def cut(self) -> Batch:
        """Return everything that changed since the last cut, as one commit. Call `committed` once it is written."""
        puts = self.history.freeze()
        for rows in self.rows.values():
            if rows.dirty:
                self._put_rows(rows, np.unique(np.concatenate(rows.dirty)), puts)
                rows.dirty.clear()
        for vtype, dirty in self.dirty_features.items():
            if dirty:
                self._put_features(vtype, np.unique(np.concatenate(dirty)), puts)
                dirty.clear()
        meta = {
            "log_id": self.deployment.log_id,
            "generation": self.deployment.generation,
            "emission_version": self.deployment.emission_version,
            "received": self.received,
            "sent": self.sent,
            "control": self.control,
            "kept_control": [control_json(item).decode() for item in self.kept_control],
            "watermark": self.watermark,
        }
        return Batch(self.position, json.dumps(meta).encode(), puts)

    def committed(self) -> None:
        """The last cut is in the store."""
        self.history.committed()

    def _put_rows(self, rows: Rows, vertices: Int32s, puts: dict[bytes, bytes]) -> None:
        subscribers: UInt64s = rows.subscribers.reserve(int(vertices.max()) + 1)[vertices]
        keys = element_keys(ROWS, rows.operator.id, self.vertices[rows.operator.vtype].ids[vertices])
        if rows.reservoir is None:
            heads = row_heads(np.zeros(len(vertices), np.int32), 0, subscribers)
            puts.update(zip(keys, map(bytes, heads), strict=True))
            return
        counts, width = rows.reservoir.counts(vertices), rows.reservoir.rows.width
        heads = row_heads(counts, width, subscribers)
        values = rows.reservoir.packed(vertices, heads)
        if offsets := self.catalog.layout(rows.operator).string_offsets:
            splits = heads.shape[1] + counts * SLOT.itemsize
            values = [self._row_with_strings(v, split, width, offsets) for v, split in zip(values, splits.tolist(), strict=True)]
        puts.update(zip(keys, values, strict=True))

    def _put_features(self, vtype: int, vertices: Int32s, puts: dict[bytes, bytes]) -> None:
        table, offsets = self.features[vtype], self.catalog.layouts.vertex[vtype].string_offsets
        keys = element_keys(FEATURES, vtype, self.vertices[vtype].ids[vertices])
        payload = table.payload[vertices]
        for i, (key, timestamp) in enumerate(zip(keys, table.timestamps[vertices].tolist(), strict=True)):
            puts[key] = encode_feature(timestamp, *self._with_strings(payload[i : i + 1], offsets))

    def _row_with_strings(self, value: bytes, split: int, width: int, offsets: Sequence[int]) -> bytes:
        payload = np.frombuffer(value, np.uint8, offset=split).reshape(-1, width)
        return value[:split] + b"".join(self._with_strings(payload, offsets))

    def _with_strings(self, payload: Bytes, offsets: Sequence[int]) -> tuple[bytes, bytes]:
        """Payloads as bytes, and the strings that they refer to from there."""
        (exported,), strings = self.strings.export([(payload, offsets)])
        return exported.tobytes(), encode_strings(strings) if strings else b""

    # Load -------------------------------------------------------------------------------------------------------------------

    def _load(self, store: Store) -> None:
        committed = store.committed()
        if committed is None:
            return
        self.position, raw = committed
        meta = json.loads(raw)
        for name in ("log_id", "generation", "emission_version"):
            have, want = meta[name], getattr(self.deployment, name)
            if have != want:
                raise StateError(
                    f"state of sampler partition {self.partition} has {name} {have!r}, the deployment {want!r}: "
                    f"it belongs to another log; {partition_anew('sampler', self.partition)}"
                )
        self.received, self.sent, self.control = meta["received"], meta["sent"], meta["control"]
        self.watermark = meta["watermark"]
        for text in meta["kept_control"]:
            self.take_control(read_control_json(text.encode()))
        load_features(self, store)
        load_rows(self, store)
