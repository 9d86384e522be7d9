"""Where the API learns how the service fares, besides asking its parts: put together once by the frontend's process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dgs.bus.base import Bus
from dgs.telemetry.dead_letters import DeadLetterCount
from dgs.telemetry.freshness import Freshness
from dgs.telemetry.metrics import Metrics
from dgs.telemetry.report_files import ReportFiles
from dgs.telemetry.reports import ReportSource


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The sources.

    Attributes:
        bus: for the ends of its logs.
        reports: of samplers.
        metrics: of this process.
        freshness: as serving partitions measure it.
        dead_letters: how many entries were passed over since the deployment's beginning; OSError where that cannot be told.
        wall_clock: seconds since 1970.
    """

    bus: Bus
    reports: ReportSource
    metrics: Metrics
    freshness: Freshness
    dead_letters: Callable[[], int]
    wall_clock: Callable[[], float]

    @classmethod
    def of(
        cls, bus: Bus, reports: Path, dead_letters: Path, *, clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> Self:
        """Return the sources of a deployment on one host.

        Args:
            bus: its bus.
            reports: folder in which samplers leave their reports.
            dead_letters: folder in which workers keep what they passed over.
            clock: seconds that only grow.
            wall_clock: seconds since 1970.
        """
        metrics = Metrics(clock=clock)
        freshness = Freshness(metrics.observe_freshness, clock=clock, wall_clock=wall_clock)
        return cls(bus, ReportFiles(reports), metrics, freshness, DeadLetterCount(dead_letters), wall_clock)
