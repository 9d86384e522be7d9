"""Orders that stand in the logs and that a restored coordinator does not know of, as its checkpoint is older. Pure.

Where logs go on after a restore, as on Kafka, no number may be given twice: partitions would drop the second order of a number.
"""

from collections.abc import Iterable
from dataclasses import replace

from dgs.coordinator.state import Barrier, FixedDimension, Query, State
from dgs.core.control import DIMENSION, INSTALL, ControlItem
from dgs.core.errors import StateError
from dgs.core.layout import Dimension


def with_later_orders(state: State, items: Iterable[ControlItem], serving_partitions: int) -> State:
    """Return the state with the orders of the log that come after its last one. They are pending: not all logs need have them.

    A log does not tell the names of barriers, so they get others; whoever waits for one sets it again under a new name.

    Args:
        items: of the first record partition, in which every order is written first; duplicates are ignored.
        serving_partitions: how many of them complete a barrier's rounds.

    Raises:
        StateError: an order is missing.
    """
    for item in items:
        if item.number <= state.last:
            continue
        if item.number != state.last + 1:
            raise StateError(
                f"the log has order {item.number} behind order {state.last}, those between are lost: restore an older checkpoint,"
                " or load the data again"
            )
        state = replace(_with(state, item, serving_partitions), last=item.number)
    return state


def _with(state: State, item: ControlItem, serving_partitions: int) -> State:
    body = item.body
    if item.kind == INSTALL:
        return replace(state, queries=(*state.queries, Query(item.number, body["id"], body["name"], body["plan"])))
    if item.kind == DIMENSION:
        fixed = FixedDimension(item.number, Dimension(body["kind"], body["type"], body["attribute"], body["dim"]))
        return replace(state, dimensions=(*state.dimensions, fixed))
    barrier = Barrier(1, frozenset({0}), item.number, body["id"], body["rounds"], (0,) * serving_partitions)
    return replace(state, barriers={**state.barriers, _name(state, item.number): barrier})


def _name(state: State, number: int) -> str:
    name = f"restored-{number}"
    while name in state.barriers:
        name += "-again"
    return name
