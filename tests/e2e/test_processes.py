"""Each process started by hand with a data directory of its own, as on several hosts: what docs/deploy.md says."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.cluster import Cluster
from tests.e2e.inputs import Graph
from tests.e2e.processes import BIN, ENVIRONMENT, free_port, run, until


class Processes(Cluster):
    """A coordinator, two samplers and two frontends, none of them started by another."""

    def __init__(self, folder: Path, graph: Graph, *fixed: object) -> None:
        super().__init__(folder)
        self.fixed = fixed
        self.graph = graph
        self.control = f"127.0.0.1:{free_port()}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {name: free_port() for name in ("serve-0", "serve-1", "serve-2", "sampler-0", "sampler-1")}

    def begin(self, name: str, *arguments: object) -> None:
        """Start a process."""
        command = [str(BIN / "dgs"), name.partition("-")[0], "--data-dir", str(self.folder / name), *map(str, arguments)]
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=self.folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def begin_coordinator(self) -> None:
        """Start the coordinator."""
        fixed = ("--partitions", 4, "--serving-partitions", 4, "--port", self.control.partition(":")[2])
        self.begin("coordinator", *self.graph.start_flags, *fixed, *self.fixed)

    def begin_sampler(self, ordinal: int) -> None:
        """Start one of two samplers."""
        name = f"sampler-{ordinal}"
        own = ("--ordinal", f"pod-{ordinal}", "--replicas", 2, "--health-port", self.ports[name])
        self.begin(name, "--coordinator", self.control, *own)

    def begin_serve(self, number: int, partitions: str) -> None:
        """Start a frontend."""
        port = self.ports[f"serve-{number}"]
        own = ("--port", port, "--shared-port", self.port, "--partitions", partitions)
        self.begin(f"serve-{number}", "--coordinator", self.control, *own)

    def begin_all(self) -> None:
        """Start everything, in an order in which most have to wait for others."""
        self.begin_serve(0, "0,2")
        self.begin_sampler(1)
        self.begin_coordinator()
        self.begin_serve(1, "1,3")
        self.begin_sampler(0)
        until("all answer", self.caught_up, 60.0)

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        """Send a signal to a process and return its exit status."""
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait(30)

    def stop(self) -> None:
        """End all."""
        for name in list(self.running):
            self.end(name, signal.SIGKILL)

    def ready(self, name: str) -> bool:
        """Whether a frontend or sampler says that it is ready."""
        with suppress(OSError, AssertionError):
            return b"true" in self.fetch(f"http://127.0.0.1:{self.ports[name]}", "/readyz")
        return False


@pytest.fixture
def processes(tmp_path: Path, graph: Graph) -> Iterator[Processes]:
    processes = Processes(tmp_path, graph)
    try:
        processes.begin_all()
        ended = processes.load(graph.pattern_file, graph.data_file, "--barrier", "loaded")
        assert ended.code == 0, ended.err
        processes.wait("loaded")
        yield processes
    finally:
        processes.stop()


@pytest.mark.slow
def test_a_day_of_a_deployment_of_single_processes(processes: Processes, graph: Graph) -> None:
    oracle, seeds = graph.oracle(), graph.seeds()
    assert not wrong(processes, graph, oracle, seeds)
    for name, partitions in (("sampler-0", (0, 2)), ("sampler-1", (1, 3))):
        assert processes.ready(name)
        metrics = processes.fetch(f"http://127.0.0.1:{processes.ports[name]}", "/metrics").decode()
        assert all(f'dgs_sampler_up{{partition="{p}"}} 1.0' in metrics for p in partitions)

    # The coordinator is down: samples are served all the same.
    assert processes.end("coordinator", signal.SIGKILL) == -signal.SIGKILL
    assert not wrong(processes, graph, oracle, seeds)
    reply = processes.get("/queries")
    assert reply.status == 503
    assert "samples are served all the same" in reply.text
    assert processes.get("/admin/query").text.startswith("the coordinator at http://127.0.0.1:")
    assert processes.end("serve-1") == 0
    processes.begin_serve(1, "1,3")  # starts without a coordinator, too
    until("it answers", lambda: processes.ready("serve-1"), 60.0)
    processes.begin_coordinator()
    until("all answer", processes.caught_up, 60.0)

    # Restart one after the other.
    again: dict[str, Callable[[], None]] = {
        "sampler-0": lambda: processes.begin_sampler(0),
        "sampler-1": lambda: processes.begin_sampler(1),
        "serve-0": lambda: processes.begin_serve(0, "0,2"),
        "coordinator": processes.begin_coordinator,
    }
    for name, begin in again.items():
        assert processes.end(name) == 0
        begin()
        until("all answer", lambda name=name: processes.caught_up() and (name == "coordinator" or processes.ready(name)), 60.0)  # type: ignore[misc]  # as of now
        assert not wrong(processes, graph, oracle, seeds)

    # A copy of serving partitions is added, and then takes the place of the first.
    processes.begin_serve(2, "0,2")
    processes.frontends = 3
    until("the copy has caught up", processes.caught_up, 60.0)
    assert processes.end("serve-0") == 0
    assert not wrong(processes, graph, oracle, seeds)
    ended = processes.load(graph.pattern_file, graph.data_file, "--barrier", "again")
    assert ended.code == 0, ended.err
    processes.wait("again")
    assert not wrong(processes, graph, oracle, seeds)
    until("who is missing is named", lambda: [m for m in processes.cluster()["members"] if not m["up"]], 30.0)
    gone = [m for m in processes.cluster()["members"] if not m["up"]]
    assert [m["serving"] for m in gone] == [[0, 2]]


def test_a_process_of_another_deployment_is_refused(processes: Processes, graph: Graph) -> None:
    other = processes.folder / "other"
    elsewhere = Processes(other, graph)
    other.mkdir()
    try:
        elsewhere.begin_coordinator()
        arguments = ("--coordinator", elsewhere.control, "--partitions", "0,2", "--data-dir", processes.folder / "sampler-0")
        assert processes.end("sampler-0") == 0
        ended = run("dgs", "sampler", *arguments, cwd=processes.folder)
        assert ended.code == 1
        assert "belongs to the deployment" in ended.err
    finally:
        elsewhere.stop()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--data-dir is missing"),
        (("--data-dir", "new"), "--coordinator is missing"),
        (("--data-dir", "new", "--coordinator", "127.0.0.1:9", "--retry-timeout-s", 0), "no usable answer from 127.0.0.1:9"),
    ],
)
def test_what_a_new_process_needs(tmp_path: Path, arguments: tuple[object, ...], told: str) -> None:
    for command in ("sampler", "serve"):
        ended = run("dgs", command, *arguments, cwd=tmp_path)
        assert ended.code in (2, 3)
        assert told in ended.err
