"""What tests of several folders share: Kafka clusters, started once and when first asked for; and how examples are looked for.

Hypothesis looks for new examples on a developer's machine; continuous integration tries the same ones every time.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.kafka.cluster import Cluster
from tests.kafka.jars import MissingError
from tests.lacking import lacking

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one broker; tests have topics of their own in it."""
    yield from started(tmp_path_factory, 1)


@pytest.fixture(scope="session")
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of three."""
    yield from started(tmp_path_factory, 3)


def started(folders: pytest.TempPathFactory, size: int) -> Iterator[Cluster]:
    """Give a running cluster; skip where it cannot be, but not in continuous integration."""
    try:
        cluster = Cluster.made(folders.mktemp("kafka") / str(size), size)
    except MissingError as e:
        lacking(str(e))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
