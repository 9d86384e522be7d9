"""What the routes work on, put together once by `make_app`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dgs.api.dataplane import ServingPartition
from dgs.config import Settings
from dgs.coordinator.checkpoints import CheckpointCreator
from dgs.coordinator.coordinator import Coordinator
from dgs.telemetry.figures import ServingTelemetry
from dgs.telemetry.telemetry import Telemetry


class Partition(ServingPartition, ServingTelemetry, Protocol):
    """A serving partition that answers requests and tells about itself."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects behind the routes.

    Attributes:
        coordinator: takes orders.
        partitions: all serving partitions, in order.
        settings: limits.
        storage: tells what cannot be written at present, in words for people.
        telemetry: how the service fares.
        checkpoints: creates them; None where there are none.
    """

    coordinator: Coordinator
    partitions: Sequence[Partition]
    settings: Settings
    storage: Callable[[], Sequence[str]]
    telemetry: Telemetry
    checkpoints: CheckpointCreator | None = None
