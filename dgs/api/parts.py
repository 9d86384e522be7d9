"""What the routes work on, put together once by `make_app`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dgs.api.dataplane import ServingPartition
from dgs.config import Settings
from dgs.coordinator.coordinator import Coordinator

Check = Callable[[], str | None]
"""Part of readiness: None when all is well, else the reason why not."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects behind the routes.

    Attributes:
        coordinator: takes orders.
        partitions: all serving partitions, in order.
        settings: limits.
        checks: further conditions of readiness, by name.
    """

    coordinator: Coordinator
    partitions: Sequence[ServingPartition]
    settings: Settings
    checks: Mapping[str, Check]
