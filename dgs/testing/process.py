"""Processes of a simulated deployment, which pause, lag, die at any point of their work, and live again.

Whatever a process does to the world outside (logs, stores, files) goes through points. At each a seeded time passes, and a fault
may kill the process: just before it acts, or when it has acted and does not know it yet. A killed process acts no more. Its tasks
unwind, as Python makes them, but nothing that they do then gets out.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

_LIFE: ContextVar["Life | None"] = ContextVar("life", default=None)

ANY, APPEND, COMMIT, SYNC = "any", "append", "commit", "sync"
KINDS = (ANY, APPEND, COMMIT, SYNC)
"""Points at which a process waits; before and after an append, or a commit, takes effect; in the middle of the write of a file."""
DELAY_S, LONG_DELAY_S, LONG_SHARE = 0.002, 0.15, 0.03
"""At a point so much time passes at most; or, at this share of all points, up to the long one."""
WORK_S = 0.0004
"""Between two looks at a clock up to so much time passes."""


def running_life() -> "Life | None":
    """Return the life of the process that runs now; None outside of all."""
    return _LIFE.get()


def life_of(context: Context | None) -> "Life | None":
    """Return the life that a context, or the current one, belongs to."""
    return _LIFE.get() if context is None else context.get(_LIFE)


class SimProcess:
    """One process, over all its lives.

    Args:
        name: tells it from others, and seeds what happens to it by chance.
        seed: of the history.

    Attributes:
        life: the present one, None while it is dead.
        passed: how many points of each kind it has passed in all its lives.
        crash_points: by kind, at which it dies, and in how many seconds which other process dies, too.
        appends_fail_until_s: until then most of its appends fail; see `dgs.testing.bus`.
        refusals: so many of the next writes to its disk are refused.
        paused_until_s: until then it does nothing.
        slowness: by how much its delays are longer.
        append_s: so much longer an append may take.
        disk_s: so long a file operation may take.
        skew_s: how far its clock is ahead.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.random = random.Random(f"{seed}/{name}")
        self.life: Life | None = None
        self.passed = dict.fromkeys(KINDS, 0)
        self.crash_points: dict[str, dict[int, tuple[float, SimProcess] | None]] = {kind: {} for kind in KINDS}
        self.appends_fail_until_s = 0.0
        self.refusals = 0
        self.paused_until_s = 0.0
        self.slowness = 1.0
        self.append_s = self.random.choice((0.0, 0.0, 0.01, 0.05, 0.15))
        self.disk_s = self.random.choice((0.0001, 0.0005, 0.005))
        self.skew_s = 0.0

    def start(self, main: "Callable[[Life], Coroutine[Any, Any, None]]") -> "Life":
        """Begin a life whose work is `main`."""
        assert self.life is None, f"{self.name} lives already"
        self.life = Life(self)
        self.life.run(main)
        return self.life

    def kill(self) -> None:
        """End the present life, if there is one."""
        if self.life is not None:
            self.life.kill()

    def clock(self) -> float:
        """Return what this process takes for the time, in seconds; it goes on while the process computes."""
        self.skew_s += self.random.random() * WORK_S
        return asyncio.get_running_loop().time() + self.skew_s

    def delay_s(self) -> float:
        """Return how long the next point takes."""
        most = LONG_DELAY_S if self.random.random() < LONG_SHARE else DELAY_S
        return self.random.random() * most * self.slowness

    def refused(self) -> bool:
        """Whether the disk refuses the write that is about to happen."""
        if not self.refusals:
            return False
        self.refusals -= 1
        return True


class Life:
    """One life of a process: what runs in it, until it dies.

    Attributes:
        alive: whether it can still act.
        ended: done when it is over; with an exception where its work has failed.
    """

    def __init__(self, process: SimProcess) -> None:
        self.process = process
        self.alive = True
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[Any]] = []
        self._context = copy_context()
        self._context.run(_LIFE.set, self)

    def run(self, main: "Callable[[Life], Coroutine[Any, Any, None]]") -> None:
        """Do the work of this life."""
        self.spawn(main(self)).add_done_callback(self._done)

    def spawn(self, coro: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run something in this process."""
        return asyncio.get_running_loop().create_task(coro, context=self._context)

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Take note of a task of this process."""
        if self.alive:
            self._tasks.append(task)
        else:
            task.cancel()

    def kill(self) -> None:
        """End it: from now on nothing of it acts."""
        if not self.alive:
            return
        self.alive, self.process.life = False, None
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        if not self.ended.done():
            self.ended.set_result(None)

    async def point(self) -> None:
        """Let time pass; the process may die here."""
        self.touch(ANY)
        await asyncio.sleep(self.process.delay_s())
        loop = asyncio.get_running_loop()
        while self.process.paused_until_s > loop.time():  # noqa: ASYNC110 -- its end may be put off
            await asyncio.sleep(self.process.paused_until_s - loop.time())

    def disk_s(self) -> float:
        """Return how long the disk is to be waited for; the process may die here, CancelledError."""
        self.touch(ANY)
        paused_s = max(0.0, self.process.paused_until_s - asyncio.get_running_loop().time())
        return paused_s + self.process.random.random() * self.process.disk_s * self.process.slowness

    def touch(self, kind: str) -> None:
        """Pass a point of a kind in no time.

        Raises:
            CancelledError: the process is dead, or dies here.
        """
        if self.alive:
            process = self.process
            process.passed[kind] += 1
            if process.passed[kind] not in process.crash_points[kind]:
                return
            self.kill()
            if along := process.crash_points[kind][process.passed[kind]]:
                after_s, other = along
                asyncio.get_running_loop().call_later(after_s, other.kill)
        raise asyncio.CancelledError

    def _done(self, main: "asyncio.Task[None]") -> None:
        failure = None if main.cancelled() else main.exception()
        if self.alive and not self.ended.done():
            if failure is not None:
                self.ended.set_exception(failure)
            else:
                self.ended.set_result(None)
        self.kill()
