"""Pauses between attempts at something that fails: each twice as long as the one before, up to a limit.

It never sleeps and knows no clock: whoever tries again waits, in the way that suits it. Loops that retry have one each, those of
the client and the loader too.
"""


class Backoff:
    """The pauses of one loop."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def next(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._most_s)
        return pause_s

    def reset(self) -> None:
        """Begin again with the first pause, as what was tried went well."""
        self._next_s = self._first_s
