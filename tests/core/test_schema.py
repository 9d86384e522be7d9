"""Schemas: the reference's JSON is read unchanged, and a wrong one is refused with every reason at once."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from dgs.core.errors import SchemaError
from dgs.core.schema import Attribute, Relation, Schema, ValueType
from tests.core.making import GARBAGE, schema_document, spoiled

REFERENCE_EXAMPLE = """
{"attr_defs":[{"type":0,"name":"timestamp","value_type":"INT64"},{"type":1,"name":"emb","value_type":"FLOAT32_LIST"}],
 "vertex_defs":[{"vtype":0,"name":"buyer","attr_types":[0,1]},{"vtype":1,"name":"shop","attr_types":[0,1]}],
 "edge_defs":[{"etype":2,"name":"visits","attr_types":[0]}],
 "edge_relation_defs":[{"etype":2,"src_vtype":0,"dst_vtype":1}]}
"""
CODES = {
    "INT32": (0, "<i4", False, False),
    "INT32_LIST": (1, "<i4", True, False),
    "INT64": (2, "<i8", False, False),
    "INT64_LIST": (3, "<i8", True, False),
    "FLOAT32": (4, "<f4", False, True),
    "FLOAT32_LIST": (5, "<f4", True, True),
    "FLOAT64": (6, "<f8", False, True),
    "FLOAT64_LIST": (7, "<f8", True, True),
    "STRING": (8, "<u8", False, False),
}


def parse(document: Any) -> Schema:
    return Schema.parse(json.dumps(document))


def problems(document: Any) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        parse(document)
    return caught.value.problems


def test_the_reference_example_is_read_unchanged() -> None:
    schema = Schema.parse(REFERENCE_EXAMPLE)
    assert schema.document == json.loads(REFERENCE_EXAMPLE)
    assert [t.name for t in schema.vertex_types.values()] == ["buyer", "shop"]
    assert schema.attributes[1] == Attribute(1, "emb", ValueType.FLOAT32_LIST, None)
    assert schema.relations == (Relation(2, 0, 1),)
    assert schema.edge_names["visits"].attribute("timestamp") == schema.attributes[0]
    assert schema.edge_names["visits"].attribute("emb") is None
    assert Schema.parse(REFERENCE_EXAMPLE.encode()).vertex_names["shop"].id == 1


@pytest.mark.parametrize("name", list(CODES))
def test_a_value_type_is_known_by_name_and_by_number(name: str) -> None:
    number, dtype, is_list, is_float = CODES[name]
    for spelling in (name, number):
        document = schema_document()
        document["attr_defs"].append({"type": 9, "name": "x", "value_type": spelling})
        value_type = parse(document).attributes[9].value_type
        assert (int(value_type), value_type.name, value_type.dtype) == (number, name, dtype)
        assert (value_type.is_list, value_type.is_float) == (is_list, is_float)
        assert value_type.is_numeric == (not is_list and name != "STRING")


def test_edges_lead_both_ways_of_their_relations_and_declared_directions_come_first() -> None:
    document = schema_document()
    document["edge_relation_defs"] += [{"etype": 4, "src_vtype": 1, "dst_vtype": 0}, {"etype": 4, "src_vtype": 1, "dst_vtype": 0}]
    schema = parse(document)
    assert schema.destinations(2, 0) == (1,)
    assert schema.destinations(2, 1) == (0,)
    assert schema.destinations(4, 1) == (1, 0)
    assert schema.destinations(4, 0) == (1,)
    assert schema.destinations(3, 7) == ()


def test_a_list_may_state_its_dimension() -> None:
    document = schema_document()
    document["attr_defs"][2]["dim"] = 65536
    assert parse(document).attributes[2].dim == 65536


def change(*path: Any) -> dict[str, Any]:
    """The schema with the last item of the path in the place that the others lead to."""
    document = schema_document()
    place: Any = document
    for step in path[:-2]:
        place = place[step]
    if path[-2] == "+":
        place.append(path[-1])
    else:
        place[path[-2]] = path[-1]
    return document


VTYPES = "INT32, INT32_LIST, INT64, INT64_LIST, FLOAT32, FLOAT32_LIST, FLOAT64, FLOAT64_LIST, STRING"
WRONG = [
    (["attr_defs", {}], "attr_defs must be an array of objects"),
    (["vertex_defs", [1]], "vertex_defs must be an array of objects"),
    (["edge_defs", None], "edge_defs must be an array of objects"),
    (["edge_relation_defs", "x"], "edge_relation_defs must be an array of objects"),
    (["attr_defs", 4, "type", -1], "attr_defs[4]: type must be an integer from 0 to 2**31 - 1, not -1"),
    (["attr_defs", 4, "type", True], "attr_defs[4]: type must be an integer from 0 to 2**31 - 1, not True"),
    (["vertex_defs", 1, "vtype", 1 << 31], "vertex_defs[1]: vtype must be an integer from 0 to 2**31 - 1, not 2147483648"),
    (["edge_defs", 1, "etype", "3"], "edge_defs[1]: etype must be an integer from 0 to 2**31 - 1, not '3'"),
    (["attr_defs", 4, "name", ""], "attr_defs[4]: name must be a text, not ''"),
    (["attr_defs", 4, "name", 7], "attr_defs[4]: name must be a text, not 7"),
    (["attr_defs", 4, "name", "\ud800"], "attr_defs[4]: name must be a text, not '\\ud800'"),
    (["attr_defs", 4, "name", "weight"], "attr_defs[4]: the name 'weight' is used twice"),
    (["vertex_defs", 1, "name", "user"], "vertex_defs[1]: the name 'user' is used twice"),
    (["attr_defs", 4, "value_type", "FLOAT"], f"attr_defs[4]: value_type 'FLOAT' is none of {VTYPES}"),
    (["attr_defs", 4, "value_type", 9], f"attr_defs[4]: value_type 9 is none of {VTYPES}"),
    (["attr_defs", 4, "value_type", True], f"attr_defs[4]: value_type True is none of {VTYPES}"),
    (["attr_defs", 2, "dim", 0], "attr_defs[2]: dim must be an integer from 1 to 65536, not 0"),
    (["attr_defs", 2, "dim", 65537], "attr_defs[2]: dim must be an integer from 1 to 65536, not 65537"),
    (["attr_defs", 2, "dim", "4"], "attr_defs[2]: dim must be an integer from 1 to 65536, not '4'"),
    (["attr_defs", 1, "dim", 4], "attr_defs[1]: 'weight' has a dim but is no list"),
    (["attr_defs", 0, "value_type", "INT32"], "attr_defs[0]: 'timestamp' must be INT64, not INT32"),
    (["attr_defs", "+", {"type": 4, "name": "x", "value_type": 0}], "attr_defs[5]: attribute type 4 is used twice"),
    (["vertex_defs", 1, "attr_types", 0], "vertex_defs[1]: attr_types must be an array"),
    (["vertex_defs", 1, "attr_types", [0, 9]], "vertex_defs[1]: attr_types names 9, which attr_defs does not define"),
    (["vertex_defs", 1, "attr_types", [True]], "vertex_defs[1]: attr_types names True, which attr_defs does not define"),
    (["vertex_defs", 1, "attr_types", [0, 0]], "vertex_defs[1]: attr_types names an attribute twice"),
    (["vertex_defs", 1, "vtype", 0], "vertex_defs[1]: vtype 0 is used twice"),
    (["edge_defs", 1, "attr_types", [3]], "edge_defs: 'views' has no attribute 'timestamp', which every edge needs"),
    (["edge_relation_defs", 0, "etype", 9], "edge_relation_defs[0]: etype 9 is not in edge_defs"),
    (["edge_relation_defs", 0, "src_vtype", 9], "edge_relation_defs[0]: src_vtype 9 is not in vertex_defs"),
    (["edge_relation_defs", 0, "dst_vtype", 9], "edge_relation_defs[0]: dst_vtype 9 is not in vertex_defs"),
]


@pytest.mark.parametrize(("path", "problem"), WRONG)
def test_a_fault_has_its_own_message(path: list[Any], problem: str) -> None:
    assert problem in problems(change(*path))


def test_every_problem_is_reported_at_once() -> None:
    document = schema_document()
    document["attr_defs"][1]["value_type"] = "x"
    document["vertex_defs"][0]["vtype"] = None
    document["edge_defs"][1]["name"] = "buys"
    document["edge_relation_defs"][2]["dst_vtype"] = 8
    found = problems(document)
    assert found[0] == f"attr_defs[1]: value_type 'x' is none of {VTYPES}"
    assert "vertex_defs[0]: vtype must be an integer from 0 to 2**31 - 1, not None" in found
    assert "edge_defs[1]: the name 'buys' is used twice" in found
    assert "edge_relation_defs[2]: dst_vtype 8 is not in vertex_defs" in found
    with pytest.raises(SchemaError, match="; ".join(["value_type 'x'.*", ".*vtype must be"])):
        parse(document)


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe\xff", "[" * 100_000, "1" * 5000])
def test_what_is_no_json_is_a_schema_error(text: str | bytes) -> None:
    with pytest.raises(SchemaError, match="the schema is not JSON"):
        Schema.parse(text)


@pytest.mark.parametrize("document", [None, 1, "x", []])
def test_what_is_no_object_is_a_schema_error(document: Any) -> None:
    assert problems(document) == ["a schema is a JSON object with attr_defs, vertex_defs, edge_defs and edge_relation_defs"]


def outcome(document: Any) -> Schema | SchemaError:
    try:
        return parse(document)
    except SchemaError as e:
        return e


@settings(max_examples=400, deadline=None)
@given(GARBAGE | spoiled(schema_document()) | spoiled(schema_document()))
def test_any_garbage_is_a_schema_or_a_schema_error(document: Any) -> None:
    found = outcome(document)
    if isinstance(found, SchemaError):
        assert found.problems
        assert all(problem.encode() for problem in found.problems)
    else:
        assert all(name.encode() for name in found.edge_names)
