"""The command as a process: pipes, interrupts, and a service that goes away meanwhile."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loader.world import GOOD, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    found = World(tmp_path)
    found.coordinator.start()
    yield found
    found.coordinator.stop()
    asyncio.run(found.bus.close())


def test_a_barrier_survives_a_lost_answer_and_a_coordinator_that_is_away(world: World) -> None:
    assert world.run("--barrier", "first").exit_code == 0
    loader = world.start("--barrier", "b", "--data-file", "-", stdin=subprocess.PIPE)
    assert loader.stdin is not None
    loader.stdin.write(GOOD)
    loader.stdin.flush()
    while len(world.records()) < 8:
        time.sleep(0.05)
    world.coordinator.stop()
    loader.stdin.close()
    time.sleep(1.5)
    assert loader.poll() is None
    world.coordinator.start()
    loader.stdin = None
    code, _, err = finish(loader)
    assert code == 0, err
    assert world.coordinator.barrier("b")["state"] == "PRODUCED"


def test_the_service_goes_away_before_a_dimension_is_confirmed(world: World) -> None:
    world.coordinator.drops = 0
    world.data("u2i,1,2,3,4\n" + GOOD)
    real = world.coordinator._answer
    failed: list[str] = []

    def restart_on_dimensions(method: str, path: str, body: str) -> tuple[int, str, str]:
        if path == "/dimensions" and not failed:
            failed.append(path)
            world.coordinator.drops = 1
            world.coordinator.not_ready = 2
        return real(method, path, body)

    world.coordinator._answer = restart_on_dimensions  # type: ignore[method-assign]
    assert world.run().exit_code == 0
    assert failed
    assert len(world.records()) == 5


@pytest.mark.parametrize("name", ["in.csv", "link.csv", "p.pattern", "../same/p.pattern"])
def test_dead_letters_never_overwrite_what_comes_from_standard_input_or_the_patterns(world: World, name: str) -> None:
    (world.folder / "in.csv").write_text("oops\n")
    (world.folder / "link.csv").symlink_to("in.csv")
    path = world.folder.parent / world.folder.name / name.replace("same", world.folder.name)
    kept = path.read_text()
    with (world.folder / "in.csv").open() as stdin:
        loader = world.start("--data-file", "-", "--dead-letter", str(path), stdin=stdin.fileno())
        code, _, err = finish(loader)
    assert (code, "itself" in err, path.read_text()) == (2, True, kept)


def test_a_terminal_or_the_null_device_may_be_both(world: World) -> None:
    loader = world.start("--data-file", "-", "--dead-letter", os.devnull, stdin=subprocess.DEVNULL)
    assert finish(loader)[0] == 0


def test_the_barrier_is_set_even_if_nobody_reads_the_positions(world: World) -> None:
    loader = world.start("--barrier", "b", "--data-file", "-", stdin=subprocess.PIPE)
    assert loader.stdout is not None
    loader.stdout.close()
    loader.stdout = None
    assert loader.stdin is not None
    loader.stdin.write(GOOD)
    finish(loader)
    assert world.coordinator.barrier("b")["state"] == "PRODUCED"


def finish(loader: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = loader.communicate(timeout=30)
    return loader.returncode, out, err


def test_standard_input_is_loaded_as_it_comes(world: World) -> None:
    loader = world.start("--data-file", "-", stdin=subprocess.PIPE)
    assert loader.stdin is not None
    for count, line in enumerate(GOOD.splitlines(keepends=True), 1):
        loader.stdin.write(line)
        loader.stdin.flush()
        deadline_s = time.monotonic() + 20
        while len(world.records()) < count:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    loader.stdin.write("oops")
    code, _, err = finish(loader)
    assert (code, "5 lines, 4 records" in err) == (5, True)
    assert (world.folder / "stdin.dead-letters").exists()


def test_a_named_pipe_is_loaded(world: World) -> None:
    os.mkfifo(world.folder / "fifo")
    loader = world.start("--data-file", str(world.folder / "fifo"))
    (world.folder / "fifo").write_text(GOOD)
    code, _, err = finish(loader)
    assert code == 0, err
    assert len(world.records()) == 4


def test_an_interrupt_exits_130_and_tells_how_far_it_came(world: World) -> None:
    loader = world.start("--data-file", "-", stdin=subprocess.PIPE)
    assert loader.stdin is not None
    loader.stdin.write(GOOD)
    loader.stdin.flush()
    while len(world.records()) < 4:
        time.sleep(0.05)
    time.sleep(0.5)  # the bus has the records a moment before the loader knows
    loader.send_signal(signal.SIGINT)
    assert loader.wait(20) == 130
    _, err = loader.communicate()
    assert "4 lines, 4 records" in err
    assert "interrupted" in err
    assert "Traceback" not in err


def test_an_interrupt_while_the_service_is_away_exits_130(world: World) -> None:
    world.coordinator.stop()
    loader = world.start()
    time.sleep(1.5)
    assert loader.poll() is None
    loader.send_signal(signal.SIGINT)
    assert loader.wait(20) == 130
    assert "Traceback" not in loader.communicate()[1]


def test_an_interrupt_while_a_dimension_is_asked_for_exits_130(world: World) -> None:
    asked = threading.Event()
    real = world.coordinator._answer

    def away(method: str, path: str, body: str) -> tuple[int, str, str]:
        if path == "/dimensions":
            world.coordinator.not_ready = 10_000
            world.coordinator.drops = 1
            asked.set()
        return real(method, path, body)

    world.coordinator._answer = away  # type: ignore[method-assign]
    loader = world.start()
    assert asked.wait(20)
    time.sleep(0.3)
    loader.send_signal(signal.SIGINT)
    assert loader.wait(10) == 130
    assert "Traceback" not in loader.communicate()[1]


def test_a_file_larger_than_several_blocks(world: World) -> None:
    lines = [f"u2i,{i},{i * 7},{i},{i % 5}.25\n" for i in range(200_000)]
    world.data("".join(lines))
    done = world.run()
    assert done.exit_code == 0, done.output
    records = world.records()
    assert len(records) == 200_000
    assert {(r.ids, r.timestamp) for r in records} == {((i, i * 7), i) for i in range(200_000)}
