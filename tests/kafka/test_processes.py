"""A deployment of single processes on Kafka: kill -9 of a coordinator, samplers, frontends and the broker during one load."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.cluster import Cluster as Processes
from tests.e2e.inputs import write_graph
from tests.e2e.processes import COORDINATOR, SAMPLER, SERVE
from tests.e2e.watcher import Watcher
from tests.kafka.cluster import Cluster

LINES = 16_000
LOAD_S = 6.0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_whoever_dies_during_a_load_nothing_is_lost(kafka: Cluster, tmp_path: Path) -> None:
    rnd = random.Random(11)
    graph = write_graph(tmp_path, LINES, users=150, items=600, seed=4)
    fixed = ("--partitions", 4, "--serving-partitions", 4, "--bus", kafka.url("processes"))
    processes = Processes(tmp_path, *graph.start_flags, *fixed)
    [broker] = kafka.brokers

    def kill_the_broker() -> None:
        broker.kill()
        broker.start()
        broker.until_listening()

    kills: list[Callable[[], None]] = [
        lambda: processes.kill(SAMPLER, rnd.randrange(2)),
        lambda: processes.kill(SERVE, rnd.randrange(2)),
        lambda: processes.kill(COORDINATOR),
        kill_the_broker,
    ]
    try:
        processes.start()
        with Watcher(processes, graph.seeds(), 4) as watcher:
            loader = processes.begin_load(graph.pattern_file, "--barrier", "loaded")
            loader.feed(graph.lines, LOAD_S)
            for kill in rnd.sample(kills, len(kills)):
                time.sleep(rnd.uniform(0.3, 0.8))
                kill()
            ended = loader.finish()
            assert ended.code == 0, ended.err
            processes.wait("loaded", 90.0)
            processes.until_ready()
        assert not watcher.backward
        assert not wrong(processes, graph, graph.oracle(), graph.seeds())
        lag = {s["partition"]: s["lag_entries"] for s in processes.cluster()["samplers"]}
        assert lag == dict.fromkeys(range(4), 0)
        assert processes.terminate() == 0
    finally:
        processes.stop()
