"""Freshness as it was in the last minute: how long updates took from their append to being servable.

Serving workers tell it when a note moves what they reflect; `/cluster` shows the quantiles. Wall clocks of two hosts may disagree:
a time in the future counts as 0 s, and a difference between the clocks adds to, or takes from, everything that is measured.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

WINDOW_S = 60.0
SAMPLES_MOST = 8192
"""That are kept; of a busier minute, the latest."""


class FreshnessSummary(NamedTuple):
    """Quantiles in seconds, and of how many measurements."""

    p50: float
    p99: float
    samples: int


class Freshness:
    """Measures, and remembers the last minute.

    Args:
        observe: gets every measurement, in seconds.
        clock: seconds that only grow.
        wall_clock: seconds since 1970.
    """

    def __init__(self, observe: Callable[[float], None], *, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._observe = observe
        self._clock = clock
        self._wall_clock = wall_clock
        self._at = np.full(SAMPLES_MOST, -np.inf)
        self._seconds = np.zeros(SAMPLES_MOST)
        self._next = 0

    def reflected(self, appended_ms: int) -> None:
        """Take note that an entry that was appended then (ms since 1970) is reflected from now on."""
        seconds = max(0.0, self._wall_clock() - appended_ms / 1000)
        self._observe(seconds)
        self._at[self._next], self._seconds[self._next] = self._clock(), seconds
        self._next = (self._next + 1) % SAMPLES_MOST

    def summary(self) -> FreshnessSummary | None:
        """Return the last minute; None if nothing was measured in it."""
        recent = self._seconds[self._at >= self._clock() - WINDOW_S]
        if not len(recent):
            return None
        p50, p99 = np.quantile(recent, (0.5, 0.99)).tolist()
        return FreshnessSummary(p50, p99, len(recent))
