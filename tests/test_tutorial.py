"""The tutorial, as a reader follows it: its files, its commands and its Python, one after the other, against what it shows.

`…` in shown output stands for anything. What stays in its terminal (`make run`, `dgs up`) is started, and stopped with Ctrl-C
before the next one is. Only the port is another one.
"""

import doctest
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.processes import BIN, ENVIRONMENT, free_port

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
SHOWN = "127.0.0.1:8700"
START_S_MAX = 60
COMMAND_S_MAX = 60
STATUS = {"--barrier first": 5}
"""Exit statuses other than 0 that the page tells of, by a part of the command."""


class Block(NamedTuple):
    """A fenced block: its language, its text, and the file that the paragraph before it names."""

    language: str
    text: str
    file: str | None


def blocks() -> list[Block]:
    found, before = [], ""
    for part in re.split(r"^(```\w*\n.*?^```\n)", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            head, _, text = part.removesuffix("```\n").partition("\n")
            name = re.search(r"`([\w.]+)`:\s*$", before)
            found.append(Block(head.removeprefix("```"), text, name and name[1]))
        before = part
    return found


class Reader:
    """Somebody who follows the page in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = f"127.0.0.1:{free_port()}"
        self.environment = ENVIRONMENT | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "DGS_PORT": self.server.rpartition(":")[2],
            "DGS_SERVER": f"http://{self.server}",
        }
        self.service: subprocess.Popen[bytes] | None = None

    def run(self, commands: str) -> str:
        """Run a block of commands to its end; return what it printed."""
        status = next((code for part, code in STATUS.items() if part in commands), 0)
        ended = subprocess.run(
            ["bash", "-e", "-c", commands.replace(SHOWN, self.server)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert ended.returncode == status, f"{commands}{ended.stderr}"
        return ended.stdout.replace(self.server, SHOWN)

    def start(self, command: str, says: str) -> None:
        """Start what stays in its terminal, and wait until it says something."""
        self.stop()
        terminal = self.folder / "terminal.log"
        with terminal.open("wb") as log:
            self.service = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_interruptible,
            )
        deadline = time.monotonic() + START_S_MAX
        while says not in terminal.read_text():
            assert self.service.poll() is None, f"{command} ended with {self.service.returncode}: {terminal.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not say {says!r}: {terminal.read_text()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Press Ctrl-C."""
        if self.service is not None:
            os.killpg(self.service.pid, signal.SIGINT)
            assert self.service.wait(30) in (0, 130)
            self.service = None

    def kill(self) -> None:
        """Leave nothing, whatever the test has met."""
        if self.service is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.service.pid, signal.SIGKILL)
            self.service.wait()


def _interruptible() -> None:
    """What is started from the background of a shell ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def make_run(server: str) -> str:
    """Return what `make run` does once `.venv` is there, on another port."""
    listed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--assume-old=.venv/.stamp", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    command = listed.stdout.splitlines()[-1]
    assert command.startswith(".venv/bin/dgs demo ")
    return f"{command.replace('.venv/bin', str(BIN))} --port {server.rpartition(':')[2]}"


def matches(shown: str, printed: str) -> bool:
    pattern = ".*".join(map(re.escape, shown.strip().split("…")))
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed.strip().splitlines()), re.DOTALL) is not None


@pytest.mark.slow
def test_the_tutorial_is_true(tmp_path: Path) -> None:
    reader, printed = Reader(tmp_path), ""
    try:
        for block in blocks():
            if block.file is not None:
                (tmp_path / block.file).write_text(block.text)
            elif block.language == "text":
                assert matches(block.text, printed), f"shown:\n{block.text}\nprinted:\n{printed}"
            elif block.language == "pycon":
                examples = doctest.DocTestParser().get_doctest(block.text.replace(SHOWN, reader.server), {}, PAGE.name, None, 0)
                with _in(tmp_path):
                    assert doctest.DocTestRunner().run(examples).failed == 0
            elif block.text.startswith("make run"):
                reader.start(make_run(reader.server), "The service stays at")
            elif block.text.startswith("dgs up"):
                reader.start(block.text, "dgs: serving at")
                printed = ""
            else:
                printed = reader.run(block.text)
        reader.stop()
    finally:
        reader.kill()


def test_the_page_has_what_it_promises() -> None:
    found = blocks()
    assert [b.file for b in found if b.file] == ["schema.json", "opened.json", "books.pattern", "books.data"]
    assert {"sh", "text", "pycon", "json"} <= {b.language for b in found}
    assert len([b for b in found if b.language == "sh"]) > 12
