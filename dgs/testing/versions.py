"""All that every row has ever been: what an oracle says of it after each log entry that changed it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dgs.core.operators import InstalledQuery
from dgs.core.query import PlanNode
from dgs.core.schema import Schema
from dgs.testing.graph import Edge, Raw
from dgs.testing.oracle import Oracle, frozen

Row = tuple[int, int]
"""Operator and vertex."""


class Version(NamedTuple):
    """What a row was from a position of its record partition on: slots, best first by destination type; or a vertex's record."""

    position: int
    content: Any


class RowVersions:
    """The versions of all rows of some queries.

    Attributes:
        oracle: what it is all taken from.
    """

    def __init__(self, schema: Schema, queries: Sequence[InstalledQuery]) -> None:
        self.oracle = Oracle(schema)
        self._nodes: dict[int, PlanNode] = {q.operator_of[node.id]: node for q in queries for node in q.plan.nodes}
        self._versions: dict[Row, list[Version]] = {}

    def take(self, raws: Sequence[Raw], position: int) -> None:
        """Take the records of the entry that ends at a position of its partition."""
        touched: dict[Row, None] = {}
        for raw in raws:
            raw.tell(self.oracle)
            kind = (raw.etype, raw.src_type) if isinstance(raw, Edge) else (None, raw.vtype)
            touched |= dict.fromkeys((o, raw.owner) for o, node in self._nodes.items() if (node.etype, node.vtype) == kind)
        for row in touched:
            content, versions = self._now(row), self.of(*row)
            if content != versions[-1].content:
                versions.append(Version(position, content))

    def of(self, operator: int, vertex: int) -> list[Version]:
        """Return the versions of a row, the first one that of the beginning."""
        empty: Any = () if self._nodes[operator].etype is None else []
        return self._versions.setdefault((operator, vertex), [Version(0, empty)])

    def since(self, operator: int, vertex: int, position: int) -> list[Any]:
        """Return what a row has been, when all entries before the position were applied, and later."""
        versions = self.of(operator, vertex)
        first = max(i for i, version in enumerate(versions) if version.position <= position)
        return [version.content for version in versions[first:]]

    def _now(self, row: Row) -> Any:
        node = self._nodes[row[0]]
        if node.etype is not None:
            return self.oracle.row(node, row[1])
        known = self.oracle.records.get((node.vtype, row[1]))
        return (known[0], frozen(known[1])) if known else ()
