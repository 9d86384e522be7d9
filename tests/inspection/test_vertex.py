"""Everything about one vertex against what was loaded about it."""

import json

from dgs.core.partition import partition_of
from dgs.inspection.vertex import describe_vertex
from dgs.testing import graph
from tests.inspection.conftest import P, S, World

A, B = graph.SCHEMA.vertex_names["a"], graph.SCHEMA.vertex_names["b"]


def test_a_seed_with_all_that_was_loaded(world: World) -> None:
    found = describe_vertex(world.subject, A, -2, 2)
    json.dumps(found)
    assert (found["record_partition"], found["serving_partition"]) == (partition_of(-2, P), partition_of(-2, S))
    assert found["position"] == world.positions[partition_of(-2, P)]
    assert found["record"] == {"timestamp": 48, "attrs": {"vec": [4.0, 0.5], "name": "v4"}}
    newest = [
        {"dst_type": "b", "dst": -20 + i, "timestamp": 100 + i, "attrs": {"weight": 0.5, "name": f"text {i}"}}
        for i in (4, 3, 2, 1, 0)
    ]
    assert found["history"] == {"count": 5, "edges": [{"edge": "ab", **edge} for edge in newest[:2]]}
    (row,) = found["rows"]
    assert (row["samples"], row["queries"], row["subscribers"]) == ("ab", ["shop"], [])
    assert row["slots"] == [edge | {"score": edge["timestamp"]} for edge in newest[:3]]
    assert len(describe_vertex(world.subject, A, -2, 0)["history"]["edges"]) == 5


def test_a_vertex_that_others_need(world: World) -> None:
    found = describe_vertex(world.subject, B, 12, 20)
    assert found["record"] == {"timestamp": 60, "attrs": {"stars": 5}}
    by_kind = {row.get("samples"): row for row in found["rows"]}
    slots = by_kind["mixed"]["slots"]
    assert [(s["dst"], s["score"], s["attrs"]) for s in slots] == [(3, 3.0, {"weight": 3.0}), (2, 2.0, {"weight": 2.0})]
    home = partition_of(1, S)
    assert by_kind["mixed"]["subscribers"] == [home], "the newest edges of seed 1 lead here"
    assert by_kind[None]["subscribers"] == [home]
    assert "slots" not in by_kind[None]


def test_a_vertex_that_nobody_loaded(world: World) -> None:
    found = describe_vertex(world.subject, A, 1 << 62, 20)
    assert (found["record"], found["rows"], found["history"]) == (None, [], {"count": 0, "edges": []})
