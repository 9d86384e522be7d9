"""A wrong plan is refused with every reason at once, and each reason says what is wrong where."""

from typing import Any

import pytest

from dgs.core.errors import PlanError
from dgs.core.query import read_query
from tests.core.making import SCHEMA, document, edge, links, params, source, vertex

VTYPES = "it has 0 (user), 1 (item)"
ETYPES = "it has 2 (buys), 3 (views), 4 (near)"
SAMPLERS = "topk_by_timestamp, edge_weight, random, topk_by_weight, time_decay"


def problems(*nodes: Any, **more: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        read_query(document(*nodes) | more, SCHEMA)
    return caught.value.problems


def test_what_is_no_plan_is_told_what_one_is() -> None:
    documents: list[Any] = [None, [], {}, {"query_plan": []}]
    for given in documents:
        with pytest.raises(PlanError, match="a query is an object"):
            read_query(given, SCHEMA)
    none: list[Any] = [None, [], [1], {}]
    for nodes in none:
        with pytest.raises(PlanError, match="plan_nodes must be an array of objects, and not empty"):
            read_query({"query_plan": {"plan_nodes": nodes}}, SCHEMA)


@pytest.mark.parametrize("query_id", [-1, 1 << 32, "0", True, None])
def test_a_query_id_is_an_unsigned_integer_of_32_bits(query_id: Any) -> None:
    assert problems(source(), query_id=query_id) == [f"query_id must be an integer from 0 to 2**32 - 1, not {query_id!r}"]


LATER = {
    "distinct": "one slot per neighbour is not built yet",
    "window": "time windows are not built yet",
    "ttl": "expiry is not built yet",
    "attrs": "projection of attributes is not built yet",
    "direction": "only out-edges are sampled yet; load the reverse with --reversed-edges",
}


@pytest.mark.parametrize("key", list(LATER))
def test_what_is_still_to_come_is_refused_with_its_reason(key: str) -> None:
    assert problems(source(1), edge(1, **{key: 1})) == [f"node 1: {key} is refused: {LATER[key]}"]


def test_more_than_one_version_is_refused_with_its_reason() -> None:
    expected = ["node 1: versions > 1 is refused: only the newest version is kept yet"]
    assert problems(source(1), vertex(1, vtype=0, versions=2)) == expected


EDGE_PARAMS: list[tuple[dict[str, Any], str]] = [
    ({"fanout": 0}, "fanout must be an integer from 1 to 65535, not 0"),
    ({"fanout": 65536}, "fanout must be an integer from 1 to 65535, not 65536"),
    ({"fanout": True}, "fanout must be an integer from 1 to 65535, not True"),
    ({"fanout": "3"}, "fanout must be an integer from 1 to 65535, not '3'"),
    ({"seed": 1 << 64}, f"seed must be an integer from {-(1 << 63)} to {(1 << 64) - 1}, not {1 << 64}"),
    ({"seed": 0.5}, f"seed must be an integer from {-(1 << 63)} to {(1 << 64) - 1}, not 0.5"),
    ({"etype": 9}, f"etype 9 is not in the schema; {ETYPES}"),
    ({"etype": "sells"}, f"etype 'sells' is not in the schema; {ETYPES}"),
    ({"etype": []}, f"etype [] is not in the schema; {ETYPES}"),
    ({"vtype": 9}, f"vtype 9 is not in the schema; {VTYPES}"),
    ({"vtype": False}, f"vtype False is not in the schema; {VTYPES}"),
    ({"vtype": "x"}, f"vtype 'x' is not in the schema; {VTYPES}"),
    ({"vtype": 1}, "takes 'item', but node 0 gives user"),
    ({"etype": 4}, "no relation of the schema joins 'near' to the vertex type 'user'"),
    ({"strategy": 3}, f"strategy 3 is none of {SAMPLERS}"),
    ({"strategy": "²"}, f"strategy '²' is none of {SAMPLERS}"),
    ({"strategy": "9" * 5000}, f"strategy {'9' * 5000!r} is none of {SAMPLERS}"),
    ({"strategy": False}, f"strategy False is none of {SAMPLERS}"),
    ({"strategy": {}}, f"strategy {{}} is none of {SAMPLERS}"),
    ({"half_life": 5}, "half_life means something for time_decay only"),
    ({"weight_attr": "stars"}, "weight_attr means nothing for topk_by_timestamp"),
    ({"versions": 1}, "versions means nothing on an EDGE_SAMPLER"),
    ({"strategy": 1, "weight_attr": "x"}, "edge_weight needs a weight, but 'buys' has no numeric attribute 'x'"),
    ({"strategy": 1, "weight_attr": 7}, "edge_weight needs a weight, but 'buys' has no numeric attribute 7"),
    ({"strategy": 1, "etype": 3}, "edge_weight needs a weight, but 'views' has no numeric attribute 'weight'"),
    (
        {"strategy": "topk_by_weight", "etype": 3, "weight_attr": "title"},
        "topk_by_weight needs a weight, but 'views' has no numeric attribute 'title'",
    ),
]


@pytest.mark.parametrize(("values", "problem"), EDGE_PARAMS)
def test_a_param_of_an_edge_node_is_refused_for_this_reason(values: dict[str, Any], problem: str) -> None:
    assert problems(source(1), edge(1, **values)) == [f"node 1: {problem}"]


@pytest.mark.parametrize("half_life", [None, 0, -1, True, "5", float("nan"), float("inf"), 1e-201, 10**400, []])
def test_time_decay_needs_a_half_life_whose_scores_are_finite(half_life: Any) -> None:
    wanted = "time_decay needs half_life, a number from 1e-200 to 1e+200 in the timestamps' unit"
    values = {} if half_life is None else {"half_life": half_life}
    assert problems(source(1), edge(1, strategy="time_decay", **values)) == [f"node 1: {wanted}, not {half_life!r}"]


@pytest.mark.parametrize("missing", ["etype", "strategy", "fanout"])
def test_an_edge_node_needs_its_params(missing: str) -> None:
    node = edge(1)
    node["params"] = [p for p in node["params"] if p["key"] != missing]
    (problem,) = problems(source(1), node)
    assert problem.startswith(f"node 1: {missing} ")
    assert "None" in problem


@pytest.mark.parametrize("key", ["etype", "strategy", "fanout", "seed", "half_life", "weight_attr"])
def test_params_of_edges_mean_nothing_on_a_vertex_node(key: str) -> None:
    assert problems(source(1), vertex(1, vtype=0, **{key: 1})) == [f"node 1: {key} means nothing on a VERTEX_SAMPLER"]


def test_a_node_must_name_its_type_where_its_upstreams_offer_several() -> None:
    node = {"id": 3, "kind": "VERTEX_SAMPLER"}
    assert problems(source(1, 2), edge(1, 3), vertex(2, 3, vtype=0), node) == [
        "node 3: the param vtype is missing",
    ]


def with_params(*given: Any) -> dict[str, Any]:
    node = edge(1)
    node["params"] += given
    return node


def test_params_have_known_keys_once() -> None:
    assert problems(source(1), with_params(*params(fanout=4))) == ["node 1: param fanout is given twice"]
    assert problems(source(1), with_params(*params(colour=4)))[0].startswith("node 1: unknown param 'colour'; known are attrs, ")
    assert problems(source(1), with_params({"key": [], "value": 1}))[0].startswith("node 1: unknown param []; known are ")
    for bad in (1, {"key": "fanout"}, {"value": 1}):
        assert problems(source(1), with_params(bad))[0] == 'node 1: params must be an array of {"key", "value"}'


def changed(node: dict[str, Any], **values: Any) -> dict[str, Any]:
    return node | values


SHAPES: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([source(1), changed(edge(1), id=-1)], ["plan_nodes[1]: id must be an integer from 0 to 2**32 - 1, not -1"]),
    (
        [source(1), changed(edge(1), id=1 << 32)],
        ["plan_nodes[1]: id must be an integer from 0 to 2**32 - 1, not 4294967296"],
    ),
    ([source(1), changed(edge(1), id="1")], ["plan_nodes[1]: id must be an integer from 0 to 2**32 - 1, not '1'"]),
    ([source(1), edge(1), edge(1)], ["node 1: the id is used twice"]),
    ([source(1), changed(edge(1), kind="X")], ["node 1: kind 'X' is none of SOURCE, VERTEX_SAMPLER, EDGE_SAMPLER"]),
    ([source(1), changed(edge(1), kind=3)], ["node 1: kind 3 is none of SOURCE, VERTEX_SAMPLER, EDGE_SAMPLER"]),
    ([changed(source(1), links=1), edge(1)], ["node 0: links must be an array of objects"]),
    ([source(1, 7), edge(1)], ["node 0: a link leads to node 7, which the plan does not have"]),
    ([source(1), edge(1, 0)], ["node 1: a link leads to the SOURCE"]),
    ([edge(0)], ["a plan has exactly one SOURCE node, not 0"]),
    ([source(), source(number=1)], ["a plan has exactly one SOURCE node, not 2"]),
    ([source(1), edge(1), edge(2, 3), vertex(3)], ["node 2: no link leads to it"]),
    ([source(1), edge(1, 2), edge(2, 3), edge(3, 2)], ["nodes 2, 3 form a cycle, or hang below one"]),
    ([source(1), edge(1, 1)], ["nodes 1 form a cycle, or hang below one"]),
]


@pytest.mark.parametrize(("nodes", "expected"), SHAPES)
def test_a_plan_of_a_wrong_shape_is_refused(nodes: list[dict[str, Any]], expected: list[str]) -> None:
    found = problems(*nodes)
    assert [problem for problem in found if problem in expected] == expected


@pytest.mark.parametrize("output", [2, -1, True, 1.0, "1", None, {}])
def test_an_output_is_0_or_of_an_edge_node_1(output: Any) -> None:
    wrong = f"node 1: src_output {output!r}: 0 is the node's own vertices, 1 the destinations of its edges"
    assert problems(source(1), edge(1) | {"links": [{"node": 2, "src_output": output}]}, vertex(2))[0] == wrong
    assert "src_output 1" in problems(source(1) | {"links": links(1)}, edge(1))[0]


def test_all_reasons_of_all_nodes_come_together() -> None:
    assert problems(
        source(1, 2, vtype="nobody"),
        edge(1, 3, fanout=0, strategy="best", colour=1, ttl=5),
        vertex(2, vtype=0, versions=3),
        vertex(3, vtype=0),
        query_id=-1,
    ) == [
        "query_id must be an integer from 0 to 2**32 - 1, not -1",
        "node 1: unknown param 'colour'; known are attrs, direction, distinct, etype, fanout, half_life, seed, strategy, ttl, "
        "versions, vtype, weight_attr, window",
        "node 1: ttl is refused: expiry is not built yet",
        f"node 0: vtype 'nobody' is not in the schema; {VTYPES}",
        f"node 1: strategy 'best' is none of {SAMPLERS}",
        "node 1: fanout must be an integer from 1 to 65535, not 0",
        "node 2: versions > 1 is refused: only the newest version is kept yet",
    ]


def test_reasons_of_shape_and_of_params_come_together() -> None:
    found = problems(source(1, 9), edge(1, 2, fanout=0), vertex(2), edge(4, etype=8))
    assert "node 0: a link leads to node 9, which the plan does not have" in found
    assert "node 1: fanout must be an integer from 1 to 65535, not 0" in found
    assert f"node 4: etype 8 is not in the schema; {ETYPES}" in found


def test_an_alias_is_a_text_that_can_be_written_again() -> None:
    for alias in (1, "\ud800"):
        assert problems(source(1), edge(1) | {"alias": alias}) == ["node 1: alias must be a text"]
