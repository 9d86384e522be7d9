"""An event loop with a clock of its own: nothing sleeps, time jumps to the next timer, and one seed gives one history.

All runs in one thread. What asks for a thread (`asyncio.to_thread`) is run in line, as the process that asks wants it, see
`dgs.testing.process`. A loop on which nothing is left to wait for ends with an error instead of standing still.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, TypeVar, TypeVarTuple

from dgs.testing.process import ANY, Life, life_of, running_life

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StandstillError(AssertionError):
    """Nothing is ready, no timer runs: whatever is awaited never comes."""


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. Tasks belong to the process in whose context they are made, and die with it.

    Callbacks that are ready and timers are its own affair: there is nothing to select from, and what is left of the loop's work is
    little enough to be quick.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_numbers = itertools.count()
        self.set_task_factory(_task)

    def time(self) -> float:
        """Return the seconds that have passed in this loop's world."""
        return self._now_s

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        """See `AbstractEventLoop.call_soon`."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `AbstractEventLoop.call_later`."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `AbstractEventLoop.call_at`; of two for one time, the earlier one is called first."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._timer_numbers), timer))
        return timer

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Run a blocking function in line, after a pause; CancelledError where its process dies before that."""
        done: asyncio.Future[T] = self.create_future()
        life = running_life()
        self.call_later(life.disk_s() if life is not None else 0.0, _in_line, done, life, func, args)
        return done

    def close(self) -> None:
        """Forget what it has not come to."""
        super().close()
        self._timers.clear()

    def _run_once(self) -> None:
        """Call what is ready, after time has passed if nothing is; `run_forever` asks for it again and again."""
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not ready:
            if not timers:
                raise StandstillError("nothing is left to wait for")
            self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It goes when its time has come."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


def _in_line(done: "asyncio.Future[T]", life: Life | None, func: Callable[..., T], args: tuple[Any, ...]) -> None:
    if done.done():
        return
    try:
        result = func(*args)
        if life is not None:
            life.touch(ANY)
    except asyncio.CancelledError:
        done.cancel()
    except Exception as e:
        done.set_exception(e)
    else:
        done.set_result(result)


def _task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], *, context: Context | None = None
) -> "asyncio.Task[T]":
    task: asyncio.Task[T] = asyncio.Task(coro, loop=loop, context=context)
    if (life := life_of(context)) is not None:
        life.adopt(task)
    return task
