"""How one task tells others that a log has grown: a bell that any number of tasks can wait for.

It never carries data and never counts: who is woken looks for itself. The memory bus and the local bus ring it.
"""

import asyncio


class Wakeup:
    """A bell. Take `next_ring` *before* looking at the log: then no ring between the look and the wait is missed."""

    def __init__(self) -> None:
        self._ring: asyncio.Future[None] | None = None

    def next_ring(self) -> asyncio.Future[None]:
        """Return the future that the next `ring` resolves; all who wait share it, so nobody may cancel it."""
        if self._ring is None:
            self._ring = asyncio.get_running_loop().create_future()
        return self._ring

    def ring(self) -> None:
        """Wake all who wait now."""
        ring, self._ring = self._ring, None
        if ring is not None and not ring.done():
            ring.set_result(None)
