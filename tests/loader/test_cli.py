"""The command: flags, exit codes, what it prints, and how it bears a service that is away. Real bus files, a fake coordinator."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dgs_loader.cli import main

from dgs.bus.base import RECORDS
from dgs.bus.local import LocalBus
from dgs.codec.entries import decode_entry
from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position
from tests.loader.conftest import PATTERN, SCHEMA, Record, records_of
from tests.loader.coordinator import FakeCoordinator

P = 3
GOOD = "user,1,10,0.5:1\nuser,2,20,1:2\nu2i,1,7,30,0.5\ni2i,7,8,1,x,40\n"


class World:
    """A folder with a bus, a pattern file and a data file, a coordinator, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bus").mkdir()
        self.bus = LocalBus(folder / "bus")
        asyncio.run(self.bus.ensure(RECORDS, P))
        self.coordinator = FakeCoordinator(SCHEMA, f"local://{folder / 'bus'}", P)
        (folder / "p.pattern").write_text(PATTERN)
        self.data(GOOD)

    def data(self, text: str | bytes) -> None:
        (self.folder / "d.csv").write_bytes(text if isinstance(text, bytes) else text.encode())

    def arguments(self, *more: str) -> list[str]:
        files = ["--pattern-file", str(self.folder / "p.pattern"), "--data-file", str(self.folder / "d.csv")]
        return ["--dgs-service-host", self.coordinator.url, *files, *more]

    def run(self, *more: str) -> Result:
        return CliRunner().invoke(main, self.arguments(*more))

    def start(self, *more: str, stdin: int | None = None) -> "subprocess.Popen[str]":
        # Tests that run in the background of a shell have interrupts ignored, and so would their children.
        listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        command = [sys.executable, "-c", f"{listen}; from dgs_loader.cli import main; main()", *self.arguments(*more)]
        return subprocess.Popen(command, cwd=self.folder, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def records(self) -> list[Record]:
        async def read() -> list[Record]:
            bus = LocalBus(self.folder / "bus")
            found: list[Record] = []
            layouts = Layouts.from_json(Schema.parse(json.dumps(SCHEMA)), self.coordinator.dimensions)
            for p in range(P):
                for e in await bus.read(RECORDS, PartitionIndex(p), Position(0), max_bytes=1 << 30, wait_s=0):
                    batch = decode_entry(e.data)
                    assert isinstance(batch, RecordBatch)
                    found += records_of(batch, layouts)
            await bus.close()
            return found

        return asyncio.run(read())

    def ends(self) -> set[str]:
        async def read() -> set[str]:
            bus = LocalBus(self.folder / "bus")
            ends = {f"4:{p}:{await bus.end(RECORDS, PartitionIndex(p))}" for p in range(P)}
            await bus.close()
            return ends

        return asyncio.run(read())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    found = World(tmp_path)
    found.coordinator.start()
    yield found
    found.coordinator.stop()
    asyncio.run(found.bus.close())


def test_a_clean_load_exits_0_with_a_summary_and_positions(world: World) -> None:
    done = world.run()
    assert done.exit_code == 0, done.output
    assert len(world.records()) == 4
    assert re.fullmatch(r"4 lines, 4 records in \d+\.\d s \(\d+ records/s\), 0 dead letters\n", done.stderr)
    positions = done.stdout.splitlines()
    assert positions
    assert set(positions) <= world.ends()
    assert not (world.folder / "d.csv.dead-letters").exists()
    assert world.coordinator.dimensions == [{"kind": "vertex", "type": 0, "attribute": 2, "dim": 2}]


def test_some_dead_letters_exit_5_and_the_barrier_is_set_all_the_same(world: World) -> None:
    world.data(GOOD + "oops,1\nuser,x,1,\n")
    done = world.run("--barrier", "b", "--barrier-count", "2", "--loader-id", "1")
    assert done.exit_code == 5, done.output
    assert "6 lines, 4 records" in done.stderr
    assert "2 dead letters in d.csv.dead-letters" in done.stderr
    letters = [json.loads(x) for x in (world.folder / "d.csv.dead-letters").read_text().splitlines()]
    assert [x["line"] for x in letters] == [5, 6]
    assert world.coordinator.posted("/admin/barrier/set") == ["name=b&count=2&id=1"]
    assert "dgs barrier wait b" in done.stderr


def test_the_dead_letter_file_can_be_named_and_is_replaced(world: World) -> None:
    path = world.folder / "dead.jsonl"
    path.write_text("old\n")
    assert world.run("--dead-letter", str(path)).exit_code == 0
    assert path.read_text() == "old\n"
    world.data("oops\n")
    assert world.run("--dead-letter", str(path)).exit_code == 5
    assert [json.loads(x)["text"] for x in path.read_text().splitlines()] == ["oops"]
    assert world.run("--dead-letter", str(world.folder / "missing" / "x")).exit_code == 1
    assert world.run("--dead-letter", str(world.folder / "d.csv")).exit_code == 2


def test_an_empty_file_is_loaded(world: World) -> None:
    world.data("")
    done = world.run("--barrier", "b")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "0 lines, 0 records" in done.stderr


def test_loading_twice_sends_the_same_records_twice(world: World) -> None:
    world.run()
    once = world.records()
    world.run()
    assert sorted(world.records(), key=repr) == sorted(once * 2, key=repr)


def test_flags_reach_their_parts(world: World) -> None:
    (world.folder / "p.pattern").write_text("#EDGE:i2i\t#SRC:item\t#DST:item\ttimestamp\n#VERTEX:user\t#ID\ttimestamp\tfeature\n")
    world.data("i2i\t7\t8\t40\nuser\t1\t2\t3|4\n")
    done = world.run("--delimiter", "\\t", "--list-attr-delimiter", "|", "--reversed-edges", "u2i; i2i", "--batch-size", "1")
    assert done.exit_code == 0, done.output
    assert sorted(r.ids for r in world.records()) == [(1,), (7, 8), (8, 7)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--delimiter", "ab"], "is not one ASCII character"),
        (["--delimiter", "7"], "is not one ASCII character"),
        (["--delimiter", ":"], "is not one ASCII character"),
        (["--list-attr-delimiter", "."], "is not one ASCII character"),
        (["--list-attr-delimiter", "é"], "is not one ASCII character"),
        (["--delimiter", ";", "--list-attr-delimiter", ";"], "are both ';'"),
        (["--batch-size", "0"], "--batch-size"),
        (["--barrier-count", "2"], "--barrier"),
        (["--barrier", " "], "needs a name"),
        (["--reversed-edges", "i2i;ghost"], "the schema has no edge type 'ghost'; it has i2i, u2i"),
        (["--pattern-file", "/no/such/file"], "does not exist"),
        (["--data-file", "/no/such/file"], "does not exist"),
        (["--dgs-service-host", "ftp://x"], "is no server"),
        (["--what"], "No such option"),
    ],
)
def test_wrong_usage_exits_2(world: World, arguments: list[str], words: str) -> None:
    done = world.run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in re.sub(r"\s+", " ", done.stderr)
    assert world.records() == []


def test_a_wrong_pattern_file_exits_2_with_every_problem(world: World) -> None:
    (world.folder / "p.pattern").write_text("#VERTEX:ghost,#ID\n#EDGE:u2i,#SRC:user,#DST:user,timestamp\n")
    done = world.run()
    assert done.exit_code == 2
    assert "p.pattern: line 1: the schema has no vertex type 'ghost'" in done.stderr
    assert "p.pattern: line 2: the schema lets 'u2i' join user to item" in done.stderr
    (world.folder / "p.pattern").write_bytes(b"\xff")
    assert world.run().exit_code == 2
    (world.folder / "p.pattern").write_text("# comment\n" + PATTERN)
    done = world.run()
    assert (done.exit_code, "warning" in done.stderr, "'# comment' is neither" in done.stderr) == (0, True, True)


def test_help_shows_an_example_and_the_exit_codes() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    for words in ("Example:", "dgs barrier wait loaded", "5 loaded", "--reversed-edges", "dead-letters", "blank lines are skipped"):
        assert words in re.sub(r"\s+", " ", done.stdout)


def test_a_service_that_is_not_there_exits_3(world: World) -> None:
    world.coordinator.stop()
    done = world.run("--retry-timeout", "0.3")
    assert done.exit_code == 3
    assert world.coordinator.url in done.stderr
    assert "`dgs up`" in done.stderr


def test_a_service_that_is_still_starting_is_waited_for(world: World) -> None:
    world.coordinator.not_ready = 4
    assert world.run().exit_code == 0
    assert len(world.records()) == 4


def test_something_else_than_a_service(world: World) -> None:
    world.coordinator.router = []
    done = world.run()
    assert done.exit_code == 1
    assert "not as a service of this version does" in done.stderr
    world.coordinator.router = [0, 1, 9]
    assert world.run().exit_code == 1
    world.coordinator.schema = {}
    assert world.run().exit_code == 1
    done = world.run("--dgs-service-host", world.coordinator.url + "/wrong")
    assert (done.exit_code, "(no /wrong/admin/init-info/dataloader)" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("bus", "words"),
    [
        ("local:///no/such/bus", "/no/such/bus, which does not exist here: run dgs-loader on the host"),
        ("memory://", "in its own memory"),
        ("pigeon://x", "newer than this loader?"),
    ],
)
def test_a_bus_that_is_out_of_reach_exits_1(world: World, bus: str, words: str) -> None:
    world.coordinator.bus = bus
    done = world.run()
    assert done.exit_code == 1
    assert words in done.stderr


def test_a_bus_that_takes_nothing_exits_1(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> Position:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalBus, "append", full)
    done = world.run("--retry-timeout", "0.2")
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert "load the same input again" in done.stderr
    assert "0 records" in done.stderr


@pytest.mark.parametrize(("more", "durable"), [({}, False), ({"fsync": "never"}, False), ({"fsync": "batch"}, True)])
def test_the_service_says_what_an_append_must_survive(
    world: World, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], durable: bool
) -> None:
    opened: list[LocalBus] = []
    real = LocalBus.ensure

    async def ensure(self: LocalBus, topic: str, partitions: int) -> None:
        opened.append(self)
        await real(self, topic, partitions)

    monkeypatch.setattr(LocalBus, "ensure", ensure)
    world.coordinator.more = dict(more)
    assert world.run().exit_code == 0
    assert [bus._durable for bus in opened] == [durable]
    world.coordinator.more = {"fsync": "sometimes"}
    assert world.run().exit_code == 1


def test_another_loader_proposed_another_dimension_first(world: World) -> None:
    world.coordinator.other_loader[("vertex", 0, 2)] = 3
    world.data("user,1,10,0.5:1\nuser,2,20,1:2:3\n")
    done = world.run()
    assert done.exit_code == 5
    assert [r.ids for r in world.records()] == [(2,)]
    assert "2 elements; the dimension is 3" in (world.folder / "d.csv.dead-letters").read_text()


def test_a_barrier_that_is_already_set_exits_1_and_says_what_to_do(world: World) -> None:
    done = world.run("--barrier", "taken")
    assert done.exit_code == 1
    assert "Barrier taken Already Set; its status is READY" in done.stderr
    assert "does not cover the data just loaded" in done.stderr
    assert "new name" in done.stderr
    assert len(world.records()) == 4


@pytest.mark.parametrize("status", ["PRODUCED", "SAMPLED", "READY"])
def test_a_barrier_that_was_set_before_the_load_does_not_pass_for_ours(world: World, status: str) -> None:
    world.coordinator.barriers["b"] = status
    done = world.run("--barrier", "b")
    assert done.exit_code == 1
    assert f"does not cover the data just loaded: it was {status} before" in done.stderr
    assert world.coordinator.posted("/admin/barrier/set") == []


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
    assert world.coordinator.barriers["b"] == "PRODUCED"


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
