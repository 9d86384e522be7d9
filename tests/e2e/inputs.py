"""A graph as the files that a user has: schema, query, pattern and data, the same for the same arguments; and the oracle of it."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.query import read_query
from dgs.core.schema import ElementType, Schema, ValueType
from dgs.testing.oracle import Oracle

SCHEMA = {
    "attr_defs": [
        {"type": 0, "name": "timestamp", "value_type": "INT64"},
        {"type": 1, "name": "weight", "value_type": "FLOAT32"},
        {"type": 2, "name": "feature", "value_type": "FLOAT32_LIST"},
        {"type": 3, "name": "title", "value_type": "STRING"},
        {"type": 4, "name": "price", "value_type": "FLOAT64"},
    ],
    "vertex_defs": [
        {"vtype": 0, "name": "user", "attr_types": [0, 2]},
        {"vtype": 1, "name": "item", "attr_types": [0, 2, 3, 4]},
    ],
    "edge_defs": [
        {"etype": 2, "name": "u2i", "attr_types": [0, 1, 3]},
        {"etype": 3, "name": "i2i", "attr_types": [0, 1]},
    ],
    "edge_relation_defs": [
        {"etype": 2, "src_vtype": 0, "dst_vtype": 1},
        {"etype": 3, "src_vtype": 1, "dst_vtype": 1},
    ],
}
PATTERN = """\
#VERTEX:user,#ID,timestamp,feature
#VERTEX:item,#ID,timestamp,feature,title,price
#EDGE:u2i,#SRC:user,#DST:item,timestamp,weight,title
#EDGE:i2i,#SRC:item,#DST:item,timestamp,weight
"""


def query_document(query_id: int = 0, *, fanouts: tuple[int, int] = (8, 4)) -> dict[str, Any]:
    """Users, the newest items that they looked at, and by weight what goes with these; with the records of all."""

    def node(number: int, kind: str, below: Sequence[int], **params: object) -> dict[str, Any]:
        links = [{"node": n, "src_output": int(number != 0), "dst_input": 0} for n in below]
        pairs = [{"key": k, "value": v} for k, v in params.items()]
        return {"id": number, "kind": kind, "type": "EDGE" if "etype" in params else "VERTEX", "links": links, "params": pairs}

    nodes = [
        node(0, "SOURCE", [1, 2], vtype=0),
        node(1, "VERTEX_SAMPLER", [], vtype=0, versions=1),
        node(2, "EDGE_SAMPLER", [3, 4], vtype=0, etype=2, strategy="topk_by_timestamp", fanout=fanouts[0]),
        node(3, "VERTEX_SAMPLER", [], vtype=1, versions=1),
        node(4, "EDGE_SAMPLER", [3], vtype=1, etype=3, strategy="edge_weight", fanout=fanouts[1]),
    ]
    return {"priority": 0, "query_plan": {"plan_nodes": nodes}, "query_id": query_id}


@dataclass(frozen=True)
class Graph:
    """Files in a folder, and what is in them; the query is called by its file's stem."""

    schema: Schema
    schema_file: Path
    query: InstalledQuery
    query_file: Path
    pattern_file: Path
    data_file: Path
    reversed_edges: frozenset[str] = frozenset()

    @property
    def lines(self) -> list[str]:
        """The data, each line with its end."""
        return self.data_file.read_text().splitlines(keepends=True)

    @property
    def start_flags(self) -> list[object]:
        """What `dgs up` needs to know of it."""
        return ["--schema", self.schema_file, "--query", self.query_file]

    def oracle(self, lines: Iterable[str] | None = None) -> Oracle:
        """Return the oracle over these lines, else over all."""
        oracle, columns = Oracle(self.schema), _columns(self.pattern_file.read_text())
        for line in self.lines if lines is None else lines:
            name, *fields = line.rstrip("\n").split(",")
            _take(oracle, name, dict(zip(columns[name], fields, strict=True)), name in self.reversed_edges)
        return oracle

    def seeds(self) -> list[int]:
        """Return every vertex of the query's seed type that the data names, and one that it does not."""
        oracle, seed_type = self.oracle(), self.query.plan.seed_type
        known = {v for t, v in oracle.records if t == seed_type} | {v for _, t, v in oracle.edges if t == seed_type}
        return [*sorted(known), 1 << 40]


def of_files(schema: Path, query: Path, pattern: Path, data: Path, *reversed_edges: str) -> Graph:
    """Return the graph in these files."""
    parsed = Schema.parse(schema.read_bytes())
    document = json.loads(query.read_bytes())
    installed = OperatorSet().install(query.stem, read_query(document, parsed), parsed).queries[0]
    return Graph(parsed, schema, installed, query, pattern, data, frozenset(reversed_edges))


def write_graph(folder: Path, count: int, *, users: int = 100, items: int = 400, seed: int = 1) -> Graph:
    """Write a graph with so many lines into a folder.

    No two records have one identity, so that answers are free of the order of arrival. Event times are out of order, some ids are
    negative, and some attributes are missing.
    """
    rnd = random.Random(seed)
    times = sorted(range(1, count + 1), key=lambda i: i + rnd.uniform(0, count / 20))
    first_user, first_item = -(users // 2), -(items // 2)

    def user() -> int:
        return first_user + int(users * rnd.random() ** 2)

    def item() -> int:
        return first_item + int(items * rnd.random() ** 2)

    def feature() -> str:
        return "" if rnd.random() < 0.05 else f"{rnd.random():.4f}:{rnd.uniform(-9, 9):.3f}:{rnd.random():.6f}"

    def line(t: int) -> str:
        kind = rnd.random()
        if kind < 0.1:
            return f"user,{user()},{t},{feature()}"
        if kind < 0.25:
            return f"item,{item()},{t},{feature()},{rnd.choice(('', 'é', 'a title'))}{t % 7},{rnd.random()}"
        if kind < 0.7:
            return f"u2i,{user()},{item()},{t},{rnd.random():.3f},{rnd.choice(('', 'seen', 'bought'))}"
        return f"i2i,{item()},{item()},{t},{rnd.choice(('', '0', f'{rnd.uniform(0, 4):.3f}'))}"

    files = {"schema.json": json.dumps(SCHEMA), "shop.json": json.dumps(query_document()), "shop.pattern": PATTERN}
    files["shop.data"] = "".join(f"{line(t)}\n" for t in times)
    for name, text in files.items():
        (folder / name).write_text(text)
    schema, query, pattern, data = (folder / name for name in files)
    return of_files(schema, query, pattern, data)


def _columns(pattern: str) -> dict[str, list[str]]:
    """Return the columns of each type, as the pattern file names them."""
    found = {}
    for line in pattern.split():
        what, *columns = line.split(",")
        found[what.partition(":")[2]] = columns
    return found


def _take(oracle: Oracle, name: str, fields: dict[str, str], both_ways: bool) -> None:
    schema, timestamp = oracle.schema, int(fields.get("timestamp", 0))  # vertices may have none
    if "#ID" in fields:
        vertex = schema.vertex_names[name]
        oracle.vertex(vertex.id, int(fields["#ID"]), timestamp, _values(vertex, fields))
        return
    edge = schema.edge_names[name]
    ends = [(schema.vertex_names[c.partition(":")[2]].id, int(v)) for c, v in fields.items() if c.startswith(("#SRC", "#DST"))]
    for src, dst in [ends, ends[::-1]] if both_ways else [ends]:
        oracle.edge(edge.id, *src, *dst, timestamp, _values(edge, fields))


def _values(element: ElementType, fields: dict[str, str]) -> dict[str, Any]:
    return {a.name: value(fields[a.name], a.value_type) for a in element.attributes if fields.get(a.name)}


def value(text: str, value_type: ValueType) -> Any:
    """Return what a field of a line means."""
    if value_type is ValueType.STRING:
        return text
    if value_type.is_list:
        return [_number(part, value_type) for part in text.split(":")]
    return _number(text, value_type)


def _number(text: str, value_type: ValueType) -> int | float:
    number: int | float = np.dtype(value_type.dtype).type(float(text) if value_type.is_float else int(text)).item()
    return number
