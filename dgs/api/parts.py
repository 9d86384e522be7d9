"""What the routes work on, put together once by `make_app`."""

from collections.abc import Sequence
from dataclasses import dataclass

from dgs.api.dataplane import ServingPartition
from dgs.config import Settings
from dgs.coordinator.coordinator import Coordinator


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects behind the routes.

    Attributes:
        coordinator: takes orders.
        partitions: all serving partitions, in order.
        settings: limits.
    """

    coordinator: Coordinator
    partitions: Sequence[ServingPartition]
    settings: Settings
