"""Where the API learns how its process fares, besides asking its parts: put together once by the process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from dgs.bus.base import Bus
from dgs.telemetry.freshness import Freshness
from dgs.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The sources.

    Attributes:
        bus: for the ends of its logs.
        metrics: of this process.
        freshness: as serving partitions measure it.
        wall_clock: seconds since 1970.
    """

    bus: Bus
    metrics: Metrics
    freshness: Freshness
    wall_clock: Callable[[], float]

    @classmethod
    def of(cls, bus: Bus, *, clock: Callable[[], float], wall_clock: Callable[[], float]) -> Self:
        """Return the sources of a process.

        Args:
            bus: its bus.
            clock: seconds that only grow.
            wall_clock: seconds since 1970.
        """
        metrics = Metrics(clock=clock)
        return cls(bus, metrics, Freshness(metrics.observe_freshness, clock=clock, wall_clock=wall_clock), wall_clock)
