"""What the routes work on, put together once by `make_app`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dgs.api.protocols import ServingPartition
from dgs.config import Settings
from dgs.coordinator.checkpoints import CheckpointCreator
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.membership import Membership
from dgs.core.egograph import Reflected
from dgs.membership.heartbeat import Heartbeat, News
from dgs.telemetry.figures import ServingTelemetry
from dgs.telemetry.telemetry import Telemetry


class SeenPartition(ServingTelemetry, Protocol):
    """A serving partition, here or elsewhere, that tells about itself; see `dgs.api.protocols.ServingPartition`."""

    @property
    def answers(self) -> bool:
        """Whether it may be asked."""

    @property
    def caught_up(self) -> bool:
        """Whether it has applied all that stood in its log when it started."""

    @property
    def barrier(self) -> int:
        """The id of the newest barrier before which everything is servable there; 0 before the first."""

    @property
    def behind_bytes(self) -> int:
        """How much of that it has not applied yet."""

    def reflected(self) -> Reflected:
        """Return what its answers reflect now."""


class Partition(ServingPartition, SeenPartition, Protocol):
    """A serving partition of this process: it answers requests and tells about itself."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects behind the routes of the control plane.

    Attributes:
        coordinator: takes orders.
        partitions: all serving partitions, in order.
        settings: limits.
        storage: tells what cannot be written at present, in words for people.
        telemetry: how the service fares.
        membership: who runs which partition.
        hear: takes a heartbeat and returns the news.
        checkpoints: creates them; None where there are none.
    """

    coordinator: Coordinator
    partitions: Sequence[SeenPartition]
    settings: Settings
    storage: Callable[[], Sequence[str]]
    telemetry: Telemetry
    membership: Membership
    hear: Callable[[Heartbeat], News]
    checkpoints: CheckpointCreator | None = None
