"""What a binary answer begins with; what follows is checked byte by byte in tests/serving/test_golden.py."""

import json
from typing import Any

import pytest

from dgs.codec.messages import samples_begin
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.query import read_query
from dgs.core.schema import Schema
from dgs.wire.samples_pb2 import Samples
from tests.client.making import CHAIN, QUERY, SCHEMA

NODES = {
    "dag": [
        (0, "user", [], []),
        (1, "user", [0], []),
        (2, "user", [0], ["item"]),
        (3, "user", [0], ["user"]),
        (5, "item", [2], []),
        (4, "user", [3], ["item"]),
        (6, "item", [4], ["item", "user"]),
    ],
    "chain": [
        (0, "user", [], []),
        (1, "user", [0, 2], []),
        (2, "user", [0], ["user"]),
        (3, "user", [2], ["item"]),
        (4, "item", [3], []),
    ],
}


@pytest.fixture
def schema() -> Schema:
    return Schema.parse(json.dumps(SCHEMA))


def installed(document: dict[str, Any], schema: Schema, name: str = "dag") -> InstalledQuery:
    return OperatorSet().install(name, read_query(document, schema), schema).queries[0]


@pytest.mark.parametrize(("name", "document"), [("dag", QUERY), ("chain", CHAIN)])
def test_the_plan_of_the_query_stands_there(schema: Schema, name: str, document: dict[str, Any]) -> None:
    begin = Samples.FromString(samples_begin(installed(document, schema), schema, generation=1, ready=True))
    nodes = [(n.id, n.type, [*n.upstreams], [*n.dst_types]) for n in begin.query.nodes]
    assert sorted(nodes) == sorted(NODES[name])
    assert nodes[0] == NODES[name][0], "SOURCE is the first"
    for place, (_, _, upstreams, _) in enumerate(nodes):
        assert set(upstreams) <= {n[0] for n in nodes[:place]}, "each is behind its upstreams"


def test_the_rest_of_the_head_stands_there(schema: Schema) -> None:
    query = installed(QUERY, schema, "käse")
    begin = Samples.FromString(samples_begin(query, schema, generation=3, ready=False))
    assert (begin.query.id, begin.query.name, begin.query.ready) == (7, "käse", False)
    assert (begin.generation, begin.history) == (3, "full")
    assert not begin.graphs
