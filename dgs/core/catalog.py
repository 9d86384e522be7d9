"""The catalog: what control items have told so far: the layouts of payloads, and the operators that run. Every machine has one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dgs.core.control import BARRIER, DIMENSION, INSTALL, ControlItem
from dgs.core.errors import PlanError, StateError
from dgs.core.layout import Dimension, Layout, Layouts
from dgs.core.operators import Operator, OperatorSet
from dgs.core.query import read_query
from dgs.core.schema import Schema


@dataclass(frozen=True, slots=True)
class Catalog:
    """Layouts and operators after some prefix of the control items; immutable, and a function of that prefix."""

    schema: Schema
    layouts: Layouts
    operators: OperatorSet

    @staticmethod
    def empty(schema: Schema) -> "Catalog":
        """Return the catalog before any control item."""
        return Catalog(schema, Layouts(schema), OperatorSet())

    @staticmethod
    def of(schema: Schema, items: Iterable[ControlItem]) -> "Catalog":
        """Return the catalog after some items; StateError as `taken`."""
        catalog = Catalog.empty(schema)
        for item in items:
            catalog = catalog.taken(item)
        return catalog

    def taken(self, item: ControlItem) -> "Catalog":
        """Return the catalog after one more item; a barrier changes nothing.

        Raises:
            StateError: the item is of a kind that only a newer program knows, or does not fit this deployment.
        """
        body = item.body
        if item.kind == DIMENSION:
            dimension = Dimension(body["kind"], body["type"], body["attribute"], body["dim"])
            if not self.layouts.lacks(dimension):
                raise _foreign(item, f"there is no list for the dimension {dimension}")
            return replace(self, layouts=self.layouts.confirmed(dimension))
        if item.kind == INSTALL:
            try:
                plan = read_query(body["plan"], self.schema)
            except PlanError as e:
                raise _foreign(item, str(e)) from None
            return replace(self, operators=self.operators.install(body["name"], plan, self.schema))
        if item.kind == BARRIER:
            return self
        raise StateError(f"control item {item.number} is of kind {item.kind!r}, which this program does not know: upgrade dgs")

    def layout(self, operator: Operator) -> Layout:
        """Return the layout of what an operator samples."""
        return self.layouts.vertex[operator.vtype] if operator.etype is None else self.layouts.edge[operator.etype]


def _foreign(item: ControlItem, why: str) -> StateError:
    return StateError(
        f"control item {item.number} does not fit this deployment ({why}): the log belongs to another one, or to a newer dgs; put"
        " back the log that goes with this data directory"
    )
