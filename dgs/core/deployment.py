"""A deployment: what is fixed for its life (of one generation), and so shapes what every machine emits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dgs.core.control import ControlItem
from dgs.core.schema import Schema

EMISSION_VERSION = 2
"""What this code emits. A log begun under another version needs a program that still emits in that version."""
IDLE_ITEMS = 4096
"""Default of `Deployment.idle_items`."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a deployment begins in record logs that had entries before it.

    Attributes:
        at: what the user asked for: "earliest", "latest" or milliseconds since 1970.
        positions: of the first entry that counts, per record partition.
        orders: the first ones of the coordinator. They come before these entries, so they cannot stand in the logs.
    """

    at: str
    positions: tuple[int, ...]
    orders: tuple[ControlItem, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        orders = [{"number": o.number, "kind": o.kind, "body": o.body} for o in self.orders]
        return {"at": self.at, "positions": list(self.positions), "orders": orders}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave; KeyError, TypeError or ValueError where it is something else."""
        orders = (ControlItem(int(o["number"]), str(o["kind"]), dict(o["body"])) for o in document["orders"])
        return cls(str(document["at"]), tuple(map(int, document["positions"])), tuple(orders))


@dataclass(frozen=True, slots=True)
class Deployment:
    """Facts that every process of a deployment agrees on.

    Attributes:
        log_id: names the logs that belong to this deployment; another data directory has another.
        generation: rises when state is rebuilt for other partition counts; positions and channels carry it.
        partitions: P, partitions of record-batches.
        serving_partitions: S, partitions of sample-batches.
        schema: the graph schema.
        bus: URL of the bus that its logs are on; empty for the local bus in its data directory.
        idle_items: a serving partition drops a row that nothing needed for this many applied items, at least.
        beginning: where it begins in its record logs, and behind which orders; None for their first entry, and none.
    """

    log_id: str
    generation: int
    partitions: int
    serving_partitions: int
    schema: Schema
    idle_items: int = IDLE_ITEMS
    bus: str = ""
    emission_version: int = EMISSION_VERSION
    beginning: Beginning | None = None

    def identity(self) -> dict[str, str | int]:
        """Return by name what another deployment's state differs in; schema and beginning go with the log id."""
        names = ("log_id", "generation", "partitions", "serving_partitions", "idle_items", "emission_version")
        return {name: getattr(self, name) for name in names}

    def begin(self, partition: int) -> int:
        """Return the position of a record partition's first entry that counts."""
        return 0 if self.beginning is None else self.beginning.positions[partition]

    @property
    def begins(self) -> list[int]:
        """What `begin` returns, of every record partition."""
        return [self.begin(p) for p in range(self.partitions)]

    @property
    def first_orders(self) -> tuple[ControlItem, ...]:
        """The orders that come before all entries of the logs."""
        return () if self.beginning is None else self.beginning.orders
