"""An event loop with a clock of its own: nothing sleeps, time jumps to the next timer, and one seed gives one history.

All runs in one thread. What asks for a thread (`asyncio.to_thread`) is run in line, as the process that asks wants it, see
`dgs.testing.process`. A loop on which nothing is left to wait for ends with an error instead of standing still.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from dgs.testing.process import ANY, life_of, running_life

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StandstillError(AssertionError):
    """Nothing is ready, no timer runs: whatever is awaited never comes."""


class _Waits:
    """What the event loop waits with, in place of the system's selector: the wait is over at once, and time has passed."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass."""
        if timeout is None:
            raise StandstillError("nothing is left to wait for")
        self.now_s += max(timeout, 0.0)
        return []

    def close(self) -> None:
        """There is nothing to release."""


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. Tasks belong to the process in whose context they are made, and die with it."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Waits()
        self.set_task_factory(_task)

    def time(self) -> float:
        """Return the seconds that have passed in this loop's world."""
        return self._selector.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Run a blocking function in line, after a pause."""
        return self.create_task(_in_line(func, *args))

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


async def _in_line(func: Callable[[*Ts], T], *args: *Ts) -> T:
    life = running_life()
    if life is not None:
        await life.disk()
    try:
        return func(*args)
    finally:
        if life is not None:
            life.touch(ANY)


def _task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], *, context: Context | None = None
) -> "asyncio.Task[T]":
    task: asyncio.Task[T] = asyncio.Task(coro, loop=loop, context=context)
    if (life := life_of(context)) is not None:
        life.adopt(task)
    return task
