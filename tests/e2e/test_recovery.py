"""What each kind of damage says, and the command that it names: tried, and the answers are right afterwards."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import run, until
from tests.e2e.service import Service
from tests.e2e.test_checkpoints import checkpoint, create, restored

Damage = Callable[[Service], None]


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def table_of_sampler(service: Service) -> None:
    for table in (service.data_dir / "sampler" / "0").glob("*.sst"):
        flip(table)


def current_of_sampler(service: Service) -> None:
    (service.data_dir / "sampler" / "0" / "CURRENT").write_text("nothing")


@pytest.fixture
def checkpointed(new_service: NewService, graph: Graph) -> Service:
    """A stopped service, of which there is a checkpoint, and which has taken half of the data since."""
    service = new_service(*graph.start_flags)
    service.start()
    service.load_lines(graph.pattern_file, graph.lines[:2000], "half")
    create(service)
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "whole").code == 0
    service.wait("whole")
    service.kill_all()
    return service


def refused(service: Service) -> str:
    """Start a service that cannot go on; return what it says."""
    service.start(ready=False)
    until("it gives up", lambda: service.process is not None and service.process.poll() is not None)
    assert service.ended() == 1
    assert "Traceback" not in service.said()
    return service.said()


def restore(service: Service, partition: str) -> str:
    """Put a partition's state back as the error says; return what the command says."""
    done = run("dgs", "checkpoint", "restore", "--partition", partition, "--data-dir", service.data_dir, cwd=service.folder)
    assert done.code == 0, done.err
    return done.err


@pytest.mark.slow
@pytest.mark.parametrize("damage", [table_of_sampler, current_of_sampler])
def test_a_damaged_sampler_partition_gets_its_state_back(checkpointed: Service, graph: Graph, damage: Damage) -> None:
    damage(checkpointed)
    said = refused(checkpointed)
    assert str(checkpointed.data_dir / "sampler" / "0") in said
    assert "`dgs checkpoint restore --partition sampler/0 --data-dir DIR`" in said
    assert "sampler/0 goes on from position" in restore(checkpointed, "sampler/0")
    assert (checkpointed.data_dir / "sampler" / "0.replaced-1").exists()
    checkpointed.start()
    checkpointed.wait("whole")
    assert not wrong(checkpointed, graph, graph.oracle(), graph.seeds())


@pytest.mark.slow
def test_lost_partitions_of_both_kinds_get_their_state_back_and_one_without_reads_the_log(
    checkpointed: Service, graph: Graph
) -> None:
    for folder in ("sampler/0", "sampler/1", "serving"):
        shutil.rmtree(checkpointed.data_dir / folder, ignore_errors=True)
    restore(checkpointed, "sampler/0")
    restore(checkpointed, "serving/1")
    checkpointed.start()
    checkpointed.wait("whole")
    assert not wrong(checkpointed, graph, graph.oracle(), graph.seeds())


@pytest.mark.slow
def test_a_lost_log_and_a_damaged_coordinator_are_restored_as_a_whole(
    checkpointed: Service, new_service: NewService, graph: Graph
) -> None:
    state = checkpointed.data_dir / "coordinator" / "state.json"
    sound = state.read_bytes()
    flip(state)
    said = refused(checkpointed)
    assert f"{state} is damaged" in said
    assert "`dgs checkpoint restore --data-dir NEW`" in said
    state.write_bytes(sound)
    shutil.rmtree(checkpointed.data_dir / "log" / "record-batches")
    assert "`dgs checkpoint restore --data-dir NEW`" in refused(checkpointed)
    # The refused start may or may not have come to make empty files of it.
    shutil.rmtree(checkpointed.data_dir / "log" / "record-batches", ignore_errors=True)
    where = ["--data-dir", checkpointed.data_dir]
    done = run("dgs", "checkpoint", "restore", "--partition", "sampler/0", *where, cwd=checkpointed.folder)
    assert done.code == 1
    assert "`dgs checkpoint restore --data-dir NEW`" in done.err
    copy = restored(new_service, checkpointed)
    copy.start()
    assert not wrong(copy, graph, graph.oracle(graph.lines[:2000]), graph.seeds())


@pytest.mark.slow
def test_what_must_not_be_restored_is_refused(checkpointed: Service, new_service: NewService, graph: Graph) -> None:
    into = ["restore", "--data-dir"]
    full = checkpoint(checkpointed, *into, checkpointed.data_dir)
    assert full.code == 2
    assert "is not empty: a checkpoint is restored into a new folder" in full.err
    assert checkpoint(checkpointed, "restore", "nothing", "--data-dir", checkpointed.folder / "new").code == 1
    assert not (checkpointed.folder / "new").exists()
    for name, said in (("sampler/4", "no sampler/4"), ("log/0", "is no partition"), ("sampler/x", "is no partition")):
        refusal = checkpoint(checkpointed, *into, checkpointed.data_dir, "--partition", name)
        assert (refusal.code, said in refusal.err) == (2, True), refusal.err

    # Parts of the old deployment are refused in the new one, and the other way round.
    copy = restored(new_service, checkpointed)
    name = next((checkpointed.data_dir / "checkpoints" / "checkpoints").iterdir()).name
    other = checkpoint(checkpointed, "restore", name, "--data-dir", copy.data_dir, "--partition", "sampler/0")
    assert other.code == 1
    assert "their logs differ" in other.err
    shutil.rmtree(copy.data_dir / "sampler" / "0")
    shutil.copytree(checkpointed.data_dir / "sampler" / "0", copy.data_dir / "sampler" / "0")
    assert "it belongs to another log" in refused(copy)

    checkpointed.start()
    running = checkpoint(checkpointed, *into, checkpointed.data_dir, "--partition", "sampler/0")
    assert running.code == 1
    assert "is already served by pid" in running.err


@pytest.mark.slow
def test_a_damaged_checkpoint_is_noticed_and_leaves_nothing_behind(checkpointed: Service) -> None:
    largest = max((checkpointed.data_dir / "checkpoints" / "objects").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    flip(largest)
    verified = checkpoint(checkpointed, "verify")
    assert verified.code == 1
    assert f"{largest.name} of " in verified.err
    target = checkpointed.folder / "new"
    broken = checkpoint(checkpointed, "restore", "--data-dir", target)
    assert broken.code == 1
    assert f"{largest.name} of " in broken.err
    assert not target.exists()
    # Without the object, the next checkpoint sends it again.
    largest.unlink()
    assert checkpoint(checkpointed, "verify").code == 1
    checkpointed.start()
    create(checkpointed)
    assert checkpoint(checkpointed, "verify").code == 0
