"""Freshness of the last minute: every measurement is passed on, quantiles are of the window, clocks that disagree count as 0."""

import numpy as np
import pytest

from dgs.telemetry.freshness import SAMPLES_MOST, WINDOW_S, Freshness


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observed() -> list[float]:
    return []


@pytest.fixture
def freshness(clock: Clock, observed: list[float]) -> Freshness:
    return Freshness(observed.append, clock=clock, wall_clock=clock)


def test_nothing_measured_is_nothing(freshness: Freshness) -> None:
    assert freshness.summary() is None


def test_quantiles_are_those_of_what_was_measured(freshness: Freshness, observed: list[float]) -> None:
    seconds = np.random.default_rng(1).exponential(0.05, 500)
    for s in seconds:
        freshness.reflected(round(1000 * (1000 - s)))
    summary = freshness.summary()
    assert summary is not None
    assert summary.samples == len(observed) == 500
    assert np.allclose(observed, seconds, atol=1e-3)
    assert np.allclose((summary.p50, summary.p99), np.quantile(seconds, (0.5, 0.99)), atol=1e-3)


def test_what_is_older_than_the_window_is_forgotten(freshness: Freshness, clock: Clock) -> None:
    freshness.reflected(0)
    clock.now += WINDOW_S / 2
    freshness.reflected(int(clock.now * 1000))
    clock.now += WINDOW_S / 2 + 1
    assert freshness.summary() == (0, 0, 1)
    clock.now += WINDOW_S
    assert freshness.summary() is None


def test_an_append_in_the_future_counts_as_0(freshness: Freshness, observed: list[float]) -> None:
    freshness.reflected(2_000_000)
    assert observed == [0.0]


def test_of_a_busy_minute_the_latest_are_kept(freshness: Freshness) -> None:
    for ms in [0] * 10 + [1_000_000] * SAMPLES_MOST:
        freshness.reflected(ms)
    assert freshness.summary() == (0, 0, SAMPLES_MOST)
