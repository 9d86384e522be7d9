"""Destinations of every kind: a folder, memory, and an object store that is asked over its real protocol."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgs.store.destination import Destination
from tests.s3 import BUCKET, s3_service


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """One service for all tests: clients of it are kept by the library."""
    with s3_service() as environment:
        yield environment


@pytest.fixture(params=["folder", "memory", "s3"])
def destination(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Destination:
    """An empty place of each kind."""
    if request.param == "folder":
        return Destination(str(tmp_path / "place"))
    if request.param == "memory":
        return Destination(f"memory://{uuid.uuid4()}/place")
    for name, value in request.getfixturevalue("s3_environment").items():
        monkeypatch.setenv(name, value)
    return Destination(f"s3://{BUCKET}/{uuid.uuid4()}/place")
