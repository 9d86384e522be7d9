"""A deployment of single processes on Kafka: whoever dies, sleeps or is cut off during a load, nothing is lost."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.cluster import Cluster as Processes
from tests.e2e.inputs import write_graph
from tests.e2e.processes import COORDINATOR, SAMPLER, SERVE, until
from tests.e2e.watcher import Watcher
from tests.kafka.cluster import Cluster
from tests.kafka.proxy import Proxy

LINES, BEFORE = 16_000, 2_000
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
        processes.load_lines(graph.pattern_file, graph.lines[:BEFORE], "before")
        with Watcher(processes, graph.seeds(), 4) as watcher:
            loader = processes.begin_load(graph.pattern_file, "--barrier", "loaded")
            loader.feed(graph.lines[BEFORE:], LOAD_S)
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


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_copies_and_stand_bys_behind_a_network_that_fails(kafka: Cluster, tmp_path: Path) -> None:
    graph = write_graph(tmp_path, LINES, users=150, items=600, seed=5)
    fixed = ("--partitions", 4, "--serving-partitions", 4, "--bus", kafka.url("copies", "PROXIED"), "--standbys", 1)
    processes = Processes(tmp_path, *graph.start_flags, *fixed, copies=2)
    [broker] = kafka.brokers
    with Proxy({broker.proxy_port: broker.ports["PROXIED"]}) as proxy:
        try:
            processes.start()
            until("the stand-bys stand by", lambda: processes.writers() == [1] * 4 and processes.samplers_up() == [2] * 4, 60.0)
            processes.load_lines(graph.pattern_file, graph.lines[:BEFORE], "before")
            loader = processes.begin_load(graph.pattern_file, "--barrier", "loaded")
            loader.feed(graph.lines[BEFORE:], LOAD_S)
            assert proxy.reset() > 0
            sleeping = processes.first_samplers()
            assert len(sleeping) == 2
            for pid in sleeping:
                os.kill(pid, signal.SIGSTOP)
            until("stand-bys take over", lambda: processes.log.read_text().count("taking over") == 4)
            proxy.black_hole = True
            time.sleep(0.7)
            proxy.black_hole = False
            for pid in sleeping:
                os.kill(pid, signal.SIGCONT)  # a stale owner wakes up
            processes.kill(SERVE)
            assert max(processes.attempts(vid) for vid in graph.seeds()) <= 2
            ended = loader.finish()
            assert ended.code == 0, ended.err
            processes.wait("loaded", 90.0)
            processes.until_ready()
            oracle, seeds = graph.oracle(), graph.seeds()
            assert not wrong(processes, graph, oracle, seeds)
            first, second = (processes.ask(url, seeds) for url in processes.urls())
            assert first == second
            processes.load_lines(graph.pattern_file, graph.lines, "again")
            until("the stand-bys stand by again", lambda: processes.writers() == [1] * 4, 60.0)
            assert not wrong(processes, graph, oracle, seeds)
        finally:
            processes.stop()
