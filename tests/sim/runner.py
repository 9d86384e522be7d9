"""Runs many histories, in as many processes as there are cores, and ends with one line of counts."""

import itertools
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator

from dgs.warming import warm_kernels
from tests.sim.history import Outcome, run, script
from tests.sim.report import Tally, explain

Found = tuple[int, Outcome | str]
"""A seed and what its history was like, or what does not hold in it."""
PROGRESS_S = 60.0


def fresh_seed() -> int:
    """Return a seed that nobody has tried, as far as chance can tell."""
    return int.from_bytes(os.urandom(4), "little")


def get_ready() -> None:
    """Prepare a process for many histories."""
    logging.disable(logging.CRITICAL)
    warm_kernels()


def tried(seed: int) -> Found:
    """Run the history of a seed."""
    try:
        return seed, run(script(seed))
    except Exception as e:
        return seed, f"{type(e).__name__}: {e}"


def simulate(seeds: Iterable[int], *, jobs: int, tell: Callable[[str], None], until: Callable[[], bool] = lambda: False) -> bool:
    """Run histories until the seeds are used up, `until` says so, or one fails; return whether none did.

    Args:
        seeds: in the order in which they are begun.
        jobs: processes.
        tell: gets the report, and before it what is done once a minute.
        until: whether to begin no more.
    """
    began, tally, failed = time.monotonic(), Tally(), None
    told = began
    for seed, outcome in _found(itertools.takewhile(lambda _: not until(), seeds), jobs):
        if isinstance(outcome, str):
            failed = seed, outcome
            break
        tally.add(outcome)
        if time.monotonic() >= told + PROGRESS_S:
            told = time.monotonic()
            tell(f"{tally.histories} histories after {told - began:.0f} s")
    if failed is not None:
        get_ready()
        tell(explain(*failed))
    tell(tally.line(int(failed is not None), time.monotonic() - began))
    return failed is None


def _found(seeds: Iterator[int], jobs: int) -> Iterator[Found]:
    if jobs == 1:
        get_ready()
        yield from map(tried, seeds)
        return
    with multiprocessing.Pool(jobs, get_ready) as pool:
        while batch := list(itertools.islice(seeds, 16 * jobs)):
            yield from pool.imap(tried, batch)
