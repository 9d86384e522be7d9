"""What a user does on the first day, on Kafka: the tests of `tests/e2e/test_main_path.py`, unchanged, over another service."""

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster as Processes
from tests.e2e.inputs import Graph
from tests.e2e.service import Service
from tests.e2e.test_main_path import (
    BARRIER,
    shop,
    test_an_item_that_is_asked_as_if_it_were_a_user_is_an_empty_ego_graph,
    test_barriers_tell_how_far_they_are,
    test_dgs_sample_shows_what_samples_answers,
    test_every_user_gets_the_ego_graph_that_follows_from_the_raw_file,
)
from tests.kafka.cluster import Cluster

__all__ = [
    "shop",
    "test_an_item_that_is_asked_as_if_it_were_a_user_is_an_empty_ego_graph",
    "test_barriers_tell_how_far_they_are",
    "test_dgs_sample_shows_what_samples_answers",
    "test_every_user_gets_the_ego_graph_that_follows_from_the_raw_file",
]


@pytest.fixture(scope="module")
def service(kafka: Cluster, shop: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two samplers, two frontends and a coordinator on Kafka, with the shop in it."""
    flags = ["--bus", kafka.url("main-path"), "--partitions", 4, "--serving-partitions", 4]
    service = Processes(tmp_path_factory.mktemp("service"), *shop.start_flags, *flags)
    try:
        service.start()
        loaded = service.load(shop.pattern_file, shop.data_file, "--reversed-edges", "i2i", "--barrier", BARRIER)
        assert loaded.code == 0, loaded.err
        service.wait(BARRIER)
        yield service
    finally:
        service.stop()
