"""Operators: nodes that are equal together with everything below them run once, under ids that never come back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.catalog import Catalog
from dgs.core.control import ControlItem
from dgs.core.errors import StateError
from dgs.core.operators import OperatorSet
from dgs.core.query import read_query
from dgs.core.strategies import Strategy, digest
from tests.core.making import SCHEMA, document, edge, source, vertex


def installed(*plans: dict[str, Any]) -> OperatorSet:
    operators = OperatorSet()
    for i, plan in enumerate(plans):
        operators = operators.install(f"q{i}", read_query(plan | {"query_id": i}, SCHEMA), SCHEMA)
    return operators


def two_hops(**values: Any) -> dict[str, Any]:
    """Users buy items, items are near items, with the items' features."""
    return document(source(1), edge(1, 2, 3, **values), edge(2, 3, vtype=1, etype=4), vertex(3))


def test_a_plan_becomes_operators_from_the_bottom_up() -> None:
    operators = installed(two_hops(strategy="time_decay", half_life=60, fanout=4, seed=5))
    features, near, buys = operators.operators
    assert operators.queries[0].operator_of == {3: 1, 2: 2, 1: 3}
    assert (features.id, features.vtype, features.etype, features.fanout, features.children) == (1, 1, None, 1, ())
    assert (near.vtype, near.etype, near.children, near.fed) == (1, 4, (1,), False)
    assert (buys.vtype, buys.etype, buys.children, buys.fed) == (0, 2, (1, 2), True)
    assert (buys.fanout, buys.strategy, buys.half_life, buys.weight_attr) == (4, Strategy.TIME_DECAY, 60.0, "weight")
    assert buys.digest == digest(Strategy.TIME_DECAY, "buys", "user", seed=5, half_life=60.0)
    assert near.digest == digest(Strategy.TOPK_BY_TIMESTAMP, "near", "item")


def test_equal_queries_share_all_operators() -> None:
    operators = installed(two_hops(), two_hops())
    assert len(operators.operators) == 3
    assert operators.queries[0].operator_of == operators.queries[1].operator_of


def test_a_difference_below_keeps_what_is_above_apart() -> None:
    below = document(source(1), edge(1, 2, 3), edge(2, 3, vtype=1, etype=4, fanout=9), vertex(3))
    operators = installed(two_hops(), below)
    first, second = (q.operator_of for q in operators.queries)
    assert first[3] == second[3]
    assert first[2] != second[2]
    assert first[1] != second[1]


def test_every_difference_of_a_node_keeps_it_apart() -> None:
    weighted = {"strategy": "edge_weight"}
    variants: list[dict[str, Any]] = [
        {},
        {"fanout": 4},
        {"etype": 3},
        {"strategy": "random"},
        {"strategy": "random", "seed": 1},
        weighted,
        weighted | {"weight_attr": "stars"},
        {"strategy": "time_decay", "half_life": 1},
        {"strategy": "time_decay", "half_life": 1.5},
    ]
    operators = installed(*(document(source(1), edge(1, **v)) for v in variants))
    assert len(operators.operators) == len(variants)


def test_nodes_of_one_plan_share_too() -> None:
    operators = installed(document(source(1, 2), edge(1, 3), edge(2, 4, etype="buys", strategy="0"), vertex(3), vertex(4)))
    assert operators.queries[0].operator_of == {3: 1, 4: 1, 1: 2, 2: 2}


def test_an_operator_that_comes_to_hang_under_a_source_is_fed_from_then_on() -> None:
    operators = installed(two_hops())
    assert [o.fed for o in operators.operators] == [False, False, True]
    direct = document(source(1, vtype="item"), vertex(1))
    both = operators.install("direct", read_query(direct | {"query_id": 1}, SCHEMA), SCHEMA)
    assert both.queries[1].operator_of == {1: 1}
    assert [o.fed for o in both.operators] == [True, False, True]
    assert [o.fed for o in operators.operators] == [False, False, True], "sets do not change"
    later = both.install("again", read_query(two_hops() | {"query_id": 2}, SCHEMA), SCHEMA)
    assert [o.fed for o in later.operators] == [True, False, True], "fed stays"


def test_rounds_are_the_longest_path_below_a_source() -> None:
    assert OperatorSet().rounds() == 1
    assert installed(document(source())).rounds() == 1
    assert installed(document(source(1), vertex(1, vtype=0))).rounds() == 1
    assert installed(document(source(1), edge(1))).rounds() == 1
    assert installed(two_hops()).rounds() == 3
    deep = document(source(1), edge(1, 2), edge(2, 3, vtype=1, etype=4, fanout=1), edge(3, 4, vtype=1, etype=4), vertex(4))
    assert installed(document(source(1), edge(1)), deep, two_hops()).rounds() == 4


def test_a_query_is_found_by_id_and_by_name() -> None:
    operators = installed(two_hops(), document(source(1), edge(1)))
    assert operators.query(1) is operators.query("q1") is operators.queries[1]
    assert operators.query("0") is operators.query(0) is operators.queries[0]
    assert operators.query(2) is operators.query("9" * 5000) is operators.query("no") is None


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    first = edge(1, 2, 3, fanout=draw(st.integers(1, 2)), seed=draw(st.integers(0, 1)))
    second = edge(2, 3, vtype=1, etype=4, fanout=draw(st.integers(1, 2)))
    return document(source(1), first, second, vertex(3)) if draw(st.booleans()) else document(source(1), edge(1))


@settings(max_examples=100, deadline=None)
@given(st.lists(plans(), max_size=6))
def test_ids_are_dense_never_used_again_and_a_function_of_the_sequence(sequence: list[dict[str, Any]]) -> None:
    assert installed(*sequence) == installed(*sequence)
    before: dict[int, Any] = {}
    for n in range(len(sequence) + 1):
        operators = installed(*sequence[:n]).operators
        assert [o.id for o in operators] == list(range(1, len(operators) + 1))
        assert all(child < o.id for o in operators for child in o.children)
        assert all(a.meaning != b.meaning for a in operators for b in operators if a.id < b.id)
        now = {o.id: o for o in operators}
        assert all(now[i].meaning == o.meaning for i, o in before.items()), "what an id means does not change"
        before = now


def test_a_control_item_of_the_future_stops_the_machine_instead_of_being_passed_over() -> None:
    with pytest.raises(StateError, match="upgrade dgs"):
        Catalog.empty(SCHEMA).taken(ControlItem(3, "tick", {}))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("install", {"id": 0, "name": "q", "plan": {"query_plan": {}}}),
        ("dimension", {"kind": "vertex", "type": 77, "attribute": 2, "dim": 2}),
        ("dimension", {"kind": "vertex", "type": 0, "attribute": 0, "dim": 2}),
        ("dimension", {"kind": "neither", "type": 0, "attribute": 2, "dim": 2}),
        ("dimension", {"kind": "vertex", "type": 0, "attribute": 2, "dim": 1 << 40}),
    ],
)
def test_a_control_item_of_another_deployment_stops_the_machine(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="control item 3 does not fit this deployment"):
        Catalog.empty(SCHEMA).taken(ControlItem(3, kind, body))


def test_a_dimension_is_confirmed_once() -> None:
    item = ControlItem(3, "dimension", {"kind": "vertex", "type": 0, "attribute": 2, "dim": 2})
    with pytest.raises(StateError, match="there is no list for the dimension"):
        Catalog.empty(SCHEMA).taken(item).taken(item)
