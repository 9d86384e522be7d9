"""The snapshots of a serving partition, and the summary of the newest that can be read."""

import json
import re
import shutil
from pathlib import Path

import pytest

from dgs.core.errors import NotFoundError
from dgs.core.partition import partition_of
from dgs.inspection.partition import describe_serving_partition
from tests.inspection.conftest import S, World, content


def test_it_sums_up_the_newest_snapshot(world: World) -> None:
    for s in range(S):
        found = describe_serving_partition(world.subject, s)
        json.dumps(found)
        assert (found["kind"], found["partition"], found["control"]) == ("serving", s, 2)
        (snapshot,) = found["snapshots"]
        assert found["position"] == snapshot["position"] <= found["log"]["end"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", snapshot["written_at"])
        assert [c["reflected"] for c in found["channels"]] == world.positions
        seeds = [v for v in range(-3, 4) if partition_of(v, S) == s]
        operators = {o.get("samples", o["of"]): o for o in found["operators"]}
        assert (operators["ab"]["rows"], operators["ab"]["slots"]) == (len(seeds), 3 * len(seeds))
        named = {10 * seed + i for seed in seeds for i in (2, 3, 4)}
        assert operators["mixed"]["needed_rows"] == operators["mixed"]["subscribed_rows"] == len(named)
        assert operators["mixed"]["slots"] == 2 * len(named)
        assert operators["mixed"]["pending_rows"] == 0
        assert found["vertices"]["a"] >= len(seeds)
        assert found["damaged"] == []


def test_a_damaged_snapshot_is_told_and_left_alone(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.root, tmp_path / "state")
    copy = World(tmp_path / "state")
    (file,) = copy.directory.serving(0).glob("*.snapshot")
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.with_name(f"{int(file.stem) + 8:020d}.snapshot").write_bytes(data)
    before = content(copy.root)
    found = describe_serving_partition(copy.subject, 0)
    assert found["position"] == int(file.stem)
    assert ["damage" in s for s in found["snapshots"]] == [True, False]
    file.unlink()
    with pytest.raises(NotFoundError, match=r"no snapshot; damaged: .*\.snapshot is damaged"):
        describe_serving_partition(copy.subject, 0)
    assert content(copy.root) == {p: c for p, c in before.items() if p != file} | {file.parent: content(copy.root)[file.parent]}


def test_without_a_snapshot_there_is_nothing_to_sum_up(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.root, tmp_path / "state")
    shutil.rmtree(tmp_path / "state" / "serving")
    with pytest.raises(NotFoundError, match="serving partition 1 has no snapshot yet: it starts from its log"):
        describe_serving_partition(World(tmp_path / "state").subject, 1)
