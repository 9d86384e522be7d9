"""What is looked into: a data directory, its logs wherever they are, and errors that name what there is."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dgs.bus.base import RECORDS
from dgs.core.errors import InputError, NotFoundError, StateError
from dgs.datadir import DataDir
from dgs.inspection.subject import Subject
from tests.inspection.conftest import P, World


def with_bus(world: World, folder: Path, bus: str) -> Subject:
    """Copy deployment.json, with its logs on another bus."""
    folder.mkdir()
    deployment = world.directory.read()
    assert deployment is not None
    DataDir(folder).write(replace(deployment, bus=bus))
    return Subject(folder)


def test_logs_on_another_local_bus_are_found(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.directory.log, tmp_path / "a b")
    subject = with_bus(world, tmp_path / "state", f"local://{tmp_path}/a%20b")
    assert subject.log_files(RECORDS, P - 1) == tmp_path / "a b" / RECORDS / str(P - 1)


def test_logs_that_are_in_no_files_are_told(world: World, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="are on memory://, not in files of this host"):
        with_bus(world, tmp_path / "state", "memory://").log_files(RECORDS, 0)


def test_a_sampler_without_a_commit_has_no_state(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="sampler partition 1 has no state yet"):
        with_bus(world, tmp_path / "state", "").sampler(1)


def test_what_holds_no_deployment_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no data directory: it has no deployment\.json"):
        Subject(tmp_path)


def test_barriers_are_known_by_name(world: World) -> None:
    assert list(world.subject.barrier_names().values()) == ["loaded"]
