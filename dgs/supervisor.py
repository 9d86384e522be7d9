"""The parent process of `dgs up`: starts the children, starts them again when they fail, stops them all.

The first child is the one that the others report to, so it is told to stop when they are gone: each can say there that it leaves.

It waits without polling, holds no data and imports none of the heavy libraries, so that it costs nothing while all is well. A child
says that starting it again is useless by exiting with FATAL, after it has printed why; then everything stops. Children stay in the
parent's process group, and die with it even when it is killed (see `die_with_parent`).
"""

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType

from dgs.backoff import Backoff

FATAL = 78
"""Exit status of a child that must not be started again (EX_CONFIG of sysexits.h)."""
BACKOFF_FIRST_S = 0.2
BACKOFF_LAST_S = 5.0
HEALTHY_AFTER_S = 10.0
"""A child that ran for so long begins again with the first back-off."""
STOP_WAIT_S = 10.0
"""How long children may take to stop after SIGTERM; then they are killed."""
EXIT_STATUS = {signal.SIGTERM: 0, signal.SIGINT: 130}
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Command:
    """What one child runs.

    Attributes:
        name: how messages call it.
        argv: the program and its arguments.
        descriptors: file descriptors that it inherits, under the same numbers.
        environment: its environment; None for the parent's.
    """

    name: str
    argv: Sequence[str]
    descriptors: Sequence[int] = ()
    environment: Mapping[str, str] | None = None


@dataclass(slots=True)
class _Child:
    command: Command
    process: subprocess.Popen[bytes] | None = None
    told_to_stop: bool = False
    started_at: float = 0.0
    start_at: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(BACKOFF_FIRST_S, BACKOFF_LAST_S))


@dataclass(slots=True)
class Supervisor:
    """Runs children until a signal or a fatal child ends all of them.

    Attributes:
        commands: the children, in the order in which they are started; the first one is stopped last.
        say: gets one line of talk for the user.
        ready: a descriptor that children write a byte into when they are ready for work; None for none.
        on_ready: called once for each such byte.
        stop_wait_s: how long they may take to stop; the first one is not left waiting for longer than half of it.
    """

    commands: Sequence[Command]
    say: Callable[[str], None]
    ready: int | None = None
    on_ready: Callable[[], None] = lambda: None
    stop_wait_s: float = STOP_WAIT_S
    _children: list[_Child] = field(init=False, default_factory=list)
    _status: int | None = field(init=False, default=None)
    _kill_at: float = field(init=False, default=0.0)

    def run(self) -> int:
        """Supervise until everything has stopped; return the exit status: 0 after SIGTERM, 130 after SIGINT, 1 after FATAL.

        Call it in the main thread.
        """
        self._children = [_Child(c) for c in self.commands]
        with ExitStack() as stack:
            signals = stack.enter_context(_signals(signal.SIGCHLD, *EXIT_STATUS))
            selector = stack.enter_context(selectors.DefaultSelector())
            stack.callback(self._kill)
            selector.register(signals, selectors.EVENT_READ)
            if self.ready is not None:
                selector.register(self.ready, selectors.EVENT_READ)
            while not self._step():
                for key, _ in selector.select(self._wait_s()):
                    if key.fileobj is signals:
                        for number in signals.recv(4096):
                            self._signalled(number)
                    elif news := os.read(key.fd, 4096):
                        for _ in news:
                            self.on_ready()
                    else:
                        selector.unregister(key.fd)
        assert self._status is not None, "stopped without a reason"
        return self._status

    def _step(self) -> bool:
        """Bury, start and kill what is due; return whether all is over."""
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._ended(child, child.process.returncode, now)
        if self._status is None:
            for child in self._children:
                if child.process is None and now >= child.start_at:
                    self._start(child, now)
            return False
        if now >= self._kill_at:
            self._kill()
        first, *others = self._children
        if now >= self._first_at or all(c.process is None for c in others):
            _terminate(first)
        return all(c.process is None for c in self._children)

    @property
    def _first_at(self) -> float:
        """When the first child is told to stop, whoever else is still there."""
        return self._kill_at - self.stop_wait_s / 2

    def _wait_s(self) -> float | None:
        """Seconds until something is due; None when only a signal can bring news."""
        if self._status is not None:
            # Killed children are due at once, and SIGCHLD tells when they are gone.
            next_at = self._kill_at if self._children[0].told_to_stop else self._first_at
            return None if self._kill_at == 0.0 else max(0.0, next_at - time.monotonic())
        due = [c.start_at for c in self._children if c.process is None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start(self, child: _Child, now: float) -> None:
        # A blocked signal stays blocked in the child: Ctrl-C reaches the whole process group, and stopping is the parent's order.
        child.started_at = now
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            child.process = subprocess.Popen(
                child.command.argv,
                stdin=subprocess.DEVNULL,
                pass_fds=tuple(child.command.descriptors),
                env=child.command.environment,
            )
        except OSError as e:
            self._again(child, f"cannot be started ({e})", now)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _ended(self, child: _Child, returncode: int, now: float) -> None:
        child.process = None
        if self._status is not None:
            return
        if returncode == FATAL:
            self.say(f"{child.command.name} cannot go on; stopping")
            self._stop(1)
        elif returncode < 0:
            self._again(child, f"was killed by {_signal_name(-returncode)}", now)
        else:
            self._again(child, f"ended with status {returncode}", now)

    def _again(self, child: _Child, how: str, now: float) -> None:
        if now - child.started_at >= HEALTHY_AFTER_S:
            child.backoff.reset()
        pause_s = child.backoff.next()
        self.say(f"{child.command.name} {how}; starting it again in {pause_s:g} s")
        child.start_at = now + pause_s

    def _signalled(self, number: int) -> None:
        if number not in EXIT_STATUS:
            return
        if self._status is None:
            self.say("stopping")
            self._stop(EXIT_STATUS[signal.Signals(number)])
        else:
            self._kill()

    def _stop(self, status: int) -> None:
        self._status = status
        self._kill_at = time.monotonic() + self.stop_wait_s
        for child in self._children[1:]:
            _terminate(child)

    def _kill(self) -> None:
        """Kill what still runs; SIGCHLD tells when it is gone."""
        alive = [c for c in self._children if c.process is not None and c.process.poll() is None]
        if alive and self._kill_at:
            self.say(f"killing {', '.join(c.command.name for c in alive)}")
        self._kill_at = 0.0
        for child in alive:
            assert child.process is not None, "alive without a process"
            child.process.kill()


def _terminate(child: _Child) -> None:
    """Send SIGTERM, once; a child that waits to be started again is not there to get it."""
    if child.process is not None and not child.told_to_stop:
        child.process.terminate()
    child.told_to_stop = True


def die_with_parent(parent: int) -> None:
    """Make this process be killed when its parent dies, however that happens. Call it first of all in a child.

    Args:
        parent: the process id of the parent.
    """
    if sys.platform == "linux":
        import ctypes  # here, as only children need it

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It died before the kernel was told.
        os._exit(1)


@contextmanager
def _signals(*numbers: signal.Signals) -> Iterator[socket.socket]:
    """Give a socket that receives one byte, the number, for every such signal. What the caller's parent ignores stays ignored."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = {n: signal.getsignal(n) for n in numbers}
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for n, handler in before.items():
            if handler is not signal.SIG_IGN or n is signal.SIGCHLD:
                signal.signal(n, _nothing)
        try:
            yield reader
        finally:
            for n, handler in before.items():
                signal.signal(n, handler)
            signal.set_wakeup_fd(wakeup)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal by having a handler: the byte in the wake-up socket says all."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
