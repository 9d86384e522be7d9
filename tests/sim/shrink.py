"""Makes a history that fails smaller, as long as it fails: fewer faults, fewer steps, fewer records."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from tests.sim.history import Script, run
from tests.sim.workload import Load, Step

T = TypeVar("T")

RUNS_MOST = 400
"""Of smaller histories that are tried."""


def shrunk(script: Script, runs_most: int = RUNS_MOST) -> Script:
    """Return a smaller history that fails, too, though not necessarily in the same way; always the same one."""
    shrinking = _Shrinking(script, runs_most)
    while shrinking.round():
        pass
    return shrinking.best


class _Shrinking:
    """Attempts at smaller histories.

    Attributes:
        best: the smallest that has failed so far.
    """

    def __init__(self, script: Script, runs_left: int) -> None:
        self.best = script
        self._runs_left = runs_left

    def round(self) -> bool:
        """Try to leave out everything once; return whether another round may find more."""
        before = self.best
        self._fewer(self.best.faults, lambda kept: replace(self.best, faults=kept))
        self._fewer(self.best.workload.steps, self._with_steps)
        for i, step in enumerate(self.best.workload.steps):
            if isinstance(step, Load):
                self._fewer_records(i, step)
        return self.best != before and self._runs_left > 0

    def _fewer_records(self, i: int, step: Load) -> None:
        steps = self.best.workload.steps
        self._fewer(step.raws, lambda kept: self._with_steps((*steps[:i], replace(step, raws=kept), *steps[i + 1 :])))

    def _with_steps(self, steps: tuple[Step, ...]) -> Script:
        return replace(self.best, workload=replace(self.best.workload, steps=steps))

    def _fewer(self, things: tuple[T, ...], script: Callable[[tuple[T, ...]], Script]) -> None:
        """Leave out as many as possible, large runs of them first."""
        for size in _sizes(len(things)):
            at = 0
            while at < len(things) and self._runs_left > 0:
                fewer = things[:at] + things[at + size :]
                smaller = script(fewer)
                self._runs_left -= 1
                try:
                    run(smaller)
                    at += size
                except Exception:
                    self.best, things = smaller, fewer


def _sizes(count: int) -> Iterator[int]:
    while count:
        yield count
        count //= 2
