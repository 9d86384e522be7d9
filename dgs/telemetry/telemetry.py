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
        counts_entries: whether positions on this bus, and so lags, count entries, as on Kafka, instead of bytes.
    """

    bus: Bus
    metrics: Metrics
    freshness: Freshness
    wall_clock: Callable[[], float]
    counts_entries: bool = False

    @classmethod
    def of(cls, bus: Bus, *, clock: Callable[[], float], wall_clock: Callable[[], float], counts_entries: bool = False) -> Self:
        """Return the sources of a process.

        Args:
            bus: its bus.
            clock: seconds that only grow.
            wall_clock: seconds since 1970.
            counts_entries: see there.
        """
        metrics = Metrics(clock=clock)
        freshness = Freshness(metrics.observe_freshness, clock=clock, wall_clock=wall_clock)
        return cls(bus, metrics, freshness, wall_clock, counts_entries)
