"""A limit of real time for what goes on in virtual time: a history that goes round in circles fails instead of staying for ever."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.sim.invariants import ViolationError

MOST_S = 30.0
"""Of real time; a history takes a fraction of a second."""


@contextmanager
def watched(most_s: float = MOST_S) -> Iterator[None]:
    """Have a block that does not end in time end with a ViolationError; in the main thread of a process only."""
    barked = False

    def bark(*_: object) -> None:
        nonlocal barked
        barked = True
        raise KeyboardInterrupt  # as nothing else gets through an event loop and whatever tries again

    handler = signal.signal(signal.SIGALRM, bark)
    timer = signal.setitimer(signal.ITIMER_REAL, most_s)
    try:
        yield
    except KeyboardInterrupt:
        if not barked:
            raise
        raise ViolationError(f"no end after {most_s:g} s of real time") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
