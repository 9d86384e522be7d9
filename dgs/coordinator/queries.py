"""Installing queries: which are accepted, and the operators that follow from the accepted ones. Pure functions over the state."""

import json
from collections.abc import Iterable
from dataclasses import replace

from dgs.coordinator.name import check_name
from dgs.coordinator.state import Query, State
from dgs.core.errors import ConflictError, InputError, PlanError
from dgs.core.operators import OperatorSet
from dgs.core.query import QueryPlan, read_query
from dgs.core.schema import Schema


def install(state: State, plan: QueryPlan, name: str | None, schema: Schema) -> State:
    """Return the state with an order for this query, or the same state where the query is installed already.

    Queries are the same when id, name and what their plans mean are equal; spelling does not matter. Without a name the query keeps
    the one that it has, or gets `q` and its id.

    Raises:
        InputError: the name is none.
        PlanError: the document holds text or numbers that JSON cannot carry.
        ConflictError: the id or the name stands for another query, or loaders have begun.
    """
    if name is not None:
        check_query_name(name)
    _check_document(plan)
    same_id = next((q for q in state.queries if q.id == plan.query_id), None)
    if same_id is not None:
        if not _same_plan(read_query(same_id.document, schema), plan):
            raise ConflictError(
                f"query id {plan.query_id} is used by {same_id.name!r}, which has another plan; give another query_id"
            )
        if name is not None and name != same_id.name:
            raise ConflictError(
                f"query {plan.query_id} is installed under the name {same_id.name!r}, not {name!r}; give that name, or another "
                "query_id"
            )
        return state
    name = f"q{plan.query_id}" if name is None else name
    same_name = next((q for q in state.queries if q.name == name), None)
    if same_name is not None:
        raise ConflictError(f"the name {name!r} is used by query {same_name.id}; give another name")
    if state.loaders_admitted:
        raise ConflictError(
            f"query {name!r} cannot be installed any more: a loader has begun, and a new query does not see records that are"
            " already there yet. Install it into a new data directory (dgs up --query FILE) and load the data again"
        )
    query = Query(state.last + 1, plan.query_id, name, dict(plan.document))
    queries = (*state.queries, query)
    operators_of(queries, schema)  # an order that breaks it must not be saved: it would break every start
    return replace(state, last=query.number, queries=queries)


def first_state(queries: Iterable[tuple[str, object]], schema: Schema) -> State:
    """Return what a coordinator begins with whose first queries come before the logs: names, and documents as parsed JSON.

    There may be records already, and no later query would see them. Raises as `install`.
    """
    state = State()
    for name, document in queries:
        state = install(state, read_query(document, schema), name, schema)
    return replace(state, written=state.last, loaders_admitted=True)


def operators_of(queries: tuple[Query, ...], schema: Schema) -> OperatorSet:
    """Return what the record partitions make of these orders.

    Raises:
        PlanError: this program does not accept a plan that an earlier one did.
    """
    operators = OperatorSet()
    for q in queries:
        operators = operators.install(q.name, read_query(q.document, schema), schema)
    return operators


def check_query_name(name: str) -> None:
    """Check a name.

    Raises:
        InputError: it is none; all digits would be taken for an id.
    """
    check_name("query", name)
    if name.isdigit():
        raise InputError(f"a query's name must not be all digits, as {name!r} would be taken for an id")


def _same_plan(a: QueryPlan, b: QueryPlan) -> bool:
    return (a.source, a.nodes) == (b.source, b.nodes)


def _check_document(plan: QueryPlan) -> None:
    try:
        json.dumps(plan.document, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise PlanError("the query holds NaN, an infinity or half a surrogate pair, which JSON cannot carry") from None
