"""`dgs demo`: the whole service with example data, in one command. It uses nothing but the commands that a user has."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from dgs.cli.barrier import READY, wait_until_ready
from dgs.cli.examples import example
from dgs.cli.founding import PROGRAM
from dgs.cli.sample import show
from dgs.cli.service import connected, server_argument
from dgs.config import Settings
from dgs.core.errors import ConflictError, DeadlineError, DgsError
from dgs.http.listener import listen

NAME, BARRIER, SEED = "u2i", "u2i_finished", 42
LOADER = (sys.executable, "-P", "-c", "from dgs_loader.cli import main; main()")
LIVE_WAIT_S = 60.0
READY_WAIT_S = 120.0
STOP_WAIT_S = 15.0
"""Longer than a supervisor waits for its children."""


@click.command()
@click.option("--stay", is_flag=True, help="Keep the service running until Ctrl-C.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep data and state here.  [default: a temporary directory]",
)
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Port of the service.  [default: 8700 if it is free]")
def demo(stay: bool, data_dir: Path | None, port: int | None) -> None:
    """Show the service at work: start it, load a small graph, ask for one ego-graph.

    The graph is a made-up shop: users who looked at items, and items that were looked at together.
    """
    # Also when it is told to stop, the service that it started is stopped first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _folder(data_dir) as folder:
        url = f"http://127.0.0.1:{_port(port)}"
        with _service(folder, url) as process:
            _load(folder, url)
            _ask(url)
            _hint(url, stay=stay)
            if stay:
                process.wait()
                raise DgsError("the service has ended; it says why above")


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="dgs-demo-") as temporary:
            yield Path(temporary)
        return
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConflictError(f"cannot make {data_dir}: {e.strerror}; give another --data-dir") from None
    yield data_dir


def _port(wanted: int | None) -> int:
    """Return a port that is free now; the usual one, if it is, unless another is wanted.

    Raises:
        ConflictError: the wanted one is in use: the demo would talk to whoever is there.
    """
    settings = Settings()
    if wanted:
        with listen(settings.host, wanted, wait_s=0):
            return wanted
    try:
        with listen(settings.host, settings.port if wanted is None else 0, wait_s=0) as free:
            return int(free.getsockname()[1])
    except ConflictError:
        with listen(settings.host, 0, wait_s=0) as free:
            return int(free.getsockname()[1])


@contextmanager
def _service(folder: Path, url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `dgs up`, which dies with this process, until the end of the block."""
    query = folder / f"{NAME}.json"  # a query has the name of its file
    shutil.copyfile(example(NAME) / "query.json", query)
    command = [*PROGRAM, "up", "--schema", str(example(NAME) / "schema.json"), "--query", str(query)]
    command += ["--data-dir", str(folder / "state"), "--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    command += ["--parent", str(os.getpid())]
    # In a session of its own, as Ctrl-C is for this process, which then stops it with one signal; a second one would kill.
    process = subprocess.Popen(command, env={"DGS_LOG_LEVEL": "warning"} | os.environ, start_new_session=True)
    try:
        _until_live(process, url)
        yield process
    finally:
        _stop(process)


def _until_live(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + LIVE_WAIT_S
    with connected(url, answer_s_max=2.0) as service:
        while process.poll() is None:
            try:
                service.get("/readyz")
                return
            except DgsError as e:
                if time.monotonic() >= deadline:
                    raise DeadlineError(f"the service is not ready after {LIVE_WAIT_S:g} s: {e}") from None
            time.sleep(0.1)
    raise DgsError("the service did not start; it says why above")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    with _patience():
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _patience() -> Iterator[None]:
    """Let nothing interrupt the block; it takes a bounded time."""
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _load(folder: Path, url: str) -> None:
    from dgs.demo.u2i import generate

    with connected(url) as service:
        if service.get(f"/barriers/{BARRIER}").json()["state"] == READY:
            click.echo("the data of an earlier demo is still there", err=True)
            return
    made = generate(folder / "data")
    click.echo(f"loading {made.lines} lines from {made.streaming}", err=True)
    command = [*LOADER, "--dgs-service-host", url, "--reversed-edges", "i2i", "--barrier", BARRIER]
    command += ["--pattern-file", str(made.streaming / "u2i.pattern"), "--data-file", str(made.streaming / "u2i.streaming")]
    command += ["--dead-letter", str(folder / "dead-letters.jsonl")]
    ended = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if ended.returncode != 0:
        raise DgsError(f"dgs-loader ended with status {ended.returncode}")
    wait_until_ready(url, BARRIER, timeout_s=READY_WAIT_S, away_s_max=READY_WAIT_S)


def _ask(url: str) -> None:
    with connected(url, 10.0) as service:
        show(service.get("/samples", {"vid": SEED, "query": NAME}).json(), rows=10)


def _hint(url: str, *, stay: bool) -> None:
    program, server = _program(), server_argument(url)
    if stay:
        click.echo(f"The service stays at {url} until Ctrl-C. Try, in another terminal:", err=True)
    else:
        click.echo(f"Now it stops. `{program} demo --stay` keeps it; then try, in another terminal:", err=True)
    click.echo(
        f"  {program} sample 7{server}\n"
        f"  {program} query list{server}\n"
        f"  {program} barrier status {BARRIER}{server}\n"
        f"  curl '{url}/samples?vid=7'\n"
        f"or open {url}/?vid=7 in a browser.",
        err=True,
    )


def _program() -> str:
    """How the user calls this command: by its name where the shell finds it, else by its path."""
    beside = Path(sys.executable).with_name("dgs")
    return "dgs" if shutil.which("dgs") or not beside.exists() else os.path.relpath(beside)
