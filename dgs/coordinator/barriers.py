"""Barriers: named points of the record stream, set by loaders, passed by serving partitions. Pure functions over the state."""

from dataclasses import dataclass, replace
from enum import StrEnum

from dgs.coordinator.name import check_name
from dgs.coordinator.state import Barrier, State
from dgs.core.errors import ConflictError, InputError, StateError

LOADERS_MAX = 65536


class BarrierState(StrEnum):
    """How far a barrier has come; a later one includes all before it."""

    NOT_SET = "NOT_SET"
    """Not all loaders have set it, or it does not stand in all record partitions yet."""
    PRODUCED = "PRODUCED"
    """It stands in all record partitions."""
    SAMPLED = "SAMPLED"
    """Every serving partition has the first marks of all record partitions."""
    READY = "READY"
    """Everything that was written before it is servable."""

    def includes(self, other: "BarrierState") -> bool:
        """Whether a barrier in this state has reached `other`."""
        order = list(BarrierState)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class BarrierView:
    """A barrier as users see it.

    Attributes:
        name: of the barrier.
        state: how far it is.
        count: how many loaders have to set it; None while nobody has.
        loaders: the ids of those that have, ascending.
        id: what its marks carry; 0 until all loaders have set it.
    """

    name: str
    state: BarrierState
    count: int | None = None
    loaders: tuple[int, ...] = ()
    id: int = 0


def set_barrier(state: State, name: str, count: int, loader_id: int, rounds: int, serving_partitions: int) -> State:
    """Return the state after loader `loader_id` has set the barrier, with an order when it is the last of `count` to do so.

    Args:
        rounds: how many rounds a barrier written now has.
        serving_partitions: how many of them will complete those.

    Raises:
        InputError: the name is none, or a number is out of range.
        ConflictError: `Barrier <name> Already Set.`: with another count, or by others.
    """
    check_name("barrier", name)
    if not 1 <= count <= LOADERS_MAX:
        raise InputError(f"count is an integer from 1 to {LOADERS_MAX}, not {count}")
    if not 0 <= loader_id < 1 << 63:
        raise InputError(f"a loader's id is an integer from 0 to 2**63 - 1, not {loader_id}")
    standing = state.barriers.get(name) or Barrier(count, frozenset())
    if standing.count == count and loader_id in standing.loaders:
        return state
    if standing.count != count or standing.number:
        raise ConflictError(f"Barrier {name} Already Set.")
    barrier = replace(standing, loaders=standing.loaders | {loader_id})
    if len(barrier.loaders) < count:
        return replace(state, barriers={**state.barriers, name: barrier})
    complete = replace(
        barrier,
        number=state.last + 1,
        id=1 + max((b.id for b in state.barriers.values()), default=0),
        rounds=rounds,
        completed=(0,) * serving_partitions,
    )
    return replace(state, last=complete.number, barriers={**state.barriers, name: complete})


def complete_round(state: State, serving_partition: int, barrier_id: int, round_number: int) -> State:
    """Return the state after a serving partition has completed a round, or the same state where that is no news.

    Raises:
        StateError: this coordinator never gave that barrier, or it has fewer rounds.
    """
    name, barrier = next(((n, b) for n, b in state.barriers.items() if b.number and b.id == barrier_id), ("", None))
    if barrier is None or not 1 <= round_number <= barrier.rounds or not 0 <= serving_partition < len(barrier.completed):
        raise StateError(
            f"serving partition {serving_partition} reports round {round_number} of barrier {barrier_id}, which this coordinator"
            " did not give: its log belongs to another deployment; start both with one data directory"
        )
    if round_number <= barrier.completed[serving_partition]:
        return state
    completed = list(barrier.completed)
    completed[serving_partition] = round_number
    return replace(state, barriers={**state.barriers, name: replace(barrier, completed=tuple(completed))})


def view(state: State, name: str) -> BarrierView:
    """Return a barrier; one that nobody has set is NOT_SET."""
    barrier = state.barriers.get(name)
    if barrier is None:
        return BarrierView(name, BarrierState.NOT_SET)
    return BarrierView(name, _state_of(barrier, state.written), barrier.count, tuple(sorted(barrier.loaders)), barrier.id)


def _state_of(barrier: Barrier, written: int) -> BarrierState:
    if not barrier.number:
        return BarrierState.NOT_SET
    # A round that every serving partition has completed proves the writing, even if a crash came before that was saved.
    passed = min(barrier.completed)
    if passed >= barrier.rounds:
        return BarrierState.READY
    if passed >= 1:
        return BarrierState.SAMPLED
    return BarrierState.PRODUCED if barrier.number <= written else BarrierState.NOT_SET
