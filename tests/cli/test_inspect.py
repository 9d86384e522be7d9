"""`dgs inspect` as it is typed: what it prints, what it says when something is wrong, and how it ends."""

import json
import shutil
from pathlib import Path

import pytest

from dgs.bus.base import RECORDS, SAMPLES
from tests.inspection.conftest import GARBAGE, World, world  # noqa: F401  # the fixture

from .conftest import Dgs


def test_logs_are_listed(dgs: Dgs, world: World) -> None:  # noqa: F811
    result = dgs("inspect", "log", "--data-dir", world.root)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [f"{t}/{p}" for t in (RECORDS, SAMPLES) for p in range(2)]
    found = json.loads(dgs("inspect", "log", "--data-dir", world.root, "--output", "json").output)
    assert [log["end"] for log in found["logs"][:2]] == world.positions


def test_entries_are_listed_from_a_position_on(dgs: Dgs, world: World) -> None:  # noqa: F811
    every = json.loads(dgs("inspect", "log", RECORDS, 0, "--data-dir", world.root, "--limit", 0, "--output", "json").output)
    assert every["end"] == every["entries"][-1]["next"] == world.positions[0]
    third = every["entries"][2]["position"]
    result = dgs("inspect", "log", RECORDS, 0, "--data-dir", world.root, "--from", third, "--limit", 1)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[0] == str(third)
    assert every["entries"][2]["summary"] in lines[1]
    assert f"go on with --from {every['entries'][3]['position']}" in result.stderr


def test_a_whole_log_is_verified(dgs: Dgs, world: World) -> None:  # noqa: F811
    result = dgs("inspect", "log", RECORDS, 0, "--data-dir", world.root, "--verify")
    assert result.exit_code == 0
    assert result.output.endswith("entries are whole, 1 of them no entries of dgs\n")
    result = dgs("inspect", "log", "--data-dir", world.root, "--verify")
    assert result.exit_code == 0
    assert result.output.count("  whole\n") == 4


@pytest.mark.parametrize("output", ["text", "json"])
def test_damage_ends_with_1_and_names_file_and_position(dgs: Dgs, world: World, tmp_path: Path, output: str) -> None:  # noqa: F811
    shutil.copytree(world.root, tmp_path / "state")
    file = tmp_path / "state" / "log" / SAMPLES / "1" / f"{0:020d}.log"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    arguments = ["--data-dir", tmp_path / "state", "--verify", "--output", output]
    result = dgs("inspect", "log", SAMPLES, 1, *arguments)
    assert result.exit_code == 1
    assert f"{file}: the entry at position" in result.stderr
    result = dgs("inspect", "log", *arguments)
    assert result.exit_code == 1
    assert f"{file}: the entry at position" in result.output
    if output == "json":
        assert [log["damage"] is None for log in json.loads(result.stdout)["logs"]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("sampler", ["committed at position", "history of mixed from b"]), ("serving", ["newest snapshot", "pending"])],
)
def test_partitions_are_summed_up(dgs: Dgs, world: World, kind: str, words: list[str]) -> None:  # noqa: F811
    result = dgs("inspect", "partition", kind, 1, "--data-dir", world.root)
    assert result.exit_code == 0, result.output
    for word in [f"{kind} partition 1", "queries: shop", "3 ab of a by topk_by_timestamp (query shop)", *words]:
        assert word in result.output
    found = json.loads(dgs("inspect", "partition", kind, 1, "--data-dir", world.root, "--output", "json").output)
    assert f"position {found['position']}, {found['log']['end'] - found['position']} bytes before" in result.output


def test_a_vertex_is_shown(dgs: Dgs, world: World) -> None:  # noqa: F811
    result = dgs("inspect", "vertex", "a", -2, "--data-dir", world.root, "--limit", 1)
    assert result.exit_code == 0
    assert 'record: timestamp 48  vec=[4.0, 0.5]  name="v4"' in result.output
    assert "  b -16 at 104, score 104  " in result.output
    assert "history: 5 edges, the newest:\n  ab to b -16 at 104" in result.output
    found = json.loads(dgs("inspect", "vertex", "a", -2, "--data-dir", world.root, "--output", "json").output)
    assert (found["type"], found["id"], found["history"]["count"]) == ("a", -2, 5)


def test_dead_letters_are_listed(dgs: Dgs, world: World) -> None:  # noqa: F811
    (letter,) = json.loads(dgs("inspect", "dead-letters", "--data-dir", world.root, "--output", "json").output)["dead_letters"]
    assert (letter["topic"], letter["partition"], letter["size"]) == (RECORDS, 0, len(GARBAGE))
    assert bytes.fromhex(letter["first_bytes"]) == GARBAGE[:16]
    assert letter["when"]
    result = dgs("inspect", "dead-letters", "--data-dir", world.root)
    assert f"{RECORDS}/0 at {letter['position']}  {letter['when']}" in result.output
    assert letter["reason"] in result.output


def test_no_dead_letters(dgs: Dgs, world: World, tmp_path: Path) -> None:  # noqa: F811
    shutil.copytree(world.root, tmp_path / "state")
    shutil.rmtree(tmp_path / "state" / "dead-letters")
    result = dgs("inspect", "dead-letters", "--data-dir", tmp_path / "state")
    assert (result.exit_code, result.output) == (0, "no dead letters\n")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["log", "other", 0], 1, "there is no topic 'other'; there are record-batches and sample-batches"),
        (["log", RECORDS, 2], 1, "record-batches has partitions 0 to 1, no 2"),
        (["log", RECORDS], 2, "give TOPIC and PARTITION, or neither"),
        (["log", RECORDS, 0, "--from", 1 << 40], 2, "is beyond the end of the log"),
        (["partition", "sampler", 2], 1, "sampler has partitions 0 to 1, no 2"),
        (["partition", "serving", 5], 1, "serving has partitions 0 to 1, no 5"),
        (["vertex", "user", 1], 1, "the schema has no vertex type 'user'; it has a, b"),
    ],
)
def test_what_is_not_there_is_told(dgs: Dgs, world: World, arguments: list[object], code: int, told: str) -> None:  # noqa: F811
    result = dgs("inspect", *arguments, "--data-dir", world.root)
    assert result.exit_code == code
    assert told in result.stderr


@pytest.mark.parametrize("command", [["log"], ["partition", "sampler", 0], ["vertex", "a", 1], ["dead-letters"]])
def test_a_folder_without_a_deployment_is_no_data_directory(dgs: Dgs, tmp_path: Path, command: list[object]) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        result = dgs("inspect", *command, "--data-dir", folder)
        assert result.exit_code == 2
        assert f"{folder} is no data directory: it has no deployment.json" in result.stderr
    assert list(tmp_path.iterdir()) == []
