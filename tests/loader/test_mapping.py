"""Mapping files: what they mean, and everything that is wrong with one."""

import json
from typing import Any

import pytest
from dgs_loader.mapping import EventMapping

from dgs.core.errors import InputError
from dgs.core.schema import Schema
from tests.loader.conftest import SCHEMA


def parse(schema: Schema, *records: Any) -> EventMapping:
    return EventMapping.parse(json.dumps({"records": records}), schema)


def problems(schema: Schema, *records: Any) -> list[str]:
    with pytest.raises(InputError) as refused:
        parse(schema, *records)
    return refused.value.problems


def test_a_mapping_says_where_values_are(schema: Schema) -> None:
    vertex = {"when": {"kind": "u", "n": 1}, "vertex": "user", "id": "who.id", "timestamp": "at", "attributes": {"feature": "v.0"}}
    edge = {"edge": "u2i", "src": "who.id", "dst": "what", "timestamp": "at", "attributes": {"weight": "w"}}
    first, second = parse(schema, vertex, edge).rules
    assert first.when == ((("kind",), ("u",)), (("n",), ("1",)))
    assert (first.ids, first.values) == ((("who", "id"),), (("at",), ("v", "0")))
    assert [a.name for a in first.pattern.attributes] == ["timestamp", "feature"]
    assert (second.when, second.ids) == ((), (("who", "id"), ("what",)))
    assert (second.pattern.src_type, second.pattern.dst_type) == (0, 1)


def test_rules_of_one_type_share_a_pattern_with_the_attributes_of_all(schema: Schema) -> None:
    old = {"vertex": "item", "id": "a", "attributes": {"note": "n", "small": "s"}}
    new = {"vertex": "item", "id": "b", "timestamp": "t", "attributes": {"note": "m"}}
    back = {"edge": "u2i", "src": "a", "dst": "b", "src_type": "item", "dst_type": "user", "timestamp": "t"}
    there = {"edge": "u2i", "src": "a", "dst": "b", "timestamp": "t"}
    mapping = parse(schema, old, new, back, there)
    first, second, third, fourth = mapping.rules
    assert first.pattern == second.pattern
    assert [a.name for a in first.pattern.attributes] == ["timestamp", "small", "note"]
    assert (first.values, second.values) == ((None, ("s",), ("n",)), (("t",), None, ("m",)))
    assert len({first.name, third.name, fourth.name}) == 3
    assert set(mapping.patterns.patterns) == {rule.name for rule in mapping.rules}


def test_ends_have_to_be_named_where_the_schema_lets_several_join() -> None:
    document = {**SCHEMA, "edge_relation_defs": [*SCHEMA["edge_relation_defs"], {"etype": 3, "src_vtype": 0, "dst_vtype": 1}]}
    schema = Schema.parse(json.dumps(document))
    edge = {"edge": "i2i", "src": "a", "dst": "b", "timestamp": "t"}
    [problem] = problems(schema, edge)
    assert problem.startswith('record 1: "src_type" and "dst_type" are needed')
    [rule] = parse(schema, edge | {"src_type": "user", "dst_type": "item"}).rules
    assert (rule.pattern.src_type, rule.pattern.dst_type) == (0, 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"records": []}', '{"records": 5}', '{"records": [{}], "more": 1}', "[" * 99])
def test_what_is_no_mapping_is_refused(schema: Schema, text: str) -> None:
    with pytest.raises(InputError, match=r"not JSON|a mapping is"):
        EventMapping.parse(text, schema)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (5, 'it is an object with either "vertex" or "edge", the name of a type'),
        ({"vertex": "user", "edge": "u2i"}, 'it is an object with either "vertex" or "edge", the name of a type'),
        ({"vertex": "ghost", "id": "x"}, "the schema has no vertex type 'ghost'; it has item, user"),
        ({"vertex": "user"}, "'id' needs a place in the event, like \"user.id\""),
        ({"vertex": "user", "id": "a..b"}, "'id' needs a place in the event, like \"user.id\", not 'a..b'"),
        ({"vertex": "user", "id": "x", "src": "y"}, "unknown 'src'; it may have attributes, id, timestamp, vertex, when"),
        ({"vertex": "user", "id": "x", "attributes": {"ghost": "y"}}, "'user' has no attribute 'ghost'; it has timestamp, feature"),
        (
            {"vertex": "user", "id": "x", "timestamp": "t", "attributes": {"timestamp": "y"}},
            "the attribute 'timestamp' stands twice",
        ),
        ({"vertex": "user", "id": "x", "attributes": ["feature"]}, '"attributes" is an object'),
        ({"vertex": "user", "id": "x", "when": "kind"}, '"when" is an object'),
        ({"vertex": "user", "id": "x", "when": {"kind": {}}}, "\"when\" 'kind': it must be one value"),
        ({"edge": "u2i", "src": "a", "dst": "b"}, "no 'timestamp', which every edge needs"),
        ({"edge": "ghost", "src": "a", "dst": "b", "timestamp": "t"}, "the schema has no edge type 'ghost'"),
        (
            {"edge": "u2i", "src": "a", "dst": "b", "timestamp": "t", "dst_type": "user"},
            "the schema lets 'u2i' join user to item (or the reverse), not user to user",
        ),
    ],
)
def test_a_wrong_record_is_told_with_its_number(schema: Schema, record: Any, problem: str) -> None:
    found = problems(schema, {"vertex": "user", "id": "x"}, record)
    assert found[0].startswith(f"record 2: {problem}"), found


def test_every_problem_is_told(schema: Schema) -> None:
    assert len(problems(schema, {"vertex": "ghost", "id": "x"}, 5, {"vertex": "user"})) == 3
