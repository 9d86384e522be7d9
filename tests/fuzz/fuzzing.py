"""Runs a check over generated examples: always the same ones, or fresh ones for a share of the time that there is.

`FUZZ_SECONDS` is the time for all fresh runs together, `FUZZ_SEED` the seed of the first round of each. A failure says how to meet
it again; what is found is shrunk by Hypothesis.
"""

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")

SECONDS = float(os.environ.get("FUZZ_SECONDS", "25"))
SEED = int(os.environ.get("FUZZ_SEED") or int.from_bytes(os.urandom(4), "little"))
_PHASES = (Phase.generate, Phase.shrink)


@dataclass(frozen=True, slots=True)
class Fuzzer:
    """One run of one target.

    Attributes:
        fresh: whether examples are new ones.
        seconds: how long a fresh run goes on; a round that has begun is completed.
        target: how pytest names the test.
    """

    fresh: bool
    seconds: float
    target: str

    def run(self, check: Callable[[T], None], examples: st.SearchStrategy[T], *, count: int) -> None:
        """Check `count` examples, which should take a second or two; a fresh run does so again and again."""
        if not self.fresh:
            self._round(check, examples, count, None)
            return
        end = time.monotonic() + self.seconds
        for number in itertools.count(SEED):
            try:
                self._round(check, examples, count, number)
            except BaseException as e:
                e.add_note(f"meet it again: FUZZ_SEED={number} FUZZ_SECONDS=1 .venv/bin/pytest '{self.target}'")
                raise
            if time.monotonic() >= end:
                return

    def _round(self, check: Callable[[T], None], examples: st.SearchStrategy[T], count: int, number: int | None) -> None:
        @settings(
            max_examples=count,
            derandomize=number is None,
            database=None,
            deadline=None,
            phases=_PHASES,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @given(examples)
        def examine(example: T) -> None:
            try:
                check(example)
            except Exception as e:
                e.add_note(f"the example: {repr(example)[:3000]}")
                raise

        if number is not None:
            examine = seed(number)(examine)
        examine()
