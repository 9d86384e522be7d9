"""Kill -9 of processes and of a broker, and faults of the network, during a load on Kafka: nothing is lost, nothing goes back."""

import random
import time
from collections.abc import Callable

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph, write_graph
from tests.e2e.service import Service
from tests.e2e.test_kill import kill_a_sampler, kill_the_frontend, kill_the_whole_group
from tests.e2e.watcher import Watcher
from tests.kafka.cluster import Cluster
from tests.kafka.proxy import Proxy

LINES, BEFORE = 12_000, 2_000
LOAD_S = 4.0
PARTITIONS, SERVING = 4, 4

Fault = Callable[[], None]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return write_graph(tmp_path_factory.mktemp("large"), LINES, users=150, items=600, seed=3)


def started(new_service: NewService, large: Graph, url: str) -> Service:
    """Return a service with the first lines loaded and servable."""
    size = ("--partitions", PARTITIONS, "--serving-partitions", SERVING, "--samplers", 2)
    service = new_service(*large.start_flags, *size, "--bus", url)
    service.start()
    service.load_lines(large.pattern_file, large.lines[:BEFORE], "before")
    return service


def loads_whole(service: Service, large: Graph, *faults: Fault) -> None:
    """Load the rest while these things happen; nothing that was servable once goes away, and in the end all of it is there."""
    with Watcher(service, large.seeds(), SERVING) as watcher:
        loader = service.begin_load(large.pattern_file, "--barrier", "after")
        loader.feed(large.lines[BEFORE:], LOAD_S)
        for fault in faults:
            fault()
        ended = loader.finish()
        assert ended.code == 0, ended.err
        assert f"{LINES - BEFORE} lines, {LINES - BEFORE} records" in ended.err
        service.wait("after", 90.0)
        service.until_ready()
    assert not watcher.backward
    assert watcher.seen > 10
    seeds = large.seeds()
    assert not wrong(service, large, large.oracle(), random.Random(0).sample(seeds, min(len(seeds), 120)))


@pytest.mark.slow
def test_processes_that_are_killed(kafka: Cluster, new_service: NewService, large: Graph) -> None:
    service, rnd = started(new_service, large, kafka.url("killed")), random.Random(1)
    kinds = (kill_a_sampler, kill_the_frontend, kill_a_sampler, kill_the_whole_group)
    loads_whole(service, large, *(lambda kill=kill: kill(service, rnd) for kill in kinds))
    assert service.terminate() == 0


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back(kafka: Cluster, new_service: NewService, large: Graph) -> None:
    service = started(new_service, large, kafka.url("broker"))
    [broker] = kafka.brokers

    def kill_and_start() -> None:
        broker.kill()
        broker.start()
        broker.until_listening()

    loads_whole(service, large, kill_and_start)
    for what in ("Kafka is away; it is tried again", "Kafka answers again"):
        told = [line for line in service.log.read_text().splitlines() if what in line]
        assert len(told) <= 2 * (PARTITIONS + SERVING), "once for each log, not for each attempt"
    assert "aiokafka" not in service.log.read_text(), "its lines come with every attempt"


@pytest.mark.slow
def test_a_network_that_delays_resets_and_swallows(kafka: Cluster, new_service: NewService, large: Graph) -> None:
    [broker] = kafka.brokers
    with Proxy({broker.proxy_port: broker.ports["PROXIED"]}) as proxy:
        service = started(new_service, large, kafka.url("network", "PROXIED"))
        rnd = random.Random(2)

        def reset() -> None:
            assert proxy.reset() > 0

        def delay() -> None:
            proxy.delay_s = 0.05
            time.sleep(rnd.uniform(0.5, 1.0))
            proxy.delay_s = 0.0

        def swallow() -> None:
            proxy.black_hole = True
            time.sleep(rnd.uniform(0.5, 1.0))
            proxy.black_hole = False

        loads_whole(service, large, reset, delay, swallow, reset)
        assert service.terminate() == 0
