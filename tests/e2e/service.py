"""The service as real processes: `dgs up` and `dgs-loader` as users have them, started, killed and asked over loopback.

Every process that is started here is in a session of its own, so that `stop` finds all that is left of it; and the service ends
with the test's process, whatever becomes of that.
"""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tests.e2e.processes import BIN, ENVIRONMENT, Ended, Loader, free_port, members, run, until

START_S_MAX = 60.0


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """One `dgs up`, or whatever else `COMMAND` is, after the other over one data directory and one port.

    Args:
        folder: where the data directory, the log of all processes, and what loaders write are.
        arguments: of `dgs up`, besides port and data directory.
    """

    COMMAND: ClassVar[tuple[str, ...]] = ("up",)

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        self.arguments = arguments
        self.data_dir = folder / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "service.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._loaders: list[Loader] = []
        self._sessions: list[int] = []

    def start(self, *arguments: object, ready: bool = True) -> float:
        """Start `dgs up`, with other arguments where some are given; return after how many seconds it was ready."""
        assert self.process is None, "it runs"
        began = time.monotonic()
        command = [BIN / "dgs", *self.COMMAND, "--data-dir", self.data_dir, "--port", self.port, "--parent", os.getpid()]
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
        self._sessions.append(self.process.pid)
        if ready:
            self.until_ready()
        return time.monotonic() - began

    def until_ready(self, limit_s: float = START_S_MAX) -> None:
        """Wait for /readyz, and until it says no more that the service catches up."""
        deadline = time.monotonic() + limit_s
        while not self.caught_up():
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

    def caught_up(self) -> bool:
        """Whether the service is ready, and has read again what stood in its logs when it started."""
        try:
            reply = self.get("/readyz", limit_s=2.0)
        except (OSError, http.client.HTTPException):
            return False
        return reply.status == 200 and "catching_up" not in reply.json()

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
        self.process.kill()
        self.ended()

    def kill_all(self) -> None:
        """Kill -9 the whole process group at once."""
        assert self.process is not None, "it does not run"
        os.killpg(self.process.pid, signal.SIGKILL)
        self.ended()

    def terminate(self) -> int:
        """Stop with SIGTERM as a user does; return the exit status.

        Children have to be gone before the parent is, unless the signal itself ended it; then they follow.
        """
        assert self.process is not None, "it does not run"
        self.process.terminate()
        if self.process.wait(30) >= 0:
            left = self.members()
            assert not left, f"still there after dgs up: {left}"
        return self.ended()

    def ended(self) -> int:
        """Wait for the end of the parent, which somebody has told to end, and of its children; return its exit status."""
        assert self.process is not None, "it was never started"
        session, code = self.process.pid, self.process.wait(30)
        self.process = None
        until("the children died with the supervisor", lambda: not members(session), 5.0)
        self._sessions.remove(session)  # its number may be another's from now on
        return code

    def stop(self) -> None:
        """Kill whatever is left of the service and its loaders, whatever the test has made of them."""
        for loader in self._loaders:
            loader.kill()
        for session in self._sessions:
            for pid in members(session):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None
        until("nothing is left", lambda: not any(map(members, self._sessions)), 5.0)
        self._sessions.clear()

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

    def dgs(self, *arguments: object, limit_s: float = 60.0) -> Ended:
        """Run a command of `dgs` against this service."""
        return run("dgs", *arguments, "--server", self.url, cwd=self.folder, limit_s=limit_s)

    def wait(self, barrier: str, limit_s: float = 60.0) -> None:
        """Wait until a barrier is READY."""
        done = self.dgs("barrier", "wait", barrier, "--timeout", limit_s, limit_s=limit_s + 20)
        assert (done.code, done.out) == (0, "READY\n"), f"{done.err}; {self.said()}"

    # Loading ---------------------------------------------------------------------------------------------------------------------

    def load(self, pattern: Path, data: Path, *flags: object) -> Ended:
        """Run `dgs-loader` over a file to its end, whatever that is."""
        return run("dgs-loader", *self._loading(pattern, data), *flags, cwd=self.folder)

    def load_lines(self, pattern: Path, lines: Iterable[str], barrier: str) -> None:
        """Load lines with a barrier behind them, and wait until they are servable."""
        data = self.folder / f"{barrier}.data"
        data.write_text("".join(lines))
        ended = self.load(pattern, data, "--barrier", barrier)
        assert ended.code == 0, ended.err
        self.wait(barrier)

    def begin_load(self, pattern: Path, *flags: object) -> Loader:
        """Start a `dgs-loader` that takes lines as they are given to it."""
        loader = Loader([*self._loading(pattern, "-"), *map(str, flags)], self.folder)
        self._loaders.append(loader)
        return loader

    def _loading(self, pattern: Path, data: Path | str) -> list[str]:
        return ["--dgs-service-host", self.url, "--pattern-file", str(pattern), "--data-file", str(data)]
