"""The data directory: made once, checked ever after, and held by one process at a time."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dgs.core.control import INSTALL, ControlItem
from dgs.core.deployment import EMISSION_VERSION, Beginning
from dgs.core.errors import InputError, StateError
from dgs.core.schema import Schema
from dgs.datadir import DataDir, Defaults, Lock, Wanted, checksum

DOCUMENT = {
    "attr_defs": [{"type": 0, "name": "timestamp", "value_type": "INT64"}],
    "vertex_defs": [{"vtype": 0, "name": "user", "attr_types": [0]}],
    "edge_defs": [{"etype": 1, "name": "knows", "attr_types": [0]}],
    "edge_relation_defs": [{"etype": 1, "src_vtype": 0, "dst_vtype": 0}],
}
SCHEMA = Schema.parse(json.dumps(DOCUMENT))
DEFAULTS = Defaults(partitions=4, serving_partitions=2, idle_items=4096)


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "state")
    made.make()
    return made


def edit(directory: DataDir, **changes: object) -> None:
    """Change what stands in the file, with a checksum that fits."""
    document = json.loads(directory.deployment_file.read_text()) | changes
    directory.deployment_file.write_text(json.dumps(document | {"crc32": checksum(document)}))


def test_a_new_deployment_gets_the_defaults_and_stays_what_it_is(directory: DataDir) -> None:
    assert directory.read() is None
    first = directory.establish(Wanted(SCHEMA), DEFAULTS)
    assert (first.partitions, first.serving_partitions, first.idle_items, first.generation) == (4, 2, 4096, 1)
    assert first.emission_version == EMISSION_VERSION
    again = directory.establish(Wanted(), Defaults(partitions=9, serving_partitions=9, idle_items=9))
    assert again == first
    assert json.loads(directory.deployment_file.read_text())["format"] == 1


def test_given_values_win_over_defaults_and_two_deployments_have_two_log_ids(tmp_path: Path) -> None:
    ids = set()
    for name in "ab":
        directory = DataDir(tmp_path / name)
        directory.make()
        deployment = directory.establish(Wanted(SCHEMA, partitions=3, serving_partitions=1, idle_items=7), DEFAULTS)
        assert (deployment.partitions, deployment.serving_partitions, deployment.idle_items) == (3, 1, 7)
        ids.add(deployment.log_id)
    assert len(ids) == 2


def test_where_a_new_deployment_begins_is_kept_and_another_start_is_refused(directory: DataDir) -> None:
    order = ControlItem(1, INSTALL, {"id": 0, "name": "é", "plan": {}})
    beginning = Beginning("1500", (3, 1 << 60), (order,))
    first = directory.establish(Wanted(SCHEMA, start_at="1500"), dataclasses.replace(DEFAULTS, partitions=2, beginning=beginning))
    assert (first.beginning, directory.read()) == (beginning, first)
    assert [first.begin(p) for p in range(2)] == [3, 1 << 60]
    assert directory.establish(Wanted(SCHEMA, start_at="1500"), DEFAULTS) == first
    assert directory.establish(Wanted(), DEFAULTS) == first
    with pytest.raises(StateError, match="--start-at is 1500 there and latest was asked for"):
        directory.establish(Wanted(start_at="latest"), DEFAULTS)
    for damaged in ({"at": "1500"}, [1], {**beginning.to_json(), "orders": [3]}):
        edit(directory, beginning=damaged)
        with pytest.raises(StateError, match=r"deployment\.json is damaged"):
            directory.read()


def test_a_start_that_a_deployment_did_not_have_is_refused(directory: DataDir) -> None:
    first = directory.establish(Wanted(SCHEMA), DEFAULTS)
    assert (first.beginning, first.first_orders, first.begin(3)) == (None, (), 0)
    with pytest.raises(StateError, match="--start-at is not given there and earliest was asked for"):
        directory.establish(Wanted(start_at="earliest"), DEFAULTS)


def test_the_same_schema_in_another_order_of_keys_is_the_same(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    turned = Schema.parse(json.dumps(dict(reversed(DOCUMENT.items())), indent=3))
    directory.establish(Wanted(turned), DEFAULTS)


def test_another_p_and_s_are_refused_together_with_both_values(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    with pytest.raises(StateError) as caught:
        directory.establish(Wanted(SCHEMA, partitions=8, serving_partitions=3), DEFAULTS)
    message = str(caught.value)
    assert "--partitions is 4 there and 8 was asked for" in message
    assert "--serving-partitions is 2 there and 3 was asked for" in message
    assert "new --data-dir" in message


def test_another_schema_is_refused_and_the_difference_shown(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    other = json.loads(json.dumps(DOCUMENT).replace("knows", "likes"))
    with pytest.raises(StateError, match=r"edge_defs has .*knows.* there and .*likes"):
        directory.establish(Wanted(Schema.parse(json.dumps(other))), DEFAULTS)


def test_a_new_directory_needs_a_schema(directory: DataDir) -> None:
    with pytest.raises(InputError, match="needs --schema FILE"):
        directory.establish(Wanted(), DEFAULTS)
    assert directory.read() is None


def test_a_newer_format_is_refused(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    edit(directory, format=2, partitions="something else by then")
    with pytest.raises(StateError, match="has format 2, this program reads up to 1"):
        directory.read()


def test_a_newer_emission_version_is_refused(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    edit(directory, emission_version=EMISSION_VERSION + 1)
    with pytest.raises(StateError, match=rf"begun with emission version {EMISSION_VERSION + 1}, this program emits in version"):
        directory.read()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"format": true}', b'{"format": 1}', b"\xff\xfe\xff"])
def test_a_damaged_file_is_named(directory: DataDir, text: bytes) -> None:
    directory.deployment_file.write_bytes(text)
    with pytest.raises(StateError, match=r"deployment\.json is damaged"):
        directory.read()


@pytest.mark.parametrize("changes", [{"partitions": "4"}, {"generation": -1}, {"schema": {}}])
def test_a_damaged_value_is_named(directory: DataDir, changes: dict[str, object]) -> None:
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    edit(directory, **changes)
    with pytest.raises(StateError, match=r"deployment\.json is damaged"):
        directory.read()


def test_any_flipped_bit_is_noticed(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    sound = directory.deployment_file.read_bytes()
    for at in range(len(sound)):
        directory.deployment_file.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << at % 8]) + sound[at + 1 :])
        with pytest.raises(StateError, match=r"deployment\.json (is damaged|has format)"):
            directory.read()


def test_a_torn_first_write_leaves_no_deployment(directory: DataDir) -> None:
    directory.deployment_file.with_suffix(".tmp").write_text('{"format": 1, "log')
    assert directory.read() is None
    directory.establish(Wanted(SCHEMA), DEFAULTS)
    assert directory.read() is not None


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"its parent .*missing is not a directory"):
        DataDir(tmp_path / "missing" / "state").make()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="is a file"):
        DataDir(tmp_path / "state").make()


def test_a_read_only_place_is_named() -> None:
    place = Path("/proc/self/fdinfo") if os.geteuid() == 0 else Path("/")
    with pytest.raises(StateError, match=r"cannot be (written|used)"):
        DataDir(place / "dgs-test-state").make()


def test_one_process_holds_a_lock(directory: DataDir) -> None:
    with directory.lock("up"), pytest.raises(StateError, match=rf"is already served by pid {os.getpid()}"):
        directory.lock("up", wait_s=0)
    directory.lock("up", wait_s=0).release()


def test_locks_of_different_owners_do_not_meet(directory: DataDir) -> None:
    with directory.lock("sampler-0"), directory.lock("sampler-1", wait_s=0), directory.lock("frontend", wait_s=0):
        pass


def test_a_lock_waits_for_a_predecessor_that_goes_down(directory: DataDir) -> None:
    path = directory.root / "locks" / "up.lock"
    script = (
        f"import fcntl, time; f = open({str(path)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX);print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StateError, match="already served by another process"):
            Lock.acquire(path, "it", wait_s=0.1)
        holder.kill()
        Lock.acquire(path, "it", wait_s=3).release()


def test_a_child_does_not_inherit_a_lock(directory: DataDir) -> None:
    lock = directory.lock("up")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()
        directory.lock("up", wait_s=0).release()
        assert child.stdin is not None
        child.stdin.close()
        child.wait(10)


def test_the_bus_is_fixed_too(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA, bus="local:///elsewhere"), DEFAULTS)
    assert directory.establish(Wanted(), DEFAULTS).bus == "local:///elsewhere"
    with pytest.raises(StateError, match="--bus is local:///elsewhere there and local:///here was asked for"):
        directory.establish(Wanted(bus="local:///here"), DEFAULTS)


def test_brokers_of_kafka_may_be_others_but_not_the_topics(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA, bus="kafka://b1:9092/shop"), DEFAULTS)
    assert directory.establish(Wanted(bus="kafka://b2:9092,b3:9092/shop"), DEFAULTS).bus == "kafka://b2:9092,b3:9092/shop"
    assert directory.establish(Wanted(), DEFAULTS).bus == "kafka://b2:9092,b3:9092/shop"
    for other in ("kafka://b2:9092/other", "kafka://b2:9092", "local:///shop"):
        with pytest.raises(StateError, match="--bus is"):
            directory.establish(Wanted(bus=other), DEFAULTS)


def test_a_directory_whose_logs_were_in_memory_is_not_used_again(directory: DataDir) -> None:
    directory.establish(Wanted(SCHEMA, bus="memory://"), DEFAULTS)
    with pytest.raises(StateError, match="give a new --data-dir"):
        directory.establish(Wanted(), DEFAULTS)
