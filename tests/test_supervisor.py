"""The supervisor over dummy children: starts them again, stops them together, and leaves nobody behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import gone

PARENT = """
import os, sys
sys.path[:0] = {path!r}
from dgs.supervisor import Command, Supervisor
def say(line): os.write(2, f"dgs: {{line}}\\n".encode())
reader, writer = os.pipe()
os.set_inheritable(writer, False)
children = [Command(f"child {{i}}", [sys.executable, "-c", script, str(os.getpid()), str(writer)], [writer])
            for i, script in enumerate({scripts!r})]
sys.exit(Supervisor(children, say, reader, lambda: say("ready"), stop_wait_s={stop_wait_s}).run())
"""
HELLO = """
import os, signal, sys, time
from dgs.supervisor import die_with_parent
die_with_parent(int(sys.argv[1]))
def tell(text): os.write(2, f"{os.getpid()} {text}\\n".encode())
tell("begins")
"""
STAYS = HELLO + "time.sleep(60)"
DRAINS = (
    HELLO + "signal.signal(signal.SIGTERM, lambda *_: (tell('drains'), sys.exit(0)))\ntell('waits')\nwhile True: time.sleep(60)"
)
SLOW = DRAINS.replace("tell('drains')", "time.sleep(0.3), tell('has drained')")
STUBBORN = HELLO + "signal.signal(signal.SIGTERM, lambda *_: tell('ignores'))\ntell('waits')\nwhile True: time.sleep(60)"


class Supervised:
    """A supervisor process, what it and its children say, and its end."""

    def __init__(self, folder: Path, scripts: list[str], stop_wait_s: float) -> None:
        self.log = folder / "log"
        source = PARENT.format(path=[], scripts=scripts, stop_wait_s=stop_wait_s)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-c", source], stderr=log, start_new_session=True)

    @property
    def text(self) -> str:
        return self.log.read_text()

    def pids(self, word: str = "begins") -> list[int]:
        return [int(pid) for pid in re.findall(rf"^(\d+) {word}$", self.text, re.MULTILINE)]

    def until(self, what: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not in {seconds} s; the log is:\n{self.text}"
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(20)


Supervise = Callable[..., Supervised]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    started: list[Supervised] = []

    def start(*scripts: str, stop_wait_s: float = 10) -> Supervised:
        started.append(Supervised(tmp_path, list(scripts), stop_wait_s))
        return started[-1]

    yield start
    for s in started:
        if s.process.poll() is None:
            os.killpg(s.process.pid, signal.SIGKILL)
            s.process.wait()


def test_it_imports_nothing_heavy() -> None:
    source = (
        "import sys, dgs.supervisor, dgs.datadir, dgs.http.listener;"
        "print(sorted({'numba', 'numpy', 'fastapi', 'uvicorn', 'rocksdict', 'asyncio', 'click'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", source], text=True) == "[]\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_drains_all_children(supervise: Supervise, number: int, status: int) -> None:
    s = supervise(DRAINS, DRAINS)
    s.until(lambda: len(s.pids("waits")) == 2)
    s.signal(number)
    assert s.wait() == status
    assert sorted(s.pids("drains")) == sorted(s.pids())
    assert all(map(gone, s.pids()))


def test_the_first_child_is_stopped_when_the_others_are_gone(supervise: Supervise) -> None:
    s = supervise(DRAINS, SLOW, SLOW)
    s.until(lambda: len(s.pids("waits")) == 3)
    s.signal(signal.SIGTERM)
    assert s.wait() == 0
    assert re.findall(r"^\d+ (drains|has drained)$", s.text, re.MULTILINE) == ["has drained", "has drained", "drains"]


def test_the_first_child_drains_although_another_does_not_stop(supervise: Supervise) -> None:
    s = supervise(DRAINS, STUBBORN, stop_wait_s=1)
    s.until(lambda: len(s.pids("waits")) == 2)
    s.signal(signal.SIGTERM)
    assert s.wait() == 0
    assert len(s.pids("drains")) == 1
    assert "dgs: killing child 1\n" in s.text


def test_it_waits_idly_for_others_where_the_first_child_is_not_there(supervise: Supervise) -> None:
    s = supervise(HELLO + "sys.exit(3)", STUBBORN, stop_wait_s=4)
    s.until(lambda: "starting it again in 0.8 s" in s.text and len(s.pids("waits")) == 1)
    s.signal(signal.SIGTERM)
    _, status, used = os.wait4(s.process.pid, 0)
    s.process.returncode = os.waitstatus_to_exitcode(status)
    assert s.process.returncode == 0
    assert "dgs: killing child 1\n" in s.text
    # To go round and round from half of the time on would take all of it.
    assert used.ru_utime + used.ru_stime < 4 / 2 * 0.75


def test_ctrl_c_in_a_terminal_reaches_the_group_but_only_the_parent_acts(supervise: Supervise) -> None:
    s = supervise(DRAINS, DRAINS)
    s.until(lambda: len(s.pids("waits")) == 2)
    os.killpg(s.process.pid, signal.SIGINT)
    assert s.wait() == 130
    assert len(s.pids("drains")) == 2
    assert "Traceback" not in s.text


def test_a_child_that_does_not_stop_is_killed(supervise: Supervise) -> None:
    s = supervise(STUBBORN, DRAINS, stop_wait_s=0.5)
    s.until(lambda: len(s.pids("waits")) == 2)
    s.signal(signal.SIGTERM)
    assert s.wait() == 0
    assert "dgs: killing child 0\n" in s.text
    assert all(map(gone, s.pids()))


def test_a_second_signal_kills_at_once(supervise: Supervise) -> None:
    s = supervise(STUBBORN)
    s.until(lambda: len(s.pids("waits")) == 1)
    s.signal(signal.SIGINT)
    s.until(lambda: len(s.pids("ignores")) == 1)
    s.signal(signal.SIGINT)
    assert s.wait() == 130
    assert all(map(gone, s.pids()))


def test_a_killed_child_is_started_again_alone(supervise: Supervise) -> None:
    s = supervise(STAYS, DRAINS)
    s.until(lambda: len(s.pids()) == 2 and len(s.pids("waits")) == 1)
    (other,) = s.pids("waits")
    os.kill(next(p for p in s.pids() if p != other), signal.SIGKILL)
    s.until(lambda: len(s.pids()) == 3)
    assert "dgs: child 0 was killed by SIGKILL; starting it again in 0.2 s\n" in s.text
    assert not gone(other)


def test_the_back_off_doubles(supervise: Supervise) -> None:
    s = supervise(HELLO + "sys.exit(3)")
    s.until(lambda: "again in 0.8 s" in s.text)
    assert re.findall(r"child 0 ended with status 3; starting it again in (\S+) s", s.text) == ["0.2", "0.4", "0.8"]


def test_a_fatal_child_stops_everything(supervise: Supervise) -> None:
    s = supervise(DRAINS, HELLO + "time.sleep(0.5)\ntell('has another schema')\nsys.exit(78)")
    assert s.wait() == 1
    assert "has another schema\ndgs: child 1 cannot go on; stopping\n" in s.text
    assert "again" not in s.text
    assert all(map(gone, s.pids()))


def test_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    source = (
        "import os, sys; from dgs.supervisor import Command, Supervisor;"
        "Supervisor([Command('it', ['/nowhere/it'])], lambda line: os.write(1, line.encode() + b'\\n') and None).run()"
    )
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"it cannot be started" in process.stdout.readline()
        assert b"again in 0.4 s" in process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 0


def test_children_die_with_a_killed_parent(supervise: Supervise) -> None:
    s = supervise(STUBBORN, STAYS)
    s.until(lambda: len(s.pids()) == 2)
    time.sleep(0.1)
    s.signal(signal.SIGKILL)
    s.wait()
    s.until(lambda: all(map(gone, s.pids())), seconds=3)


def test_a_child_whose_parent_is_gone_already_does_not_begin() -> None:
    begun = subprocess.run([sys.executable, "-c", STAYS, "1"], capture_output=True, check=False)
    assert begun.returncode == 1
    assert begun.stderr == b""


def test_it_hears_when_a_child_is_ready(supervise: Supervise) -> None:
    s = supervise(HELLO + "os.write(int(sys.argv[2]), b'.')\ntime.sleep(60)")
    s.until(lambda: s.text.endswith("dgs: ready\n"))
    os.kill(s.pids()[0], signal.SIGKILL)
    s.until(lambda: s.text.count("dgs: ready\n") == 2)


def test_it_is_idle_while_all_is_well(supervise: Supervise) -> None:
    s = supervise(STAYS)
    s.until(lambda: len(s.pids()) == 1)
    stat = Path(f"/proc/{s.process.pid}/status")
    switches = re.compile(r"voluntary_ctxt_switches:\s+(\d+)")
    before = switches.findall(stat.read_text())
    time.sleep(1)
    assert switches.findall(stat.read_text()) == before
