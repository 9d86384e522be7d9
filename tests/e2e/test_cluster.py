"""A deployment in several processes: any frontend answers for any seed, and whoever dies, answers equal the oracle in the end."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dgs.wire.samples_pb2 import Samples
from tests.e2e.answers import plain, wrong
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph, write_graph
from tests.e2e.processes import COORDINATOR, SAMPLER, SERVE, paused, until
from tests.e2e.test_checkpoints import create, restored
from tests.e2e.watcher import Watcher

LINES, BEFORE = 30_000, 4_000
LOAD_S = 4.0
PROTOBUF = "application/x-protobuf"
FIXED = ("--partitions", 4, "--serving-partitions", 4)


@pytest.fixture(scope="module")
def loaded_cluster(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), *graph.start_flags, *FIXED)
    try:
        cluster.start()
        cluster.load_lines(graph.pattern_file, graph.lines, "loaded")
        yield cluster
    finally:
        cluster.stop()


def test_the_shared_port_answers_like_the_oracle(loaded_cluster: Cluster, graph: Graph) -> None:
    assert not wrong(loaded_cluster, graph, graph.oracle(), graph.seeds())


def test_any_frontend_answers_for_any_seed(loaded_cluster: Cluster, graph: Graph) -> None:
    vids = graph.seeds()[:150]
    urls = loaded_cluster.urls()
    assert len(urls) == 2
    answers = [json.loads(loaded_cluster.ask(url, vids))["samples"] for url in urls]
    assert [a["seed"]["id"] for a in answers[0]] == vids
    assert answers[0] == answers[1] == loaded_cluster.samples(vids)
    alone = [json.loads(loaded_cluster.ask(url, [vid]))["samples"][0] for vid in vids[:8] for url in urls]
    assert alone[::2] == alone[1::2] == answers[0][:8]


def test_messages_of_several_frontends_are_one_message(loaded_cluster: Cluster, graph: Graph) -> None:
    vids = graph.seeds()[:150]
    for url in loaded_cluster.urls():
        message = Samples.FromString(loaded_cluster.ask(url, vids, PROTOBUF))
        asked = [int(place) for g in message.graphs for place in np.frombuffer(g.asked, "<u4")]
        seeds = [int(seed) for g in message.graphs for seed in np.frombuffer(g.seeds, "<i8")]
        assert sorted(asked) == list(range(len(vids)))
        assert [vids[place] for place in asked] == seeds
        assert message.query.ready


def test_commands_reach_the_coordinator_at_the_shared_port(loaded_cluster: Cluster) -> None:
    told = loaded_cluster.dgs("status")
    assert told.code == 0, told.err
    assert loaded_cluster.dgs("barrier", "status", "loaded").out == "READY\n"
    assert loaded_cluster.get("/admin/barrier/status?name=loaded").text == "READY"
    assert loaded_cluster.get("/nothing").status == 404
    members = loaded_cluster.cluster()["members"]
    assert sorted(m["samplers"] for m in members) == [[], [], [0, 2], [1, 3]]
    assert sorted(m["serving"] for m in members) == [[], [], [0, 2], [1, 3]]
    assert all(m["up"] for m in members)
    for url in loaded_cluster.urls():
        assert b"dgs_rows_pending" in loaded_cluster.fetch(url, "/metrics")


@pytest.mark.slow
def test_the_data_plane_works_while_the_coordinator_is_down(loaded_cluster: Cluster, graph: Graph) -> None:
    coordinator = loaded_cluster.pids(COORDINATOR)[0]
    os.kill(coordinator, signal.SIGSTOP)
    try:
        assert not wrong(loaded_cluster, graph, graph.oracle(), graph.seeds())
        loaded_cluster.kill(COORDINATOR)
        reply = loaded_cluster.get("/queries")
        if reply.status != 200:  # it is starting again
            assert reply.status == 503
        assert not wrong(loaded_cluster, graph, graph.oracle(), graph.seeds())
    finally:
        loaded_cluster.until_ready()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return write_graph(tmp_path_factory.mktemp("large"), LINES, users=150, items=600, seed=3)


@pytest.mark.slow
def test_a_load_during_which_all_kinds_of_processes_are_killed_is_complete(tmp_path: Path, large: Graph) -> None:
    rnd = random.Random(5)
    cluster = Cluster(tmp_path, *large.start_flags, *FIXED)
    try:
        cluster.start()
        cluster.load_lines(large.pattern_file, large.lines[:BEFORE], "before")
        with Watcher(cluster, large.seeds(), 4) as watcher:
            loader = cluster.begin_load(large.pattern_file, "--barrier", "loaded")
            loader.feed(large.lines[BEFORE:], LOAD_S)
            for role in rnd.sample([COORDINATOR, SAMPLER, SERVE, SAMPLER, SERVE], 5):
                time.sleep(rnd.uniform(0.3, 0.9))
                cluster.kill(role, rnd.randrange(len(cluster.pids(role)) or 1))
            ended = loader.finish()
            assert ended.code == 0, ended.err
            cluster.wait("loaded")
            cluster.until_ready()
        assert not watcher.backward
        assert not wrong(cluster, large, large.oracle(), large.seeds())
        assert cluster.terminate() == 0
    finally:
        cluster.stop()


@pytest.fixture
def copies(tmp_path: Path, large: Graph) -> Iterator[Cluster]:
    """A cluster with each serving partition in two processes."""
    cluster = Cluster(tmp_path, *large.start_flags, *FIXED, copies=2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.slow
def test_with_two_copies_killing_one_loses_no_request_beyond_a_retry(copies: Cluster, large: Graph) -> None:
    copies.load_lines(large.pattern_file, large.lines, "loaded")
    vids, victim, most = large.seeds(), copies.pids(SERVE)[0], 0
    for i in range(300):
        if i == 100:
            os.kill(victim, signal.SIGKILL)
        most = max(most, copies.attempts(vids[i % len(vids)]))
    assert most <= 2
    copies.until_ready()
    assert not wrong(copies, large, large.oracle(), vids)


@pytest.mark.slow
def test_a_copy_that_sleeps_and_wakes_up_corrupts_nothing(copies: Cluster, large: Graph) -> None:
    loader = copies.begin_load(large.pattern_file, "--barrier", "loaded")
    loader.feed(large.lines, LOAD_S)
    for role in (SERVE, SAMPLER, SERVE):
        sleeper = random.Random(role).choice(copies.pids(role))
        with paused([sleeper]):
            time.sleep(0.8)
        time.sleep(0.3)
    ended = loader.finish()
    assert ended.code == 0, ended.err
    copies.wait("loaded")
    copies.until_ready()
    oracle = large.oracle()
    answers = [json.loads(copies.ask(url, large.seeds()))["samples"] for url in copies.urls()]
    assert [[plain(a, large.schema) for a in each] for each in answers] == [
        [oracle.ego_graph(large.query, seed) for seed in large.seeds()]
    ] * 2


@pytest.mark.slow
def test_a_stand_by_takes_over_from_a_dead_sampler_and_steps_back(tmp_path: Path, large: Graph) -> None:
    cluster = Cluster(tmp_path, *large.start_flags, *FIXED, "--standbys", 1)
    try:
        cluster.start()
        until("the stand-bys stand by", lambda: cluster.writers() == [1] * 4 and cluster.samplers_up() == [2] * 4)
        loader = cluster.begin_load(large.pattern_file, "--barrier", "loaded")
        loader.feed(large.lines, LOAD_S)
        time.sleep(LOAD_S / 4)
        sleeping = cluster.first_samplers()
        assert len(sleeping) == 2
        for pid in sleeping:
            os.kill(pid, signal.SIGSTOP)  # not to be started again, and to wake up as a stale owner later
        # One that stands still may hold the lock of a file of the local bus, and then nobody writes there; not all of them do.
        until("a stand-by takes over", lambda: "taking over" in cluster.log.read_text())
        time.sleep(1.0)
        for pid in sleeping:
            os.kill(pid, signal.SIGCONT)
        ended = loader.finish()
        assert ended.code == 0, ended.err
        cluster.wait("loaded")
        assert not wrong(cluster, large, large.oracle(), large.seeds())
        cluster.load_lines(large.pattern_file, large.lines, "again")
        until("the stand-bys stand by again", lambda: cluster.writers() == [1] * 4)
        assert not wrong(cluster, large, large.oracle(), large.seeds())
    finally:
        cluster.stop()


@pytest.mark.slow
def test_a_checkpoint_of_a_cluster_is_restored_as_one_service(
    loaded_cluster: Cluster, graph: Graph, new_service: NewService
) -> None:
    create(loaded_cluster)
    service = restored(new_service, loaded_cluster)
    service.start()
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
    assert service.dgs("barrier", "status", "loaded").out == "READY\n"
