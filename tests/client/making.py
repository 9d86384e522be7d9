"""Answers made by hand: a small world of rows and records, walked in the plainest way, and written as messages."""

import json
import random
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dgs_client.message import Head, read_message
from dgs_client.plan import Plan
from dgs_client.query import Query

from dgs.core.query import NodeKind, QueryPlan, read_query
from dgs.core.schema import Schema
from dgs.wire import samples_pb2 as pb

SCHEMA: dict[str, Any] = {
    "attr_defs": [
        {"type": 0, "name": "timestamp", "value_type": "INT64"},
        {"type": 1, "name": "weight", "value_type": "FLOAT32"},
        {"type": 2, "name": "vec", "value_type": "FLOAT32_LIST"},
        {"type": 3, "name": "title", "value_type": "STRING"},
        {"type": 4, "name": "stock", "value_type": "INT32"},
    ],
    "vertex_defs": [
        {"vtype": 0, "name": "user", "attr_types": [0, 2]},
        {"vtype": 1, "name": "item", "attr_types": [0, 2, 3, 4]},
    ],
    "edge_defs": [
        {"etype": 2, "name": "clicks", "attr_types": [0, 1]},
        {"etype": 3, "name": "follows", "attr_types": [0]},
        {"etype": 4, "name": "near", "attr_types": [0, 1]},
    ],
    "edge_relation_defs": [
        {"etype": 2, "src_vtype": 0, "dst_vtype": 1},
        {"etype": 3, "src_vtype": 0, "dst_vtype": 0},
        {"etype": 4, "src_vtype": 1, "dst_vtype": 1},
        {"etype": 4, "src_vtype": 1, "dst_vtype": 0},
    ],
}
EDGE_ATTRIBUTES = {"clicks": ["weight"], "follows": [], "near": ["weight"]}
VERTEX_ATTRIBUTES = {"user": ["timestamp", "vec"], "item": ["timestamp", "vec", "title", "stock"]}
CODES = {"timestamp": pb.INT64, "weight": pb.FLOAT32, "vec": pb.FLOAT32_LIST, "title": pb.STRING, "stock": pb.INT32}
LETTERS = {pb.INT32: "i", pb.INT64: "q", pb.FLOAT32: "f", pb.FLOAT64: "d"}
DIM = 3

# A query whose nodes share vertices in ways that a walk by hops alone would mix up: `clicks` at two depths, `near` below one of
# them only and towards two types, records of users at the seed only, and of items below one `clicks` only.
QUERY: dict[str, Any] = {
    "query_id": 7,
    "query_plan": {
        "plan_nodes": [
            {"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": "user"}], "links": [{"node": n} for n in (1, 2, 3)]},
            {"id": 1, "kind": "VERTEX_SAMPLER", "params": [{"key": "vtype", "value": "user"}]},
            {"id": 2, "kind": "EDGE_SAMPLER", "alias": "clicked", "links": [{"node": 5, "src_output": 1}]},
            {"id": 3, "kind": "EDGE_SAMPLER", "links": [{"node": 4, "src_output": 1}]},
            {"id": 4, "kind": "EDGE_SAMPLER", "alias": "friends clicked", "links": [{"node": n, "src_output": 1} for n in (6,)]},
            {"id": 5, "kind": "VERTEX_SAMPLER", "params": [{"key": "vtype", "value": "item"}]},
            {"id": 6, "kind": "EDGE_SAMPLER"},
        ]
    },
}
for number, etype, fanout in ((2, "clicks", 3), (3, "follows", 2), (4, "clicks", 2), (6, "near", 3)):
    QUERY["query_plan"]["plan_nodes"][number]["params"] = [
        {"key": "etype", "value": etype},
        {"key": "fanout", "value": fanout},
        {"key": "strategy", "value": "latest"},
    ]
CHAIN: dict[str, Any] = {
    "query_id": 8,
    "query_plan": {
        "plan_nodes": [
            {"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": "user"}], "links": [{"node": 1}, {"node": 2}]},
            {"id": 1, "kind": "VERTEX_SAMPLER", "params": [{"key": "vtype", "value": "user"}]},
            QUERY["query_plan"]["plan_nodes"][3] | {"id": 2, "links": [{"node": 1, "src_output": 1}, {"node": 3, "src_output": 1}]},
            QUERY["query_plan"]["plan_nodes"][2] | {"id": 3, "links": [{"node": 4, "src_output": 1}]},
            {"id": 4, "kind": "VERTEX_SAMPLER", "params": [{"key": "vtype", "value": "item"}]},
        ]
    },
}
HEAD = Head(Query(7, "dag", True), 1, "full")


@dataclass
class World:
    """Rows of every edge node, best first, and records; `walk` collects what belongs to some seeds.

    Attributes:
        rows: by node and source: (destination type, destination, timestamp, weight).
        records: attributes by type and id.
    """

    document: Mapping[str, Any]
    rows: dict[tuple[int, int], list[tuple[str, int, int, float | None]]] = field(default_factory=dict)
    records: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    @property
    def schema(self) -> Schema:
        return Schema.parse(json.dumps(SCHEMA))

    @property
    def query_plan(self) -> QueryPlan:
        return read_query(dict(self.document), self.schema)

    @property
    def nodes(self) -> list[pb.PlanNode]:
        """The nodes of the plan as a service writes them."""
        name, plan = {t.id: t.name for t in self.schema.vertex_types.values()}, self.query_plan
        return [
            pb.PlanNode(id=n.id, type=name[n.vtype], upstreams=n.upstreams, dst_types=[name[t] for t in n.dst_types])
            for n in (plan.source, *plan.nodes)
        ]

    @property
    def head(self) -> Head:
        """HEAD, and the plan as a client reads it."""
        return read_message(samples(nodes=self.nodes))[0]

    @property
    def plan(self) -> Plan:
        found = self.head.plan
        assert found is not None, "it was written"
        return found

    def graph(
        self, seeds: Sequence[int], asked: Iterable[int] | None = None, *, positions: Sequence[int] = (5, 6), pending: int = 0
    ) -> pb.Graph:
        """Return the graph of some seeds as a service writes it."""
        schema, plan = self.schema, self.query_plan
        name = {t.id: t.name for t in schema.vertex_types.values()}
        ids: dict[str, list[int]] = {name[t]: [] for t in plan.vertex_types}
        covered: set[tuple[str, int]] = set()
        given: dict[tuple[int, str], list[int]] = {(plan.source.id, "user"): list(dict.fromkeys(seeds))}
        _add(ids["user"], seeds)
        edges: list[pb.Edges] = []
        for node in plan.nodes:
            sources = list(dict.fromkeys(v for u in node.upstreams for v in given[u, name[node.vtype]]))
            if node.kind is NodeKind.VERTEX_SAMPLER:
                covered |= {(name[node.vtype], v) for v in sources}
                continue
            assert node.etype is not None, "an edge node samples an edge type"
            etype = schema.edge_types[node.etype].name
            for dst_type in (name[t] for t in node.dst_types):
                slots = [(s, slot) for s in sources for slot in self.rows.get((node.id, s), []) if slot[0] == dst_type]
                given[node.id, dst_type] = [slot[1] for _, slot in slots]
                _add(ids[dst_type], given[node.id, dst_type])
                edges.append(
                    pb.Edges(
                        operator=node.id,
                        alias=node.alias or etype,
                        hop=plan.hops()[node.id],
                        type=etype,
                        src_type=name[node.vtype],
                        dst_type=dst_type,
                        src=packed("I", [ids[name[node.vtype]].index(s) for s, _ in slots]),
                        dst=packed("I", [ids[dst_type].index(slot[1]) for _, slot in slots]),
                        timestamps=packed("q", [slot[2] for _, slot in slots]),
                        columns=[column(a, [slot[3] for _, slot in slots]) for a in EDGE_ATTRIBUTES[etype]],
                        int_scores=packed("q", [slot[2] for _, slot in slots]),
                    )
                )
        return pb.Graph(
            seed_type="user",
            seeds=packed("q", seeds),
            asked=packed("I", range(len(seeds)) if asked is None else asked),
            seed_rows=packed("I", [ids["user"].index(v) for v in seeds]),
            positions=packed("Q", positions),
            watermark=11,
            pending=pending,
            vertices=[self._vertices(t, own, covered) for t, own in ids.items()],
            edges=edges,
        )

    def _vertices(self, vtype: str, ids: list[int], covered: set[tuple[str, int]]) -> pb.Vertices:
        records = [self.records.get((vtype, v)) if (vtype, v) in covered else None for v in ids]
        known = [-1 if (vtype, v) not in covered else int((vtype, v) in self.records) for v in ids]
        columns = [column(a, [None if r is None else r.get(a) for r in records]) for a in VERTEX_ATTRIBUTES[vtype]]
        return pb.Vertices(type=vtype, ids=packed("q", ids), known=packed("b", known), columns=columns)


def random_world(seed: int, document: Mapping[str, Any] = QUERY, *, vertices: int = 8) -> World:
    """Return a world in which few vertices are shared by many rows; some ids are of both types, some are negative."""
    rnd = random.Random(seed)
    world = World(document)
    for node in world.query_plan.nodes:
        types = [world.schema.vertex_types[t].name for t in node.dst_types]
        for source in range(-2, vertices) if types else ():
            times = sorted(rnd.sample(range(99), rnd.choice([0, *range(1, node.fanout + 1), node.fanout])), reverse=True)
            world.rows[node.id, source] = [
                (rnd.choice(types), rnd.randrange(-2, vertices), time, rnd.choice([None, rnd.random()])) for time in times
            ]
    for vtype, names in VERTEX_ATTRIBUTES.items():
        for vertex in range(-2, vertices):
            if rnd.random() < 0.8:
                values = {a: value(a, rnd) for a in names}
                world.records[vtype, vertex] = {a: v for a, v in values.items() if rnd.random() < 0.8}
    return world


def value(attribute: str, rnd: random.Random) -> Any:
    """Return a value that the attribute may have; floats are float32."""
    if attribute == "timestamp":
        return rnd.randrange(-5, 1 << 40)
    if attribute == "vec":
        return [float32(rnd.random()) for _ in range(DIM)]
    return rnd.choice(["", "é", "a <b>title</b>", "日本"]) if attribute == "title" else rnd.randrange(-9, 9)


def float32(number: float) -> float:
    """Return the nearest float32."""
    found: float = struct.unpack("f", struct.pack("f", number))[0]
    return found


def packed(letter: str, values: Iterable[Any]) -> bytes:
    """Return numbers as little-endian bytes."""
    values = list(values)
    return struct.pack(f"<{len(values)}{letter}", *values)


def column(name: str, values: Sequence[Any]) -> pb.Column:
    """Return a column; None is absent."""
    code = CODES[name]
    is_list = code == pb.FLOAT32_LIST
    made = pb.Column(name=name, type=code, length=DIM if is_list else 1)
    present = [v is not None for v in values]
    if values and not any(present):
        made.absent = True
        return made
    if not all(present):
        made.present = bytes(present)
    if code == pb.STRING:
        texts = [(v or "").encode() for v in values]
        made.values = b"".join(texts)
        made.offsets = packed("I", [sum(map(len, texts[:i])) for i in range(len(texts) + 1)])
    elif is_list:
        made.values = packed("f", [x for v in values for x in (v or [0] * DIM)])
    else:
        made.values = packed(LETTERS[code], [v or 0 for v in values])
    return made


def samples(*graphs: pb.Graph, nodes: Sequence[pb.PlanNode] = (), history: str = "full") -> bytes:
    """Return an answer, without nodes that of an older service."""
    query = pb.Query(id=HEAD.query.id, name=HEAD.query.name, ready=True, nodes=nodes)
    return pb.Samples(query=query, generation=1, history=history, graphs=graphs).SerializeToString()


def read(*graphs: pb.Graph) -> Any:
    """Return what the client makes of graphs."""
    return read_message(samples(*graphs))[1]


def _add(ids: list[int], more: Iterable[int]) -> None:
    ids += [v for v in dict.fromkeys(more) if v not in ids]
