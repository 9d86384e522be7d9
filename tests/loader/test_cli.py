"""The command: flags, exit codes, and what it prints. Real bus files, a fake coordinator."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dgs_loader.cli import main

from dgs.bus.local import LocalBus
from dgs.core.types import Position
from tests.loader.conftest import PATTERN
from tests.loader.world import GOOD, World


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
    assert [json.loads(x) for x in world.coordinator.posted("/barriers/b")] == [{"count": 2, "loader_id": 1}]
    assert f"`dgs barrier wait --server {world.coordinator.url} b` returns" in done.stderr


@pytest.mark.parametrize(("name", "word"), [("a b", "'a b'"), ("$(x)/ü", "'$(x)/ü'"), ("-x", "-- -x")])
def test_the_command_that_waits_for_the_barrier_can_be_copied(world: World, name: str, word: str) -> None:
    done = world.run("--barrier", name)
    assert done.exit_code == 0, done.output
    assert world.coordinator.barrier(name)["state"] == "PRODUCED"
    assert f"`dgs barrier wait --server {world.coordinator.url} {word}` returns" in done.stderr


def test_the_dead_letter_file_can_be_named_and_is_replaced(world: World) -> None:
    path = world.folder / "dead.jsonl"
    path.write_text("old\n")
    assert world.run("--dead-letter", str(path)).exit_code == 0
    assert path.read_text() == "old\n"
    world.data("oops\n")
    assert world.run("--dead-letter", str(path)).exit_code == 5
    assert [json.loads(x)["text"] for x in path.read_text().splitlines()] == ["oops"]
    assert world.run("--dead-letter", str(world.folder / "missing" / "x")).exit_code == 1


@pytest.mark.parametrize("target", ["d.csv", "p.pattern"])
def test_dead_letters_never_overwrite_an_input_under_any_name(world: World, target: str) -> None:
    world.data("oops\n")
    path = world.folder / target
    kept = path.read_text()
    (world.folder / "sub").mkdir()
    (world.folder / "symlink").symlink_to(path)
    (world.folder / "hardlink").hardlink_to(path)
    for name in (str(path), f"sub/../{target}", "symlink", "hardlink"):
        done = world.run("--dead-letter", name)
        assert (done.exit_code, path.read_text()) == (2, kept)
        assert "itself, which would be lost" in re.sub(r"\s+", " ", done.stderr)


def test_the_environment_says_where_the_service_is_and_how_long_it_is_tried_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DGS_SERVER", world.coordinator.url)
    assert CliRunner().invoke(main, world.arguments()[2:]).exit_code == 0
    world.coordinator.stop()
    monkeypatch.setenv("DGS_RETRY_TIMEOUT_S", "0.2")
    done = CliRunner().invoke(main, world.arguments()[2:])
    assert (done.exit_code, "for 0.2 s" in done.stderr) == (3, True)
    assert done.stderr.startswith(f"dgs-loader: no usable answer from {world.coordinator.url}")
    monkeypatch.setenv("DGS_SERVER", "http://[::1")
    assert CliRunner().invoke(main, world.arguments()[2:]).exit_code == 2


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
        (["--barrier", "x" * 201], "the name of a barrier may have 200 characters"),
        (["--barrier", "a\nb"], "must not hold control characters"),
        (["--barrier", "b", "--barrier-count", "65537"], "--barrier-count"),
        (["--barrier", "b", "--loader-id", str(1 << 63)], "--loader-id"),
        (["--reversed-edges", "i2i;ghost"], "the schema has no edge type 'ghost'; it has i2i, u2i"),
        (["--pattern-file", "/no/such/file"], "does not exist"),
        (["--data-file", "/no/such/file"], "does not exist"),
        (["--dgs-service-host", "ftp://x"], "is no server"),
        (["--dgs-service-host", "http://[::1"], "is no server"),
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

    async def ensure(self: LocalBus, topic: str, partitions: int, log_id: str) -> None:
        opened.append(self)
        await real(self, topic, partitions, log_id)

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


def test_a_barrier_that_is_set_during_the_load_exits_1_and_says_what_to_do(world: World) -> None:
    world.coordinator.refused.add("taken")
    done = world.run("--barrier", "taken")
    assert done.exit_code == 1
    assert "barrier 'taken' is refused (Barrier taken Already Set.)" in done.stderr
    assert "does not cover the data just loaded" in done.stderr
    assert "new name" in done.stderr
    assert len(world.records()) == 4
    assert set(done.stdout.splitlines()) <= world.ends()
    assert done.stdout


@pytest.mark.parametrize(
    ("count", "loaders", "words"),
    [
        (1, [0], "barrier 'b' was set before (it is PRODUCED)"),
        (2, [0, 5], "barrier 'b' was set before (it is PRODUCED)"),
        (3, [0], "barrier 'b' is one of 3 loaders, not of 2"),
        (2, [1], "barrier 'b' was set by loader 1 before"),
    ],
)
def test_a_barrier_that_cannot_be_set_is_told_before_anything_is_loaded(
    world: World, count: int, loaders: list[int], words: str
) -> None:
    for loader in loaders:
        world.coordinator.set_barrier("b", count, loader)
    done = world.run("--barrier", "b", "--barrier-count", "2", "--loader-id", "1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"dgs-loader: {words}, so it would not cover this load. Nothing is loaded; choose a new name." in done.stderr
    assert (world.records(), world.coordinator.posted("/barriers/b")) == ([], [])


def test_a_barrier_that_another_loader_of_the_same_count_has_set_is_completed(world: World) -> None:
    world.coordinator.set_barrier("b", 2, 0)
    assert world.run("--barrier", "b", "--barrier-count", "2", "--loader-id", "1").exit_code == 0
    assert world.coordinator.barrier("b")["state"] == "PRODUCED"


def test_two_loads_at_once_do_not_share_a_barrier_by_mistake(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = LocalBus.append

    async def append(self: LocalBus, *arguments: Any, **named: Any) -> Any:
        world.coordinator.set_barrier("b", 1, 0)
        return await real(self, *arguments, **named)

    monkeypatch.setattr(LocalBus, "append", append)
    done = world.run("--barrier", "b")
    assert done.exit_code == 1
    assert "was set before (it is PRODUCED), so it does not cover the data just loaded" in done.stderr
