"""What the coordinator remembers, as immutable values.

Every order has a number, and is one query, dimension or complete barrier here; an order whose number is above `written` is pending:
it may stand in some record partitions, and has to be appended to all of them (again). This module holds no rules and does no I/O;
`queries`, `dimensions` and `barriers` make new states, `state_file` keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dgs.core.control import BARRIER, DIMENSION, INSTALL, ControlItem
from dgs.core.layout import Dimension


@dataclass(frozen=True, slots=True)
class Query:
    """An install order; `document` is the install-query document as it was given."""

    number: int
    id: int
    name: str
    document: dict[str, Any]

    def item(self) -> ControlItem:
        """Return the order."""
        return ControlItem(self.number, INSTALL, {"id": self.id, "name": self.name, "plan": self.document})


@dataclass(frozen=True, slots=True)
class FixedDimension:
    """A dimension order."""

    number: int
    dimension: Dimension

    def item(self) -> ControlItem:
        """Return the order."""
        d = self.dimension
        return ControlItem(self.number, DIMENSION, {"kind": d.kind, "type": d.type, "attribute": d.attribute, "dim": d.dim})


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier that at least one loader has set.

    Attributes:
        count: how many loaders have to set it.
        loaders: ids of those that have.
        number: of its order; 0 until all loaders have set it, and so are the next three.
        id: what marks and pings carry.
        rounds: how many rounds there are.
        completed: per serving partition, the last round that it has completed; empty until all loaders have set the barrier.
    """

    count: int
    loaders: frozenset[int]
    number: int = 0
    id: int = 0
    rounds: int = 0
    completed: tuple[int, ...] = ()

    def item(self) -> ControlItem:
        """Return the order."""
        return ControlItem(self.number, BARRIER, {"id": self.id, "rounds": self.rounds})


Order = Query | FixedDimension | Barrier
"""What has a number and is written into every record partition."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives the coordinator's process.

    Attributes:
        last: number of the newest order, 0 before the first.
        written: orders up to this number stand in all record partitions.
        ends: per record partition, where its log ended behind them at least; empty where that is not known.
        loaders_admitted: a loader may have been told where to write.
        queries: in the order of their numbers.
        dimensions: in the order of their numbers.
        barriers: by name.
    """

    last: int = 0
    written: int = 0
    ends: tuple[int, ...] = ()
    loaders_admitted: bool = False
    queries: tuple[Query, ...] = ()
    dimensions: tuple[FixedDimension, ...] = ()
    barriers: Mapping[str, Barrier] = field(default_factory=dict)

    def pending(self) -> list[ControlItem]:
        """Return the orders that are not known to stand in all record partitions, ascending."""
        return [item for item in self._orders() if item.number > self.written] if self.written < self.last else []

    def standing(self) -> list[ControlItem]:
        """Return the orders that stand in all record partitions, ascending."""
        return [item for item in self._orders() if item.number <= self.written]

    def _orders(self) -> list[ControlItem]:
        orders: tuple[Order, ...] = (*self.queries, *self.dimensions, *self.barriers.values())
        return sorted((o.item() for o in orders if o.number), key=lambda item: item.number)

    def confirmed(self) -> list[Dimension]:
        """Return the dimensions that stand in all record partitions, in order."""
        return [d.dimension for d in self.dimensions if d.number <= self.written]

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "last": self.last,
            "written": self.written,
            "ends": list(self.ends),
            "loaders_admitted": self.loaders_admitted,
            "queries": [{"number": q.number, "id": q.id, "name": q.name, "document": q.document} for q in self.queries],
            "dimensions": [{"number": d.number, **d.item().body} for d in self.dimensions],
            "barriers": {
                name: {
                    "count": b.count,
                    "loaders": sorted(b.loaders),
                    "number": b.number,
                    "id": b.id,
                    "rounds": b.rounds,
                    "completed": list(b.completed),
                }
                for name, b in self.barriers.items()
            },
        }


def of_next_generation(state: State, serving_partitions: int) -> State:
    """Return what the coordinator of a new generation begins with.

    Queries and dimensions are numbered anew, and taken to be written. Complete barriers are to be written again, behind all that is
    in the new logs then: they become READY once that is servable.
    """
    fixed: list[Query | FixedDimension] = sorted((*state.queries, *state.dimensions), key=lambda order: order.number)
    number = {order.number: i for i, order in enumerate(fixed, 1)}
    complete = sorted((b.number, name) for name, b in state.barriers.items() if b.number)
    number |= {old: i for i, (old, _) in enumerate(complete, len(fixed) + 1)}
    return State(
        last=len(number),
        written=len(fixed),
        loaders_admitted=state.loaders_admitted,
        queries=tuple(replace(q, number=number[q.number]) for q in state.queries),
        dimensions=tuple(replace(d, number=number[d.number]) for d in state.dimensions),
        barriers={
            name: replace(b, number=number[b.number], completed=(0,) * serving_partitions) if b.number else b
            for name, b in state.barriers.items()
        },
    )


def read_state(document: Mapping[str, Any]) -> State:
    """Read what `State.to_json` gave.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it is something else.
    """
    state = State(
        last=int(document["last"]),
        written=int(document["written"]),
        ends=tuple(map(int, document.get("ends", ()))),
        loaders_admitted=bool(document["loaders_admitted"]),
        queries=tuple(Query(int(q["number"]), int(q["id"]), str(q["name"]), dict(q["document"])) for q in document["queries"]),
        dimensions=tuple(
            FixedDimension(int(d["number"]), Dimension(str(d["kind"]), int(d["type"]), int(d["attribute"]), int(d["dim"])))
            for d in document["dimensions"]
        ),
        barriers={str(name): _read_barrier(b) for name, b in document["barriers"].items()},
    )
    orders: tuple[Order, ...] = (*state.queries, *state.dimensions, *state.barriers.values())
    numbers = [o.number for o in orders if o.number]
    if state.last != len(numbers) or sorted(numbers) != list(range(1, len(numbers) + 1)) or not 0 <= state.written <= state.last:
        raise ValueError("the orders are not numbered 1, 2, 3, …")
    return state


def _read_barrier(document: Mapping[str, Any]) -> Barrier:
    return Barrier(
        count=int(document["count"]),
        loaders=frozenset(map(int, document["loaders"])),
        number=int(document["number"]),
        id=int(document["id"]),
        rounds=int(document["rounds"]),
        completed=tuple(map(int, document["completed"])),
    )
