"""A schema with every value type, and record batches as plain Python values."""

import json
from typing import Any, NamedTuple

import pytest
from dgs_loader.pattern import PatternFile

from dgs.core.layout import Dimension, Layouts
from dgs.core.records import EdgeRecords, RecordBatch
from dgs.core.schema import Schema, ValueType

SCHEMA: dict[str, Any] = {
    "attr_defs": [
        {"type": 0, "name": "timestamp", "value_type": "INT64"},
        {"type": 1, "name": "weight", "value_type": "FLOAT32"},
        {"type": 2, "name": "feature", "value_type": "FLOAT32_LIST"},
        {"type": 3, "name": "small", "value_type": "INT32"},
        {"type": 4, "name": "exact", "value_type": "FLOAT64"},
        {"type": 5, "name": "label", "value_type": "STRING"},
        {"type": 6, "name": "counts", "value_type": "INT32_LIST", "dim": 2},
        {"type": 7, "name": "codes", "value_type": "INT64_LIST", "dim": 1},
        {"type": 8, "name": "precise", "value_type": "FLOAT64_LIST", "dim": 3},
        {"type": 9, "name": "note", "value_type": "STRING"},
        {"type": 10, "name": "big", "value_type": "INT64"},
    ],
    "vertex_defs": [
        {"vtype": 0, "name": "user", "attr_types": [0, 2]},
        {"vtype": 1, "name": "item", "attr_types": [0, 2, 3, 4, 5, 6, 7, 8, 9, 10]},
    ],
    "edge_defs": [
        {"etype": 2, "name": "u2i", "attr_types": [0, 1]},
        {"etype": 3, "name": "i2i", "attr_types": [0, 1, 5]},
    ],
    "edge_relation_defs": [{"etype": 2, "src_vtype": 0, "dst_vtype": 1}, {"etype": 3, "src_vtype": 1, "dst_vtype": 1}],
}
PATTERN = """\
#VERTEX:user,#ID,timestamp,feature
#VERTEX:item,#ID,small,exact,label,counts,codes,precise,note,big,timestamp,feature
#EDGE:u2i,#SRC:user,#DST:item,timestamp,weight
#EDGE:i2i,#SRC:item,#DST:item,weight,label,timestamp
"""


class Record(NamedTuple):
    """One record: kind, type, types of the ends, ids, timestamp, and the values of its present attributes."""

    kind: str
    type: int
    ends: tuple[int, int]
    ids: tuple[int, ...]
    timestamp: int
    values: dict[str, Any]


def records_of(batch: RecordBatch, layouts: Layouts) -> list[Record]:
    """Return the records of a batch, group by group. A present timestamp is among the values, too."""
    found: list[Record] = []
    for group in batch.groups:
        is_edge = isinstance(group, EdgeRecords)
        layout = layouts.edge[group.etype] if isinstance(group, EdgeRecords) else layouts.vertex[group.vtype]
        assert group.payload.shape == (len(group.timestamps), layout.width)
        columns = {name: layout.column(group.payload, name) for name in layout.fields}
        present = {name: layout.present(group.payload, name) for name in layout.bits}
        for i, timestamp in enumerate(group.timestamps.tolist()):
            values: dict[str, Any] = {}
            for name, there in present.items():
                if not there[i]:
                    continue
                if name == "timestamp":
                    values[name] = timestamp
                elif layout.fields[name].attribute.value_type is ValueType.STRING:
                    values[name] = batch.strings[int(columns[name][i]) - 1]
                else:
                    values[name] = columns[name][i].tolist()
            if isinstance(group, EdgeRecords):
                ids = (int(group.src[i]), int(group.dst[i]))
                found.append(Record("edge", group.etype, (group.src_type, group.dst_type), ids, timestamp, values))
            else:
                found.append(Record("vertex", group.vtype, (-1, -1), (int(group.ids[i]),), timestamp, values))
        assert is_edge or len(group.timestamps)
    return found


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema.parse(json.dumps(SCHEMA))


@pytest.fixture(scope="session")
def patterns(schema: Schema) -> PatternFile:
    return PatternFile.parse(PATTERN, schema)


@pytest.fixture(scope="session")
def layouts(schema: Schema) -> Layouts:
    """Layouts with the dimension of both features confirmed as 2."""
    return Layouts(schema, [Dimension("vertex", 0, 2, 2), Dimension("vertex", 1, 2, 2)])
