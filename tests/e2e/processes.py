"""Commands as real processes, each in a session of its own, and what /proc tells about those that belong together."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

BIN = Path(sys.executable).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DGS_")}
SUPERVISOR, FRONTEND, SAMPLER = "supervisor", "frontend", "sampler"
COORDINATOR, SERVE = "coordinator", "serve"
ROLES = (FRONTEND, SAMPLER, COORDINATOR, SERVE)


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


def run(program: str, *arguments: object, cwd: Path, limit_s: float = 60.0, settings: Mapping[str, str] | None = None) -> Ended:
    """Run `dgs` or `dgs-loader` to its end, with these environment variables and nothing of the caller's settings."""
    command = [str(BIN / program), *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT | dict(settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        start_new_session=True,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def gone(pid: int) -> bool:
    """Return whether a process has ended, whether it is buried or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def until(what: str, condition: Callable[[], object], limit_s: float = 30.0) -> None:
    """Wait for a condition; AssertionError when the time is over."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(0.02)


@contextmanager
def paused(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes with SIGSTOP for the length of a block."""
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def free_port() -> int:
    """Return a port below those that outgoing connections take, so that it is still free when the service starts again."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def members(session: int) -> dict[int, str]:
    """Return the processes of a session, by id, with their role; those that only wait to be buried are left out."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, _, sid, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # gone meanwhile
            continue
        if int(sid) == session and state != "Z":
            pid = int(folder.name)
            found[pid] = SUPERVISOR if pid == session else next((r for r in ROLES if r.encode() in arguments), "other")
    return found


class Loader:
    """A `dgs-loader` that reads what `feed` gives to it, until `finish`."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.log = folder / f"loader-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(BIN / "dgs-loader"), *arguments],
                cwd=folder,
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdin is not None, "a pipe was asked for"
        self._input: IO[bytes] = self._process.stdin
        self._feeder: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def fed(self) -> bool:
        """Whether all lines are given to it, or it is dead."""
        return self._feeder is None or not self._feeder.is_alive()

    def feed(self, lines: Sequence[str], seconds: float) -> None:
        """Give lines to it, evenly over some seconds, while the caller goes on."""
        self._feeder = threading.Thread(target=self._feed, args=(lines, seconds), daemon=True)
        self._feeder.start()

    def _feed(self, lines: Sequence[str], seconds: float) -> None:
        turns = max(1, int(seconds / 0.02))
        size = -(-len(lines) // turns)
        began = time.monotonic()
        try:
            for turn in range(turns):
                self._input.write("".join(lines[turn * size : (turn + 1) * size]).encode())
                self._input.flush()
                time.sleep(max(0.0, began + (turn + 1) * seconds / turns - time.monotonic()))
        except (OSError, ValueError):  # it died
            pass

    def finish(self, limit_s: float = 90.0) -> Ended:
        """End its input once all lines are given, and wait for its end."""
        if self._feeder is not None:
            self._feeder.join(limit_s)
        self._close_input()
        code = self._process.wait(limit_s)
        text = self.log.read_text(errors="replace")
        return Ended(code, text, text)

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()
        if self._feeder is not None:
            self._feeder.join(10)
        self._close_input()

    def _close_input(self) -> None:
        with suppress(OSError):  # what was not flushed found nobody
            self._input.close()
