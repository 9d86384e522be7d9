"""Back-pressure: a loader pauses while the service is too far behind, so that the logs do not fill with what nobody can see yet.

The service says how far it is behind and how far it may be; machines never wait for each other, only loaders do. It is asked about
once a second, beside the load and never for every batch, so a fast load may overshoot by what it sends in a second. A service that
cannot be asked stops nobody. The sender asks for leave here; nothing here sends records.
"""

import asyncio
import time
from collections.abc import Callable, Collection

from dgs.core.errors import DgsError
from dgs_loader.service import Lag

ASK_INTERVAL_S = 1.0
RESUME_AT = 0.75
"""Of the limit: a paused load goes on below it, so that it does not stutter."""


class BackPressure:
    """Gives one load leave to go on.

    Args:
        ask: asks the service; called in a thread, one call at a time.
        waiting: told again and again during a pause, with how much the service is behind, and in which unit.
        tell: told once if the service cannot be asked.
        interval_s: between questions, at least.
        clock: seconds that only grow.

    Attributes:
        waited_s: how long this load has paused so far.
    """

    def __init__(
        self,
        ask: Callable[[], Lag],
        *,
        waiting: Callable[[int, str], None],
        tell: Callable[[str], None],
        interval_s: float = ASK_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waited_s = 0.0
        self._ask = ask
        self._waiting = waiting
        self._tell = tell
        self._interval_s = interval_s
        self._clock = clock
        self._lag: Lag | None = None
        self._asked_at = -interval_s
        self._asking: asyncio.Task[None] | None = None
        self._paused = False
        self._told = False

    async def room(self, partitions: Collection[int]) -> bool:
        """Return when records may be appended to these record partitions: mostly at once, after a look at the last answer.

        Returns:
            Whether that was after a pause.
        """
        before = self.waited_s
        if self._asking is None or (self._asking.done() and self._clock() >= self._asked_at + self._interval_s):
            first, self._asking = self._asking is None, asyncio.create_task(self._refresh())
            if first:
                await self._asking  # nothing is known yet
        while behind := self._too_far(partitions):
            began = self._clock()
            self._waiting(behind, self._lag.unit if self._lag is not None else "bytes")
            await asyncio.sleep(self._interval_s)
            if self._asking.done():
                self._asking = asyncio.create_task(self._refresh())
            await self._asking
            self.waited_s += self._clock() - began
        return self.waited_s > before

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _too_far(self, partitions: Collection[int]) -> int:
        """Return how much the service is behind in one of the partitions, if that is more than it may be, else 0."""
        lag = self._lag
        if lag is None or not lag.most:
            self._paused = False
            return 0
        behind = max((lag.behind[p] for p in partitions if p < len(lag.behind)), default=0)
        self._paused = behind > lag.most * (RESUME_AT if self._paused else 1)
        return behind if self._paused else 0

    async def _refresh(self) -> None:
        self._asked_at = self._clock()
        try:
            self._lag = await asyncio.to_thread(self._ask)
        except DgsError as e:
            self._lag = None
            if not self._told:
                self._told = True
                self._tell(f"warning: the service does not say how far it is behind ({e}); loading on without waiting for it")
