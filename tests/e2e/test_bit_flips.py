"""A bit flipped in each kind of file: made good from what else is there, or named with the command that repairs it.

Tables of RocksDB, the coordinator's state, objects of checkpoints, and the repairs are in `test_recovery`, snapshots in
`test_snapshots`.
"""

import shutil
from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import run, until
from tests.e2e.service import Service
from tests.e2e.test_checkpoints import checkpoint, create
from tests.e2e.test_recovery import flip, refused

HALF = 2000
ANEW = "`dgs checkpoint restore --data-dir NEW`"


@pytest.fixture(scope="module")
def standing(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a service that was killed: with two checkpoints, and half of the data loaded behind them."""
    service = Service(tmp_path_factory.mktemp("standing"), *graph.start_flags)
    try:
        service.start()
        service.load_lines(graph.pattern_file, graph.lines[:HALF], "half")
        create(service)
        create(service)
        assert service.load(graph.pattern_file, graph.data_file, "--barrier", "whole").code == 0
        service.wait("whole")
        service.kill_all()
    finally:
        service.stop()
    return service.data_dir


@pytest.fixture
def service(new_service: NewService, standing: Path) -> Service:
    """A service over a copy of that, not started."""
    service = new_service()
    shutil.copytree(standing, service.data_dir)
    return service


@pytest.fixture
def manifest(service: Service) -> Path:
    """The manifest of the newest checkpoint."""
    return max((service.data_dir / "checkpoints" / "checkpoints").glob("*/manifest.json"))


@pytest.mark.slow
def test_what_the_logs_and_other_checkpoints_have_too_is_made_good(service: Service, graph: Graph, manifest: Path) -> None:
    harmed = [*service.data_dir.glob("log/*/*/end"), *service.data_dir.glob("sampler/*/*.log")]
    assert len(harmed) >= 4 + 2 + 4
    for path in (*harmed, manifest):
        flip(path)
    service.start("--checkpoint-interval-s", 0.5)
    service.wait("whole")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
    until("checkpoints go on", lambda: service.get("/checkpoints").json()["checkpoints"][0]["id"] > manifest.parent.name)
    assert f"a checkpoint is damaged; remove its folder id={manifest.parent.name}" in service.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("topic", ["record-batches", "sample-batches"])
def test_a_log_is_named_with_file_and_position_by_whoever_reads_it(service: Service, topic: str) -> None:
    (harmed,) = (service.data_dir / "log" / topic / "0").glob("*.log")
    flip(harmed)
    verified = run("dgs", "inspect", "log", "--verify", "--data-dir", service.data_dir, cwd=service.folder)
    assert verified.code == 1
    assert f"{harmed}: the entry at position" in verified.out + verified.err
    # What a sampler has committed, it does not read again.
    shutil.rmtree(service.data_dir / "sampler" / "0")
    said = refused(service)
    assert f"{harmed}: the entry at position" in said
    assert ANEW in said


@pytest.mark.slow
def test_what_rocksdb_knows_of_its_tables_is_named(service: Service) -> None:
    flip(next((service.data_dir / "sampler" / "0").glob("MANIFEST-*")))
    said = refused(service)
    assert str(service.data_dir / "sampler" / "0") in said
    assert "`dgs checkpoint restore --partition sampler/0 --data-dir DIR`" in said


def test_what_is_fixed_for_the_deployment_is_named(service: Service) -> None:
    flip(service.data_dir / "deployment.json")
    ended = run("dgs", "up", "--data-dir", service.data_dir, "--port", service.port, cwd=service.folder)
    assert ended.code == 1
    assert f"{service.data_dir / 'deployment.json'} is damaged" in ended.err
    assert ANEW in ended.err


def test_the_manifest_of_a_checkpoint_is_named_and_an_older_one_is_whole(service: Service, manifest: Path) -> None:
    flip(manifest)
    for command in (["verify"], ["restore", "--data-dir", service.folder / "new"]):
        ended = checkpoint(service, *command)
        assert ended.code == 1
        assert manifest.parent.name in ended.err
        assert "use another checkpoint" in ended.err
    assert not (service.folder / "new").exists()
    older = min(p.name for p in manifest.parent.parent.iterdir())
    assert checkpoint(service, "verify", older).out.startswith(f"{older} is whole")
