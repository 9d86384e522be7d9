"""What tests of the core share: schemas, JSON-like garbage, plans and operators in few words."""

import json
from typing import Any

from hypothesis import strategies as st

from dgs.core.layout import Layout
from dgs.core.operators import Operator
from dgs.core.schema import Attribute, ElementType, Schema, ValueType
from dgs.core.strategies import Strategy, digest

INT64S = st.integers(-(1 << 63), (1 << 63) - 1)


def schema_document() -> dict[str, Any]:
    """Two vertex types, an edge type with a weight between them, one without, and one among items."""
    return {
        "attr_defs": [
            {"type": 0, "name": "timestamp", "value_type": "INT64"},
            {"type": 1, "name": "weight", "value_type": "FLOAT32"},
            {"type": 2, "name": "vec", "value_type": "FLOAT32_LIST"},
            {"type": 3, "name": "title", "value_type": "STRING"},
            {"type": 4, "name": "stars", "value_type": "INT32"},
        ],
        "vertex_defs": [
            {"vtype": 0, "name": "user", "attr_types": [0, 2]},
            {"vtype": 1, "name": "item", "attr_types": [0, 2, 3]},
        ],
        "edge_defs": [
            {"etype": 2, "name": "buys", "attr_types": [0, 1, 4]},
            {"etype": 3, "name": "views", "attr_types": [0, 3]},
            {"etype": 4, "name": "near", "attr_types": [0, 1]},
        ],
        "edge_relation_defs": [
            {"etype": 2, "src_vtype": 0, "dst_vtype": 1},
            {"etype": 3, "src_vtype": 0, "dst_vtype": 1},
            {"etype": 4, "src_vtype": 1, "dst_vtype": 1},
        ],
    }


SCHEMA = Schema.parse(json.dumps(schema_document()))

WORDS = [
    *[
        "attr_defs",
        "vertex_defs",
        "edge_defs",
        "edge_relation_defs",
        "type",
        "name",
        "value_type",
        "dim",
        "vtype",
        "attr_types",
        "etype",
        "src_vtype",
        "dst_vtype",
    ],
    *[
        "query_plan",
        "plan_nodes",
        "query_id",
        "id",
        "kind",
        "links",
        "params",
        "key",
        "value",
        "node",
        "src_output",
        "alias",
        "strategy",
        "fanout",
        "versions",
        "seed",
    ],
    *[
        "half_life",
        "weight_attr",
        "distinct",
        "SOURCE",
        "EDGE_SAMPLER",
        "VERTEX_SAMPLER",
        "timestamp",
        "INT64",
        "time_decay",
        "user",
        "buys",
        "²",
        "٣",
        "�",
    ],
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 5)
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=3)
    | st.just(10**400)
)
GARBAGE: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> Any:
    """Return a copy of a JSON value in which something, somewhere, is garbage, gone, or there twice."""
    if isinstance(document, dict) and document and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(document)))
        if draw(st.integers(0, 9)) == 0:
            return {k: v for k, v in document.items() if k != key}
        return document | {key: draw(spoiled(document[key]))}
    if isinstance(document, list) and document and draw(st.integers(0, 5)):
        i = draw(st.integers(0, len(document) - 1))
        if draw(st.integers(0, 9)) == 0:
            return [*document, document[i]]
        return [*document[:i], draw(spoiled(document[i])), *document[i + 1 :]]
    return draw(GARBAGE)


def params(**values: Any) -> list[dict[str, Any]]:
    """Parameters as documents spell them."""
    return [{"key": k, "value": v} for k, v in values.items()]


def links(*nodes: int, output: int = 1) -> list[dict[str, int]]:
    """Links to these nodes."""
    return [{"node": n, "src_output": output, "dst_input": 0} for n in nodes]


def document(*nodes: dict[str, Any], query_id: int = 0) -> dict[str, Any]:
    """An install-query document of these nodes."""
    return {"priority": 0, "query_plan": {"plan_nodes": list(nodes)}, "query_id": query_id}


def source(*children: int, number: int = 0, **values: Any) -> dict[str, Any]:
    """A SOURCE of users."""
    return {
        "id": number,
        "kind": "SOURCE",
        "type": "VERTEX",
        "params": params(**({"vtype": 0} | values)),
        "links": links(*children, output=0),
    }


def vertex(number: int, *children: int, **values: Any) -> dict[str, Any]:
    """A VERTEX_SAMPLER, of items unless told."""
    return {
        "id": number,
        "kind": "VERTEX_SAMPLER",
        "type": "VERTEX",
        "params": params(**({"vtype": 1, "versions": 1} | values)),
        "links": links(*children, output=0),
    }


def edge(number: int, *children: int, **values: Any) -> dict[str, Any]:
    """An EDGE_SAMPLER, of what users buy unless told."""
    standard = {"vtype": 0, "etype": 2, "strategy": "latest", "fanout": 3}
    return {
        "id": number,
        "kind": "EDGE_SAMPLER",
        "type": "EDGE",
        "params": params(**(standard | values)),
        "links": links(*children),
    }


EDGE_TYPE = ElementType(
    2,
    "buys",
    (
        Attribute(0, "timestamp", ValueType.INT64),
        Attribute(1, "weight", ValueType.FLOAT64),
        Attribute(2, "vec", ValueType.FLOAT32_LIST),
        Attribute(3, "title", ValueType.STRING),
    ),
)
EDGE_LAYOUT = Layout(EDGE_TYPE)


def operator(strategy: Strategy, fanout: int, *, seed: int = 0, half_life: float | None = None, number: int = 1) -> Operator:
    """An edge operator over EDGE_TYPE."""
    d = digest(strategy, "buys", "user", seed=seed, half_life=half_life)
    weight = "weight" if strategy.weighted else None
    return Operator(number, 0, 2, fanout, strategy, d, half_life or 0.0, weight, (), True)
