"""A small graph for tests of the machines: its schema, raw records, and how they become log entries."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dgs.core.layout import Dimension, Layout, Layouts
from dgs.core.partition import partition_of
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.schema import Schema
from dgs.testing.oracle import Oracle

SCHEMA_DOCUMENT = {
    "attr_defs": [
        {"type": 0, "name": "timestamp", "value_type": "INT64"},
        {"type": 1, "name": "weight", "value_type": "FLOAT32"},
        {"type": 2, "name": "vec", "value_type": "FLOAT32_LIST"},
        {"type": 3, "name": "name", "value_type": "STRING"},
        {"type": 4, "name": "stars", "value_type": "INT32"},
    ],
    "vertex_defs": [
        {"vtype": 0, "name": "a", "attr_types": [0, 2, 3]},
        {"vtype": 1, "name": "b", "attr_types": [0, 4]},
    ],
    "edge_defs": [
        {"etype": 0, "name": "ab", "attr_types": [0, 1, 3]},
        {"etype": 1, "name": "mixed", "attr_types": [0, 1]},
    ],
    "edge_relation_defs": [
        {"etype": 0, "src_vtype": 0, "dst_vtype": 1},
        {"etype": 1, "src_vtype": 1, "dst_vtype": 1},
        {"etype": 1, "src_vtype": 1, "dst_vtype": 0},
    ],
}
SCHEMA = Schema.parse(json.dumps(SCHEMA_DOCUMENT))
DIMENSION = Dimension("vertex", 0, 2, 2)
JOINS = [(e, s, d) for e in SCHEMA.edge_types for s in SCHEMA.vertex_types for d in SCHEMA.destinations(e, s)]


@dataclass(frozen=True)
class Edge:
    """A raw edge record."""

    etype: int
    src_type: int
    src: int
    dst_type: int
    dst: int
    timestamp: int
    weight: float | None = None
    name: str | None = None

    @property
    def owner(self) -> int:
        """The vertex whose partition it belongs to."""
        return self.src

    def attributes(self) -> dict[str, Any]:
        """Return what it says besides its identity."""
        return {"weight": self.weight, "name": self.name} if self.etype == 0 else {"weight": self.weight}

    def tell(self, oracle: Oracle) -> None:
        """Have an oracle take it."""
        oracle.edge(self.etype, self.src_type, self.src, self.dst_type, self.dst, self.timestamp, self.attributes())


@dataclass(frozen=True)
class Vertex:
    """A raw vertex record."""

    vtype: int
    id: int
    timestamp: int
    value: int

    @property
    def owner(self) -> int:
        """The vertex whose partition it belongs to."""
        return self.id

    def attributes(self) -> dict[str, Any]:
        """Return what it says besides its identity."""
        if self.vtype == 1:
            return {"stars": self.value}
        vec = [float(self.value), 0.5] if self.value > 2 else None
        return {"vec": vec, "name": f"v{self.value}" if self.value % 3 else None}

    def tell(self, oracle: Oracle) -> None:
        """Have an oracle take it."""
        oracle.vertex(self.vtype, self.id, self.timestamp, self.attributes())


Raw = Edge | Vertex


def payloads(layout: Layout, rows: Sequence[dict[str, Any]], strings: list[bytes]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pack attributes of raw records; texts go to `strings`."""
    columns: dict[str, tuple[Any, Any]] = {}
    for attribute in layout.element.attributes:
        values = [row.get(attribute.name) for row in rows]
        present = np.array([v is not None for v in values])
        if attribute.name == "timestamp":
            columns["timestamp"] = np.zeros(len(rows)), None
        elif attribute.value_type.name == "STRING":
            refs = []
            for v in values:
                if v is not None:
                    strings.append(v.encode())
                refs.append(0 if v is None else len(strings))
            columns[attribute.name] = np.array(refs, np.uint64), present
        elif attribute.value_type.is_list:
            if attribute.name not in layout.fields:
                assert not present.any(), "a list without a confirmed dimension"
                continue
            columns[attribute.name] = np.array([v or [0.0] * 2 for v in values]), present
        else:
            columns[attribute.name] = np.array([v or 0 for v in values]), present
    return layout.pack(len(rows), columns)


def batch_of(raws: Sequence[Raw], layouts: Layouts) -> RecordBatch:
    """Return raw records of one partition as one batch."""
    groups: list[EdgeRecords | VertexRecords] = []
    strings: list[bytes] = []
    by_type: dict[Any, list[Any]] = defaultdict(list)
    for raw in raws:
        key = (raw.etype, raw.src_type, raw.dst_type) if isinstance(raw, Edge) else raw.vtype
        by_type[key].append(raw)
    for key, own in by_type.items():
        timestamps = np.array([r.timestamp for r in own], np.int64)
        if isinstance(key, int):
            ids = np.array([r.id for r in own], np.int64)
            packed = payloads(layouts.vertex[key], [r.attributes() for r in own], strings)
            groups.append(VertexRecords(key, ids, timestamps, packed))
        else:
            etype, src_type, dst_type = key
            src, dst = np.array([r.src for r in own], np.int64), np.array([r.dst for r in own], np.int64)
            packed = payloads(layouts.edge[etype], [r.attributes() for r in own], strings)
            groups.append(EdgeRecords(etype, src_type, dst_type, src, dst, timestamps, packed))
    return RecordBatch(tuple(groups), strings)


def by_partition(raws: Sequence[Raw], partitions: int) -> dict[int, list[Raw]]:
    """Split raw records by the partition that owns them, keeping their order."""
    split: dict[int, list[Raw]] = defaultdict(list)
    for raw in raws:
        split[partition_of(raw.owner, partitions)].append(raw)
    return split
