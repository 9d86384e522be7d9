"""A restored coordinator takes over the orders that were written since its checkpoint, so that it gives no number twice."""

import pytest

from dgs.coordinator.later_orders import with_later_orders
from dgs.coordinator.state import Barrier, FixedDimension, Query, State
from dgs.core.control import ControlItem
from dgs.core.errors import StateError
from dgs.core.layout import Dimension

INSTALLED = Query(1, 7, "shop", {"query_id": 7})
FIXED = FixedDimension(2, Dimension("vertex", 0, 2, 16))
SET = Barrier(1, frozenset({0}), 3, 4, 2, (0, 0))
WHOLE = [INSTALLED.item(), FIXED.item(), SET.item()]


@pytest.mark.parametrize("known", range(4))
def test_what_the_log_has_beyond_the_state_is_taken_over_as_pending(known: int) -> None:
    empty = State()
    state = with_later_orders(empty, WHOLE[:known], 2)
    twice = [*WHOLE[:1], *WHOLE]  # an order that was written again
    later = with_later_orders(state, twice, 2)
    assert later == State(3, 0, (), False, (INSTALLED,), (FIXED,), {"restored-3": SET})
    assert later.pending() == WHOLE


def test_a_barrier_does_not_take_a_name_that_is_there() -> None:
    state = State(2, 2, barriers={"restored-3": Barrier(2, frozenset({1}))})
    assert set(with_later_orders(state, WHOLE[2:], 2).barriers) == {"restored-3", "restored-3-again"}


def test_a_missing_order_is_an_error() -> None:
    with pytest.raises(StateError, match=r"order 3 behind order 1.*older checkpoint"):
        with_later_orders(State(), [WHOLE[0], WHOLE[2]], 2)
    assert with_later_orders(State(), [], 2) == State()
    assert with_later_orders(State(3, 3), [ControlItem(2, "barrier", {"id": 1, "rounds": 1})], 2).last == 3
