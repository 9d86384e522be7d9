"""Install-query documents: the reference's are read unchanged, and what they mean as a plan."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from dgs.core.errors import PlanError
from dgs.core.query import NodeKind, PlanNode, QueryPlan, parse_query, read_query
from dgs.core.schema import Schema
from dgs.core.strategies import Strategy
from tests.core.making import GARBAGE, SCHEMA, document, edge, links, source, spoiled, vertex

U2I = Path(__file__).parents[2] / "schemas" / "u2i"


def plan_of(*nodes: dict[str, Any]) -> QueryPlan:
    return read_query(document(*nodes), SCHEMA)


def test_the_u2i_plan_is_read_as_two_hops_with_features() -> None:
    schema = Schema.parse((U2I / "schema.json").read_bytes())
    text = (U2I / "query.json").read_text()
    plan = parse_query(text, schema)
    assert plan.document == json.loads(text)
    assert (plan.query_id, plan.seed_type, plan.source) == (0, 0, PlanNode(0, NodeKind.SOURCE, 0))
    newest = Strategy.TOPK_BY_TIMESTAMP
    assert plan.nodes == (
        PlanNode(1, NodeKind.VERTEX_SAMPLER, 0, (0,)),
        PlanNode(2, NodeKind.EDGE_SAMPLER, 0, (0,), etype=2, strategy=newest, fanout=10, dst_types=(1,)),
        PlanNode(4, NodeKind.EDGE_SAMPLER, 1, (2,), etype=3, strategy=newest, fanout=5, dst_types=(1,)),
        PlanNode(3, NodeKind.VERTEX_SAMPLER, 1, (2, 4)),
    )
    assert plan.hops() == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2}


@pytest.mark.parametrize(("bipartite", "code"), [(True, 0), (True, 1), (False, 2)])
def test_the_plan_of_the_acceptance_test_is_read(bipartite: bool, code: int) -> None:
    b = int(bipartite)
    attributes = [{"type": 0, "name": "timestamp", "value_type": "INT64"}, {"type": 1, "name": "weight", "value_type": "FLOAT32"}]
    schema = Schema.parse(
        json.dumps(
            {
                "attr_defs": attributes,
                "vertex_defs": [{"vtype": i, "name": "ab"[i], "attr_types": [0]} for i in range(1 + b)],
                "edge_defs": [{"etype": 2 + i, "name": ["fwd", "back"][i], "attr_types": [0, 1]} for i in range(2)],
                "edge_relation_defs": [
                    {"etype": 2, "src_vtype": 0, "dst_vtype": b},
                    {"etype": 3, "src_vtype": b, "dst_vtype": 0},
                ],
            }
        )
    )
    plan = read_query(
        document(
            source(1, 2),
            vertex(1, vtype=0),
            edge(2, 3, 4, strategy=code, fanout=10),
            vertex(3, vtype=b),
            edge(4, 1, vtype=b, etype=3, strategy=code, fanout=5),
        ),
        schema,
    )
    by_id = {n.id: n for n in plan.nodes}
    assert by_id[1].upstreams == (0, 4)
    assert by_id[4].dst_types == (0,)
    assert by_id[2].strategy == code
    assert by_id[2].weight_attr == ("weight" if code == 1 else None)
    assert plan.hops() == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2}


def test_enums_and_types_may_be_names_or_numbers() -> None:
    numbers: Any = document(source(1), edge(1, 2, vtype=0, etype=4 - 2, strategy=1), vertex(2))
    for node, kind in zip(numbers["query_plan"]["plan_nodes"], (0, 2, 1), strict=True):
        node["kind"] = kind
    names = document(source(1, vtype="user"), edge(1, 2, vtype="user", etype="buys", strategy="weighted"), vertex(2, vtype="item"))
    assert read_query(numbers, SCHEMA).nodes == read_query(names, SCHEMA).nodes


SPELLINGS: dict[Strategy, list[Any]] = {
    Strategy.TOPK_BY_TIMESTAMP: [0, "0", "topk_by_timestamp", "TOPK_BY_TIMESTAMP", "latest"],
    Strategy.EDGE_WEIGHT: [1, "1", "edge_weight", "EDGE_WEIGHT", "weighted"],
    Strategy.RANDOM: [2, "2", "random", "RANDOM", "uniform"],
    Strategy.TOPK_BY_WEIGHT: ["topk_by_weight", "TOPK_BY_WEIGHT"],
    Strategy.TIME_DECAY: ["time_decay", "TIME_DECAY"],
}


@pytest.mark.parametrize(("strategy", "spelling"), [(s, x) for s, all_of in SPELLINGS.items() for x in all_of])
def test_a_strategy_has_these_spellings(strategy: Strategy, spelling: Any) -> None:
    more = {"half_life": 5} if strategy is Strategy.TIME_DECAY else {}
    assert plan_of(source(1), edge(1, strategy=spelling, **more)).nodes[0].strategy is strategy


def test_a_node_may_have_several_upstreams_and_a_type_several_vertex_nodes() -> None:
    plan = plan_of(
        source(1, 2), edge(1, 3, 4, 5), edge(2, 3, 4, etype=3), vertex(3), edge(4, 3, 6, vtype=1, etype=4), vertex(5), vertex(6)
    )
    by_id = {n.id: n for n in plan.nodes}
    assert by_id[3].upstreams == (1, 2, 4)
    assert by_id[4].upstreams == (1, 2)
    assert [by_id[n].upstreams for n in (5, 6)] == [(1,), (4,)]
    order = [n.id for n in plan.nodes]
    assert all(u == 0 or order.index(u) < order.index(n.id) for n in plan.nodes for u in n.upstreams)


def test_src_output_0_gives_on_what_the_node_was_given() -> None:
    one, two = edge(1), edge(2, vtype=1, etype=4)
    one["links"] = [*links(2), *links(3, output=0)]
    two["links"] = links(4, output=0)
    three = vertex(3, 5, vtype=0)
    plan = plan_of(source(1), one, two, three, vertex(4), vertex(5, vtype=0))
    assert {n.id: n.upstreams for n in plan.nodes} == {1: (0,), 2: (1,), 3: (0,), 4: (1,), 5: (0,)}
    assert plan.hops() == {0: 0, 1: 1, 2: 2, 3: 0, 4: 1, 5: 0}


def test_both_outputs_of_a_node_may_lead_to_one_node_and_links_may_be_repeated() -> None:
    second = edge(2, vtype=1, etype=4)
    second["links"] = [*links(3, 3), *links(3, output=0)]
    plan = plan_of(source(1), edge(1, 2), second, vertex(3))
    assert plan.nodes[-1].upstreams == (2, 1)


def test_what_is_plain_may_be_left_out() -> None:
    one = edge(1, 2)
    one["params"] = [p for p in one["params"] if p["key"] != "vtype"]
    bare = {"kind": "VERTEX_SAMPLER"}
    first = source(1)
    first["params"] = []
    with pytest.raises(PlanError, match="node 0: the SOURCE needs the param vtype, as its children do not agree on one"):
        plan_of(first, one, bare)
    first = source(1)
    del first["id"]
    plan = read_query({"query_plan": {"plan_nodes": [first, one, bare]}}, SCHEMA)
    assert [(n.vtype, n.upstreams) for n in plan.nodes] == [(0, (0,)), (1, (1,))]


def test_the_source_takes_the_type_that_its_children_agree_on_however_they_spell_it() -> None:
    first = source(1, 2)
    first["params"] = []
    assert plan_of(first, edge(1, vtype="user"), edge(2, vtype=0)).seed_type == 0


def test_all_params_reach_the_plan() -> None:
    node = edge(1, strategy="time_decay", half_life=86400, seed=-1, weight_attr="stars", fanout=65535)
    node["alias"] = "käufe"
    (built,) = plan_of(source(1), node).nodes
    assert (built.half_life, built.seed, built.weight_attr, built.fanout, built.alias) == (86400.0, -1, "stars", 65535, "käufe")
    assert type(built.half_life) is float


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe\xff", "[" * 100_000, "1" * 5000])
def test_what_is_no_json_is_a_plan_error(text: str | bytes) -> None:
    with pytest.raises(PlanError, match="the query is not JSON"):
        parse_query(text, SCHEMA)


VALID = document(
    source(1, 2, 5),
    edge(1, 3, 4, strategy="time_decay", half_life=3.5, weight_attr="stars"),
    edge(2, 3, 4, etype=3, strategy="2", seed=7),
    vertex(3),
    edge(4, 3, vtype=1, etype=4, strategy=1),
    vertex(5, vtype="user"),
)


def outcome(given_document: Any) -> QueryPlan | PlanError:
    try:
        return read_query(given_document, SCHEMA)
    except PlanError as e:
        return e


@settings(max_examples=600, deadline=None)
@given(GARBAGE | spoiled(VALID) | spoiled(VALID))
def test_any_garbage_is_a_plan_or_a_plan_error(spoiled_document: Any) -> None:
    found = outcome(spoiled_document)
    if isinstance(found, PlanError):
        assert found.problems
        assert all(problem.encode() for problem in found.problems)
        return
    for n in found.nodes:
        assert set(n.upstreams) <= {found.source.id, *(m.id for m in found.nodes)}
        assert n.half_life is None or 1e-200 <= n.half_life <= 1e200
    assert found.hops()
