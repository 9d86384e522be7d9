"""The JSON answer against a naive construction from Python values, over all nine value types and nulls."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.codec.answers import AnswerHeader, answer_json, answers_json
from dgs.core.egograph import NOT_LOOKED_FOR, Edges, EgoGraph, Vertices
from dgs.core.layout import Dimension, Layout, Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.query import PlanNode, read_query
from dgs.core.schema import TIMESTAMP, Attribute, Schema, ValueType
from dgs.core.strings import StringTable
from dgs.core.types import AnyArray, Bools, Bytes, Int32s

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
ELEMENTS = {
    "<i4": st.integers(-(1 << 31), (1 << 31) - 1),
    "<i8": INT64,
    "<f4": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "<f8": st.floats(allow_nan=False, allow_infinity=False),
    "<u8": st.binary(max_size=4),
}
KNOWN = {1: True, 0: False, NOT_LOOKED_FOR: None}


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Two vertex types, one edge type; attributes of any type, lists with a dim in the schema or without."""
    attributes: list[dict[str, Any]] = [{"type": 0, "name": TIMESTAMP, "value_type": "INT64"}]
    for i, value_type in enumerate(draw(st.lists(st.sampled_from(ValueType), max_size=12)), start=1):
        attribute: dict[str, Any] = {"type": i, "name": f"a{i}", "value_type": value_type.name}
        if value_type.is_list and draw(st.booleans()):
            attribute["dim"] = draw(st.integers(1, 3))
        attributes.append(attribute)
    some = st.lists(st.sampled_from(attributes), unique_by=lambda a: a["type"]).map(lambda found: [a["type"] for a in found])
    document = {
        "attr_defs": attributes,
        "vertex_defs": [{"vtype": i, "name": f"v{i}", "attr_types": draw(some)} for i in (0, 1)],
        "edge_defs": [{"etype": 0, "name": "e", "attr_types": [0, *(t for t in draw(some) if t)]}],
        "edge_relation_defs": [{"etype": 0, "src_vtype": 0, "dst_vtype": 1}],
    }
    return Schema.parse(json.dumps(document))


def query_of(schema: Schema, alias: str | None = None) -> InstalledQuery:
    params = [
        {"key": "vtype", "value": 0},
        {"key": "etype", "value": 0},
        {"key": "strategy", "value": 0},
        {"key": "fanout", "value": 9},
    ]
    edge: dict[str, Any] = {"id": 1, "kind": "EDGE_SAMPLER", "params": params} | ({} if alias is None else {"alias": alias})
    source = {"id": 0, "kind": "SOURCE", "params": params[:1], "links": [{"node": 1}]}
    plan = read_query({"query_plan": {"plan_nodes": [source, edge]}, "query_id": 7}, schema)
    return OperatorSet().install("é", plan, schema).queries[0]


class Column:
    """Values of one attribute in Python, and as payload columns."""

    def __init__(self, draw: st.DrawFn, attribute: Attribute, length: int | None, n: int) -> None:
        self.attribute = attribute
        element: st.SearchStrategy[Any] = ELEMENTS[attribute.value_type.dtype]
        value: st.SearchStrategy[Any] = (
            element if not attribute.value_type.is_list else st.lists(element, min_size=length or 1, max_size=length or 1)
        )
        often = draw(st.sampled_from([st.just(True), st.just(False), st.booleans()]))
        self.present: Bools = np.array(draw(st.lists(often, min_size=n, max_size=n)), np.bool_)
        self.values: list[Any] = draw(st.lists(value, min_size=n, max_size=n))
        self.placed = length is not None

    def packed(self, strings: StringTable) -> tuple[AnyArray, Bools]:
        if self.attribute.value_type is ValueType.STRING:
            return np.array([strings.intern(v) for v in self.values], np.uint64), self.present
        if not self.placed:
            return np.zeros(len(self.values), np.int64), self.present
        return np.array(self.values, self.attribute.value_type.dtype), self.present

    def expected(self) -> list[Any]:
        def shown(value: Any) -> Any:
            return value.decode(errors="replace") if isinstance(value, bytes) else value

        return [shown(v) if p and self.placed else None for v, p in zip(self.values, self.present.tolist(), strict=True)]


def draw_columns(draw: st.DrawFn, layout: Layout, n: int, strings: StringTable) -> tuple[dict[str, list[Any]], Bytes, AnyArray]:
    """Expected columns, payload, and timestamps."""
    columns = {}
    for a in layout.element.attributes:
        length = 1 if a.name == TIMESTAMP else layout.fields[a.name].length if a.name in layout.fields else None
        columns[a.name] = Column(draw, a, length, n)
    payload: Bytes = np.zeros((0, layout.width), np.uint8)
    if n:
        payload = layout.pack(n, {name: c.packed(strings) for name, c in columns.items()})
    times = columns.get(TIMESTAMP)
    timestamps = np.array(times.values if times else [0] * n, np.int64)
    return {name: c.expected() for name, c in columns.items()}, payload, timestamps


def same(got: Any, expected: Any, single: bool) -> bool:
    """Equality to the last bit; a float32 may be told with fewer digits than the float64 of its value."""
    if isinstance(expected, list):
        return len(got) == len(expected) and all(same(g, e, single) for g, e in zip(got, expected, strict=True))
    if isinstance(expected, float):
        return bool(np.float32(got) == np.float32(expected)) if single else got == expected
    return type(got) is type(expected) and got == expected


def check_attributes(got: dict[str, Any], expected: dict[str, list[Any]], layout: Layout) -> None:
    assert list(got) == list(expected), "attributes come in the schema's order"
    for a in layout.element.attributes:
        if a.name in expected:
            assert same(got[a.name], expected[a.name], a.value_type.dtype == "<f4"), a


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_against_a_naive_construction(data: st.DataObject) -> None:
    draw: Any = data.draw
    schema = draw(schemas())
    open_lists = [
        Dimension(kind, t.id, a.id, 2)
        for kind, types in (("vertex", schema.vertex_types), ("edge", schema.edge_types))
        for t in types.values()
        for a in t.attributes
        if a.value_type.is_list and a.dim is None
    ]
    layouts = Layouts(schema, draw(st.lists(st.sampled_from(open_lists), unique=True)) if open_lists else ())
    strings = StringTable()
    alias = draw(st.none() | st.just("") | st.just("→"))
    query = query_of(schema, alias)
    vertices: dict[int, Vertices] = {}
    expected_vertices: dict[str, tuple[list[int], list[bool | None], dict[str, list[Any]]]] = {}
    for vtype, layout in layouts.vertex.items():
        ids = draw(st.lists(INT64, unique=True, min_size=1 if vtype == 0 else 0, max_size=5))
        attrs, payload, timestamps = draw_columns(draw, layout, len(ids), strings)
        known = draw(st.lists(st.sampled_from(sorted(KNOWN)), min_size=len(ids), max_size=len(ids)))
        vertices[vtype] = Vertices(vtype, np.array(ids, np.int64), np.array(known, np.int8), timestamps, payload)
        expected_vertices[f"v{vtype}"] = (ids, [KNOWN[k] for k in known], attrs)
    m = draw(st.integers(0, 5))
    attrs, payload, _ = draw_columns(draw, layouts.edge[0], m, strings)
    attrs.pop(TIMESTAMP)
    src, dst = (draw(st.lists(st.integers(0, 4), min_size=m, max_size=m)) for _ in range(2))
    times = draw(st.lists(INT64, min_size=m, max_size=m))
    edges = Edges(
        query.plan.nodes[0],
        1,
        1,
        np.array(src, np.int32),
        np.array(dst, np.int32),
        np.array(times, np.int64),
        np.zeros(m, np.uint64),
        payload,
    )
    seed = int(vertices[0].ids[0])
    header = AnswerHeader(3, [1, (1 << 53) + 1], draw(st.none() | INT64), draw(st.booleans()))
    ego = EgoGraph(seed, 0, vertices, [edges], draw(st.integers(0, 9)), strings)

    answer = json.loads(answer_json(ego, query, layouts, header))

    assert answer.pop("query") == {"id": 7, "name": "é", "ready": header.ready}
    assert answer.pop("seed") == {"type": "v0", "id": seed, "known": expected_vertices["v0"][1][0]}
    got_vertices, got_edges = answer.pop("vertices"), answer.pop("edges")
    assert answer == {
        "generation": 3,
        "positions": [1, (1 << 53) + 1],
        "watermark": header.watermark,
        "pending": ego.pending,
        "history": "full",
    }
    assert list(got_vertices) == ["v0", "v1"]
    for vtype, (name, (ids, known, vertex_attrs)) in enumerate(expected_vertices.items()):
        check_attributes(got_vertices[name].pop("attrs"), vertex_attrs, layouts.vertex[vtype])
        assert got_vertices[name] == {"ids": ids, "known": known}
    (got,) = got_edges
    check_attributes(got.pop("attrs"), attrs, layouts.edge[0])
    assert got == {
        "operator": 1,
        "alias": "e" if alias is None else alias,
        "hop": 1,
        "type": "e",
        "src_type": "v0",
        "dst_type": "v1",
        "src": src,
        "dst": dst,
        "timestamp": times,
    }


@pytest.fixture
def schema() -> Schema:
    document = {
        "attr_defs": [
            {"type": 0, "name": "timestamp", "value_type": "INT64"},
            {"type": 1, "name": "w", "value_type": "FLOAT32"},
            {"type": 2, "name": "vec", "value_type": "FLOAT32_LIST"},
        ],
        "vertex_defs": [{"vtype": 0, "name": "v0", "attr_types": [0, 1, 2]}, {"vtype": 1, "name": "v1", "attr_types": []}],
        "edge_defs": [{"etype": 0, "name": "e", "attr_types": [0]}],
        "edge_relation_defs": [{"etype": 0, "src_vtype": 0, "dst_vtype": 1}],
    }
    return Schema.parse(json.dumps(document))


def lone_vertices(schema: Schema, payload: Bytes, layouts: Layouts) -> bytes:
    n = len(payload)
    vertices = {0: Vertices(0, np.arange(n), np.ones(n, np.int8), np.zeros(n, np.int64), payload)}
    ego = EgoGraph(0, 0, vertices, [], 0, StringTable())
    return answer_json(ego, query_of(schema), layouts, AnswerHeader(1, [], None, True))


def test_a_float32_is_told_with_its_own_digits(schema: Schema) -> None:
    layouts = Layouts(schema, [Dimension("vertex", 0, 2, 2)])
    vec = np.array([[0.1, 0.2], [0.3, 1e-7]], np.float32)
    for present in (np.array([True, True]), np.array([True, False])):
        payload = layouts.vertex[0].pack(2, {"w": (np.array([0.1, 0.7], np.float32), present), "vec": (vec, present)})
        answer = lone_vertices(schema, payload, layouts)
        assert b'"w":[0.1,' in answer
        assert b'"vec":[[0.1,0.2],' in answer


def test_a_payload_from_before_a_dimension_was_known(schema: Schema) -> None:
    payload = Layouts(schema).vertex[0].pack(1, {"w": (np.array([0.5], np.float32), None)})
    answer = json.loads(lone_vertices(schema, payload, Layouts(schema, [Dimension("vertex", 0, 2, 2)])))
    assert answer["vertices"]["v0"]["attrs"] == {"timestamp": [None], "w": [0.5], "vec": [None]}


def test_an_attribute_that_is_set_before_its_dimension_is_known(schema: Schema) -> None:
    payload = Layouts(schema).vertex[0].pack(1, {"vec": (np.zeros(1), None)})
    assert json.loads(lone_vertices(schema, payload, Layouts(schema)))["vertices"]["v0"]["attrs"]["vec"] == [None]
    later = Layouts(schema, [Dimension("vertex", 0, 2, 2)])  # no loader does that, but an answer must come
    assert json.loads(lone_vertices(schema, payload, later))["vertices"]["v0"]["attrs"]["vec"] == [[0.0, 0.0]]


def test_arrays_that_are_views_with_gaps(schema: Schema) -> None:
    ids = np.arange(8)[::2]
    vertices = {0: Vertices(0, ids, np.ones(4, np.int8), ids, np.full((4, 5), 0xFF, np.uint8))}
    ego = EgoGraph(0, 0, vertices, [], 0, StringTable())
    answer = json.loads(answer_json(ego, query_of(schema), Layouts(schema), AnswerHeader(1, [], None, True)))
    assert answer["vertices"]["v0"]["ids"] == [0, 2, 4, 6] == answer["vertices"]["v0"]["attrs"]["timestamp"]


def test_many() -> None:
    assert json.loads(answers_json([])) == {"samples": []}
    assert json.loads(answers_json([b'{"a":1}', b"{}"])) == {"samples": [{"a": 1}, {}]}


def test_the_node_that_samples_is_told(schema: Schema) -> None:
    node = query_of(schema).plan.nodes[0]
    assert isinstance(node, PlanNode)
    rows: Int32s = np.zeros(0, np.int32)
    edges = Edges(node, 2, 1, rows, rows, np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros((0, 1), np.uint8))
    none = Vertices(0, np.array([5]), np.array([NOT_LOOKED_FOR], np.int8), np.zeros(1, np.int64), np.zeros((1, 1), np.uint8))
    ego = EgoGraph(5, 0, {0: none}, [edges], 0, StringTable())
    answer = json.loads(answer_json(ego, query_of(schema), Layouts(schema), AnswerHeader(1, [], None, True)))
    assert answer["edges"][0]["operator"] == 1
    assert answer["edges"][0]["hop"] == 2
    assert answer["edges"][0]["src"] == []
    assert answer["seed"]["known"] is None
