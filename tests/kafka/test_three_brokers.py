"""Three brokers, TLS and a password: JODIE Wikipedia, of which every answer equals the oracle's, though brokers die meanwhile."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.client.test_service import jodie
from tests.e2e.answers import wrong
from tests.e2e.cluster import Cluster as Processes
from tests.e2e.processes import ENVIRONMENT
from tests.kafka.cluster import Cluster

LOAD_S = 8.0


@pytest.fixture
def stop_at_the_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_jodie_while_brokers_die_one_after_the_other(
    three_brokers: Cluster, stop_at_the_end: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in three_brokers.security("SCRAM-SHA-512").items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    graph, seeds = jodie(tmp_path)
    size = ("--partitions", 4, "--serving-partitions", 4)
    service = Processes(tmp_path, *graph.start_flags, *size, "--bus", three_brokers.url("jodie", "SASL_SSL"))
    stop_at_the_end.callback(service.stop)
    service.start()
    loader = service.begin_load(graph.pattern_file, "--reversed-edges", "edits", "--barrier", "loaded")
    loader.feed(graph.lines, LOAD_S)
    for broker in three_brokers.brokers[1:]:
        broker.kill()
        three_brokers.until_led("jodie.record-batches")
        broker.start()
        broker.until_listening()
        three_brokers.until_in_sync()
    ended = loader.finish()
    assert ended.code == 0, ended.err
    service.wait("loaded", 90.0)
    assert not wrong(service, graph, graph.oracle(), seeds)
    assert service.terminate() == 0
    assert service.said().count("a password") == 0
