"""The service as real processes: `dgs up` and `dgs-loader` as users have them, started, killed and asked over loopback.

Every process that is started here is in a session of its own, so that `stop` finds all that is left of it; and the service ends
with the test's process, whatever becomes of that.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NamedTuple

from dgs.core.partition import partition_of

BIN = Path(sys.executable).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DGS_")}
START_S_MAX = 60.0
SUPERVISOR, FRONTEND, SAMPLER = "supervisor", "frontend", "sampler"


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def run(program: str, *arguments: object, cwd: Path, limit_s: float = 60.0) -> Ended:
    """Run `dgs` or `dgs-loader` to its end, with nothing of the caller's settings."""
    command = [str(BIN / program), *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        start_new_session=True,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def until(what: str, condition: Callable[[], object], limit_s: float = 30.0) -> None:
    """Wait for a condition; AssertionError when the time is over."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(0.02)


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
            role = SUPERVISOR if pid == session else next((r for r in (FRONTEND, SAMPLER) if r.encode() in arguments), "other")
            found[pid] = role
    return found


class Service:
    """One `dgs up` after the other over one data directory and one port.

    Args:
        folder: where the data directory, the log of all processes, and what loaders write are.
        arguments: of `dgs up`, besides port and data directory.
    """

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        self.arguments = arguments
        self.data_dir = folder / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "service.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._loaders: list[Loader] = []

    def start(self, *arguments: object, ready: bool = True) -> float:
        """Start `dgs up`, with other arguments where some are given; return after how many seconds it was ready."""
        assert self.process is None, "it runs"
        began = time.monotonic()
        command = [BIN / "dgs", "up", "--data-dir", self.data_dir, "--port", self.port, "--parent", os.getpid()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(a) for a in (*command, *(arguments or self.arguments))],
                cwd=self.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if ready:
            self.until_ready()
        return time.monotonic() - began

    def until_ready(self, limit_s: float = START_S_MAX) -> None:
        """Wait for /readyz."""
        deadline = time.monotonic() + limit_s
        while not self.answers("/readyz"):
            assert self.process is not None, "it was never started"
            assert self.process.poll() is None, f"dgs up ended with {self.process.returncode}: {self.said()}"
            assert time.monotonic() < deadline, f"not ready after {limit_s:g} s: {self.said()}"
            time.sleep(0.01)

    def answers(self, path: str) -> bool:
        """Whether a path answers 200 now."""
        try:
            return self.get(path, limit_s=2.0).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def said(self) -> str:
        """The end of what all processes of the service have written."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    # Processes -------------------------------------------------------------------------------------------------------------------

    def members(self) -> dict[int, str]:
        """Return the running processes by id, with their role."""
        assert self.process is not None, "it was never started"
        return members(self.process.pid)

    def pids(self, role: str) -> list[int]:
        """Return the ids of the processes of a role, ascending."""
        return sorted(pid for pid, found in self.members().items() if found == role)

    def kill(self, role: str, which: int = 0) -> None:
        """Kill -9 one child, as soon as there is one."""
        until(f"there is a {role}", lambda: len(self.pids(role)) > which)
        pid = self.pids(role)[which]
        os.kill(pid, signal.SIGKILL)
        until(f"the {role} is dead", lambda: pid not in self.members())

    def kill_supervisor(self) -> None:
        """Kill -9 the parent alone; its children have to follow by themselves."""
        assert self.process is not None, "it does not run"
        session = self.process.pid
        self.process.kill()
        self.process.wait()
        self.process = None
        until("the children died with the supervisor", lambda: not members(session), 5.0)

    def kill_all(self) -> None:
        """Kill -9 the whole process group at once."""
        assert self.process is not None, "it does not run"
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        session, self.process = self.process.pid, None
        until("all are dead", lambda: not members(session), 5.0)

    def terminate(self) -> int:
        """Stop with SIGTERM as a user does; return the exit status. Nothing of it may be left."""
        assert self.process is not None, "it does not run"
        session = self.process.pid
        self.process.terminate()
        code = self.process.wait(30)
        left = members(session)
        assert not left, f"still there after dgs up: {left}"
        self.process = None
        return code

    def stop(self) -> None:
        """Kill whatever is left of the service and its loaders."""
        for loader in self._loaders:
            loader.kill()
        if self.process is not None:
            self.kill_all()

    # Requests --------------------------------------------------------------------------------------------------------------------

    def get(self, path: str, limit_s: float = 30.0) -> Reply:
        """Ask for a path."""
        return self.request("GET", path, limit_s=limit_s)

    def request(self, method: str, path: str, body: bytes | None = None, *, limit_s: float = 30.0) -> Reply:
        """Send one request over a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit_s)) as connection:
            connection.request(method, path, body, {"content-type": "application/json"})
            with connection.getresponse() as answer:
                return Reply(answer.status, answer.read())

    def samples(self, vids: Iterable[int], query: str | None = None) -> list[dict[str, Any]]:
        """Return the answers for seeds, in their order."""
        body = {"vids": list(vids)} | ({} if query is None else {"query": query})
        reply = self.request("POST", "/samples", json.dumps(body).encode())
        assert reply.status == 200, reply.text
        found: list[dict[str, Any]] = reply.json()["samples"]
        return found

    def dgs(self, *arguments: object) -> Ended:
        """Run a command of `dgs` against this service."""
        return run("dgs", *arguments, "--server", self.url, cwd=self.folder)

    def wait(self, barrier: str, limit_s: float = 60.0) -> None:
        """Wait until a barrier is READY."""
        done = self.dgs("barrier", "wait", barrier, "--timeout", limit_s)
        assert (done.code, done.out) == (0, "READY\n"), f"{done.err}; {self.said()}"

    # Loading ---------------------------------------------------------------------------------------------------------------------

    def load(self, pattern: Path, data: Path, *flags: object) -> Ended:
        """Run `dgs-loader` over a file to its end, whatever that is."""
        return run("dgs-loader", *self._loading(pattern, data), *flags, cwd=self.folder)

    def begin_load(self, pattern: Path, *flags: object) -> "Loader":
        """Start a `dgs-loader` that takes lines as they are given to it."""
        loader = Loader([*self._loading(pattern, "-"), *map(str, flags)], self.folder)
        self._loaders.append(loader)
        return loader

    def _loading(self, pattern: Path, data: Path | str) -> list[str]:
        return ["--dgs-service-host", self.url, "--pattern-file", str(pattern), "--data-file", str(data)]


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
        try:
            self._input.close()
        except OSError:  # what was not flushed found nobody
            pass


class Watcher:
    """Asks for some seeds all the time, and keeps what must never go back: positions and watermarks, by serving partition."""

    def __init__(self, service: Service, vids: Iterable[int], serving_partitions: int = 2) -> None:
        self.seen = 0
        self.backward: list[str] = []
        self._service = service
        self._vids = list({partition_of(v, serving_partitions): v for v in vids}.values())
        self._last: dict[int, list[int]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            for vid in self._vids:
                try:
                    reply = self._service.get(f"/samples?vid={vid}", limit_s=2.0)
                except (OSError, http.client.HTTPException):
                    continue
                if reply.status == 200:
                    self._take(vid, reply.json())

    def _take(self, vid: int, answer: dict[str, Any]) -> None:
        now = [*answer["positions"], -(1 << 63) if answer["watermark"] is None else answer["watermark"]]
        before = self._last.get(vid, now)
        if any(a < b for a, b in zip(now, before, strict=True)):
            self.backward.append(f"seed {vid}: {before}, then {now}")
        self._last[vid] = now
        self.seen += 1
