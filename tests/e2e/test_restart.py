"""Stopping and starting again: the same answers from disk, soon; and a data directory that must not be used is refused in words."""

import fcntl
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dgs.datadir import checksum
from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import SCHEMA, Graph
from tests.e2e.processes import SAMPLER, Ended, free_port, run
from tests.e2e.service import Service

RESTART_S_AIM, RESTART_S_MAX = 3.0, 10.0
"""What a restart is to take on a machine of its own, and what is let pass on one that others use, too."""


def port_is_free(port: int) -> bool:
    """Whether a service could listen there; connections that have just ended do not matter."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            s.listen()
        except OSError:
            return False
        return True


def held_locks(data_dir: Path) -> list[str]:
    held = []
    for path in (data_dir / "locks").iterdir():
        with path.open() as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path.name)
    return sorted(held)


@pytest.mark.slow
def test_a_stopped_service_goes_on_with_the_same_answers_without_loading(
    new_service: NewService, graph: Graph, figure: Callable[[str], None]
) -> None:
    service = new_service(*graph.start_flags)
    service.start()
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "loaded").code == 0
    service.wait("loaded")
    seeds = graph.seeds()
    before = service.samples(seeds)
    assert held_locks(service.data_dir) == [
        "frontend.lock",
        *(f"sampler-{p}.lock" for p in range(4)),
        *(f"serving-{s}.lock" for s in range(2)),
        "up.lock",
    ]
    took = []
    for _ in range(3):
        assert service.terminate() == 0
        assert port_is_free(service.port)
        assert held_locks(service.data_dir) == []
        # Neither schema nor query has to be given again.
        took.append(service.start("--samplers", 1))
        after = service.samples(seeds)
        for was, now in zip(before, after, strict=True):
            # What serving partitions send again on their way back stands in the logs, too.
            assert all(a <= b for a, b in zip(was.pop("positions"), now["positions"], strict=True))
            assert now == {**was, "positions": now["positions"]}
        before = after
        assert service.dgs("barrier", "status", "loaded").out == "READY\n"
    assert not wrong(service, graph, graph.oracle(), seeds)
    assert "Traceback" not in service.said()
    figure(f"restart to /readyz: {min(took):.2f} s, best of {', '.join(f'{t:.2f}' for t in took)} (aim {RESTART_S_AIM:g} s)")
    assert min(took) < RESTART_S_MAX


def test_requests_under_way_are_answered_when_the_service_stops(loaded: Service, graph: Graph) -> None:
    assert loaded.process is not None
    body = json.dumps({"vids": graph.seeds() * 9}).encode()
    with socket.create_connection(("127.0.0.1", loaded.port), timeout=20) as s:
        s.sendall(b"POST /samples HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.02)
        loaded.process.send_signal(signal.SIGTERM)
        answer = b""
        while part := s.recv(1 << 20):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["samples"]) == 9 * len(graph.seeds())
    assert loaded.ended() == 0
    loaded.start()


@pytest.mark.slow
def test_a_service_that_is_stopped_while_it_starts_leaves_nothing_behind_and_starts_again(
    new_service: NewService, graph: Graph
) -> None:
    service = new_service(*graph.start_flags)
    for moment_s in (0.05, 0.45, 0.65, 0.85):
        service.start(ready=False)
        time.sleep(moment_s)
        # Before it has a handler, the signal itself ends it.
        assert service.terminate() in (0, -signal.SIGTERM)
    assert "Traceback" not in service.said()
    assert "killing" not in service.said()
    service.start()
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "b").code == 0
    service.wait("b")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


# Refusals ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standing(loaded: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a service that was killed, with the small graph in it."""
    copy = tmp_path_factory.mktemp("standing") / "state"
    loaded.kill_all()
    shutil.copytree(loaded.data_dir, copy)
    loaded.start()
    return copy


def up(data_dir: Path, *arguments: object, port: int | None = None) -> Ended:
    """Run a `dgs up` that is to be refused."""
    where = ["--data-dir", data_dir, "--port", port or free_port()]
    return run("dgs", "up", *where, "--parent", os.getpid(), *arguments, cwd=data_dir.parent, limit_s=40)


def content(folder: Path) -> dict[str, int]:
    """What is in a folder, by size; locks are taken by whoever looks."""
    return {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file() and "locks" not in p.parts}


def test_another_number_of_partitions_is_refused(standing: Path, graph: Graph) -> None:
    before = content(standing)
    ended = up(standing, *graph.start_flags, "--partitions", 3, "--serving-partitions", 5)
    assert ended.code == 1
    assert f"the data directory {standing} belongs to another deployment" in ended.err
    assert "--partitions is 4 there and 3 was asked for; --serving-partitions is 2 there and 5 was asked for" in ended.err
    assert "load the data again" in ended.err
    assert content(standing) == before


def test_another_schema_is_refused(standing: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**SCHEMA, "edge_relation_defs": [{"etype": 3, "src_vtype": 1, "dst_vtype": 0}]}))
    ended = up(standing, "--schema", other)
    assert ended.code == 1
    assert "the schema there is another one: edge_relation_defs has" in ended.err


@pytest.mark.parametrize(
    ("file", "key", "said"),
    [
        ("deployment.json", "format", "deployment.json has format 99, this program reads up to 1"),
        ("deployment.json", "emission_version", "was begun with emission version 99, this program emits in version 2 only"),
        ("coordinator/state.json", "format", "state.json has format 99, this program reads up to 1"),
    ],
)
def test_the_state_of_a_newer_program_is_refused(standing: Path, tmp_path: Path, file: str, key: str, said: str) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(standing, newer)
    document = {**json.loads((newer / file).read_bytes()), key: 99}
    if file == "deployment.json":
        document["crc32"] = checksum(document)
    (newer / file).write_text(json.dumps(document))
    before = (newer / file).read_bytes()
    ended = up(newer)
    assert ended.code == 1
    assert said in ended.err
    assert "wrote it" in ended.err
    assert "Traceback" not in ended.err
    assert (newer / file).read_bytes() == before


def test_a_lost_log_is_refused_rather_than_waited_for(standing: Path, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    shutil.copytree(standing, lost)
    shutil.rmtree(lost / "log" / "record-batches")
    ended = up(lost)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "cannot go on; stopping" in ended.err


def test_a_data_directory_that_is_served_is_refused_with_the_pid_of_its_owner(loaded: Service) -> None:
    assert loaded.process is not None
    ended = up(loaded.data_dir)
    assert ended.code == 1
    assert f"the data directory {loaded.data_dir} is already served by pid {loaded.process.pid}" in ended.err
    assert loaded.answers("/readyz")


def test_a_port_in_use_is_refused_before_anything_is_made_of_the_directory(loaded: Service, graph: Graph, tmp_path: Path) -> None:
    ended = up(tmp_path / "state", *graph.start_flags, port=loaded.port)
    assert ended.code == 1
    assert f"port {loaded.port} of 127.0.0.1 is in use by another process; stop that, or give another --port" in ended.err
    assert not (tmp_path / "state" / "deployment.json").exists()


def test_a_second_owner_of_a_partition_is_refused_even_beside_the_parent(loaded: Service) -> None:
    (sampler,) = loaded.pids(SAMPLER)
    where = {"DGS_DATA_DIR": str(loaded.data_dir), "DGS_COORDINATOR": loaded.url}
    ended = run("dgs", "sampler", "--partitions", "2", cwd=loaded.folder, settings=where)
    assert ended.code == 1
    assert f"sampler-2 of the data directory {loaded.data_dir} is already served by pid {sampler}" in ended.err
