"""Reports: what a sampler partition tells the frontend about itself, about once a second while it changes.

Value and rhythm only. How reports travel is for others (`dgs.telemetry.report_files`), so that another way may carry the same ones.
A sampler worker runs a `Reporter`; the API reads what arrives.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import orjson

from dgs.telemetry import logs
from dgs.telemetry.figures import SamplerFigures

_log = logs.get(__name__)

REPORT_INTERVAL_S = 1.0
"""Between reports while something changes."""
HEARTBEAT_S = 2.0
"""Between reports while nothing does."""
STALE_AFTER_S = 6.0
"""A sampler whose last report is older is shown as down."""


@dataclass(frozen=True, slots=True)
class SamplerReport:
    """One report.

    Attributes:
        partition: of `record-batches`.
        pid: of the process that runs it.
        reported_ms: when, by that process's wall clock, in ms since 1970.
        records_per_second: applied, since the report before.
        figures: see there.
    """

    partition: int
    pid: int
    reported_ms: int
    records_per_second: float
    figures: SamplerFigures

    def to_json(self) -> bytes:
        """Return it as a JSON object."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read what `to_json` wrote; members that a newer program adds are left out.

        Raises:
            ValueError: it is something else.
        """
        document = orjson.loads(data)
        if not isinstance(document, dict) or not isinstance(document.get("figures"), dict):
            raise ValueError("not a report")
        figures = document["figures"]
        rejected = figures.get("rejected")
        if not isinstance(rejected, dict):
            raise ValueError("a report without `rejected`")
        counts = {name: _count(figures, name) for name in _COUNTS}
        by_reason = {str(reason): _count(rejected, reason) for reason in rejected}
        rate = document.get("records_per_second")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate >= 0:
            raise ValueError(f"a report with {rate!r} records per second")
        return cls(
            _count(document, "partition"),
            _count(document, "pid"),
            _count(document, "reported_ms"),
            float(rate),
            SamplerFigures(**counts, rejected=by_reason),
        )


_COUNTS = ("position", "committed", "records_applied", "duplicates", "gaps", "state_bytes")


def _count(document: dict[str, Any], name: str) -> int:
    value = document.get(name)
    if type(value) is not int or value < 0:
        raise ValueError(f"a report whose {name} is {value!r}")
    return value


class ReportSource(Protocol):
    """Where the frontend finds reports."""

    def latest(self, partition: int) -> SamplerReport | None:
        """Return the last report of a sampler partition, however old; None if there is none that can be read."""


class Reporter:
    """Makes the reports of one sampler partition.

    Args:
        partition: of `record-batches`.
        publish: sends a report on its way; an OSError of it is logged once, and the next report is tried all the same.
        clock: seconds that only grow.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        partition: int,
        publish: Callable[[SamplerReport], None],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._partition = partition
        self._publish = publish
        self._clock = clock
        self._wall_clock = wall_clock
        self._last: SamplerFigures | None = None
        self._last_rate = 0.0
        self._counted_at = self._published_at = clock()
        self._failing = False

    async def run(self, figures: Callable[[], SamplerFigures]) -> None:
        """Report until cancelled."""
        while True:
            self.tick(figures())
            await asyncio.sleep(REPORT_INTERVAL_S)

    def tick(self, figures: SamplerFigures) -> None:
        """Publish the figures of this moment if they say something new, or if it is time to say that they do not."""
        now, last = self._clock(), self._last
        applied = figures.records_applied - (last.records_applied if last is not None else figures.records_applied)
        # A partition that fell back to its last commit counts from 0 again.
        rate = max(0, applied) / max(now - self._counted_at, 1e-3)
        unchanged = figures == last and rate == self._last_rate
        self._last, self._last_rate, self._counted_at = figures, rate, now
        if unchanged and now - self._published_at < HEARTBEAT_S:
            return
        self._published_at = now
        report = SamplerReport(self._partition, os.getpid(), int(self._wall_clock() * 1000), round(rate, 1), figures)
        try:
            self._publish(report)
        except OSError as e:
            if not self._failing:
                _log.warning("reports cannot be published; the partition will be shown as down", partition=self._partition, cause=e)
            self._failing = True
        else:
            self._failing = False
