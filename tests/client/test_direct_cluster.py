"""A client that goes straight to the owners of a real cluster: its answers are those of one that does not, whoever dies."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dgs_client import Client, EgoGraph

from dgs.core.partition import partition_of
from tests.e2e.answers import plain
from tests.e2e.cluster import Cluster
from tests.e2e.inputs import Graph, write_graph
from tests.e2e.processes import BIN, COORDINATOR, ENVIRONMENT, SERVE, free_port, paused, until

pytestmark = pytest.mark.slow
FIXED = ("--partitions", 4, "--serving-partitions", 4)
_COUNT = re.compile(r'^dgs_request_duration_seconds_count\{[^}]*route="([^"]*)"[^}]*\} (\S+)$', re.MULTILINE)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return write_graph(tmp_path_factory.mktemp("graph"), 4000)


def loaded(cluster: Cluster, graph: Graph) -> str:
    """Start a cluster, load the graph, and wait until the frontend knows all owners; return the positions behind it."""
    cluster.start()
    ended = cluster.load(graph.pattern_file, graph.data_file, "--barrier", "loaded")
    assert ended.code == 0, ended.err
    cluster.wait("loaded")
    until("every partition has an owner", lambda: all(owners(cluster)))
    return ended.out


@pytest.fixture(scope="module")
def shared(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, str]]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), *graph.start_flags, *FIXED)
    try:
        tokens = loaded(cluster, graph)
        yield cluster, tokens
    finally:
        cluster.stop()


@pytest.fixture
def cluster(shared: tuple[Cluster, str]) -> Cluster:
    return shared[0]


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.url, direct=True) as client:
        yield client


def told(ego: EgoGraph) -> dict[str, Any]:
    """Return what an answer says, but for how far the logs have been read meanwhile."""
    return ego.to_dict() | {"positions": len(ego.reflected)}


def owners(cluster: Cluster) -> list[list[str]]:
    """Return the URLs of the map, by serving partition."""
    reply = cluster.get("/cluster/map", limit_s=5.0)
    assert reply.status == 200, reply.text
    found: list[list[str]] = reply.json()["owners"]
    return found


def forwarded(cluster: Cluster) -> int:
    """Return how many shares of requests frontends have asked each other for."""
    urls = {url for urls in owners(cluster) for url in urls}
    assert len(urls) == 2
    counts = [c for url in urls for c in _COUNT.findall(cluster.fetch(url, "/metrics").decode())]
    return int(sum(float(count) for route, count in counts if route == "/cluster/samples"))


def test_answers_are_those_of_a_client_that_does_not_go_straight(cluster: Cluster, client: Client, graph: Graph) -> None:
    seeds = graph.seeds()[:150]
    with Client(cluster.url) as other:
        for more in ({}, {"fanouts": [3, 2]}, {"scores": True}):
            more_any: dict[str, Any] = more
            want, got = other.samples_many(seeds, **more_any), client.samples_many(seeds, **more_any)
            assert list(map(told, got)) == list(map(told, want))
            assert got.seeds.tolist() == seeds
        for seed, ego in zip(seeds[:40], want, strict=False):
            assert told(client.samples(seed, scores=True)) == told(ego)
        merged, others = client.samples_many(seeds).merged(), other.samples_many(seeds).merged()
        assert {t: v.ids.tolist() for t, v in merged.vertices.items()} == {t: v.ids.tolist() for t, v in others.vertices.items()}


def test_nothing_is_forwarded(cluster: Cluster, client: Client, graph: Graph) -> None:
    seeds = graph.seeds()[:64]
    before = forwarded(cluster)
    client.samples_many(seeds)
    for seed in seeds[:20]:
        client.samples(seed)
    assert forwarded(cluster) == before
    with Client(cluster.url) as other:
        other.samples_many(seeds)
    assert forwarded(cluster) > before, "what a client that does not go straight asks for is"


def test_positions_are_waited_for(shared: tuple[Cluster, str], client: Client, graph: Graph) -> None:
    seeds, tokens = graph.seeds()[:64], shared[1]
    batch = client.samples_many(seeds, min_position=tokens, timeout_ms=30_000)
    loaded_to = [tuple(map(int, line.split(":"))) for line in tokens.split()]
    assert loaded_to
    assert all(g.positions[partition] >= position for g in batch.graphs for _, partition, position in loaded_to)
    assert client.samples(seeds[0], min_position=tokens).pending == 0


def test_the_map_is_told_while_the_coordinator_is_down(cluster: Cluster, graph: Graph) -> None:
    with paused(cluster.pids(COORDINATOR)):
        before = forwarded(cluster)
        with Client(cluster.url, direct=True) as client:
            assert client.samples_many(graph.seeds()[:64]).seeds.tolist() == graph.seeds()[:64]
        assert forwarded(cluster) == before
    cluster.until_ready()


def test_a_copy_that_comes_and_goes_is_asked_while_it_is_there(
    cluster: Cluster, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgs_client.direct.RENEWED_AFTER_S", 0.0)
    seed = next(v for v in graph.seeds() if partition_of(v, 4) == 0)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [BIN / "dgs", "serve", "--coordinator", cluster.url, "--data-dir", tmp_path / "copy", "--port", port]
    command += ["--partitions", 0, "--parent", os.getpid()]
    with Client(cluster.url, direct=True) as client, (tmp_path / "log").open("wb") as log:
        want = told(client.samples(seed))
        copy = subprocess.Popen([str(part) for part in command], env=ENVIRONMENT, stdout=log, stderr=log)
        try:
            until("the copy is in a map", lambda: url in owners(cluster)[0])

            def asked() -> bool:
                assert told(client.samples(seed)) == want
                return "/samples" in dict(_COUNT.findall(cluster.fetch(url, "/metrics").decode()))

            until("the copy is asked", asked)
            copy.terminate()
            assert copy.wait(30) == 0
            assert [told(client.samples(seed)) for _ in range(4)] == [want] * 4
            until("it is not in the map any more", lambda: url not in owners(cluster)[0])
        finally:
            copy.kill()
            copy.wait()


def test_with_two_copies_killing_an_owner_loses_no_request(tmp_path: Path, graph: Graph) -> None:
    cluster = Cluster(tmp_path, *graph.start_flags, *FIXED, copies=2)
    try:
        loaded(cluster, graph)
        until("both copies are in the map", lambda: all(len(urls) == 2 for urls in owners(cluster)))
        oracle, seeds = graph.oracle(), graph.seeds()
        expected = {seed: oracle.ego_graph(graph.query, seed) for seed in seeds}
        wrong: list[str] = []
        answered = [0, 0]
        ended = threading.Event()

        def ask(client: Client, which: int) -> None:
            while not ended.is_set():
                part = seeds[answered[which] % 100 :][:16]
                try:
                    egos = [client.samples(part[0])] if which else list(client.samples_many(part))
                    wrong.extend(f"seed {e.seed}" for e in egos if plain(e.to_dict(), graph.schema) != expected[e.seed])
                except Exception as e:  # each is a request that is lost
                    wrong.append(repr(e))
                answered[which] += 1

        with Client(cluster.url, retry_timeout_s=0, direct=True) as client:
            threads = [threading.Thread(target=ask, args=(client, which)) for which in (0, 1)]
            for thread in threads:
                thread.start()
            try:
                for victim in (0, 1):
                    more(answered, 20)
                    cluster.kill(SERVE, victim)
                    more(answered, 50)
                    until("it is back", cluster.caught_up, 60)
            finally:
                ended.set()
                for thread in threads:
                    thread.join()
        assert not wrong
    finally:
        cluster.stop()


def more(answered: list[int], count: int) -> None:
    """Wait until each has got so many more answers."""
    wanted = [n + count for n in answered]
    until(f"{count} more requests are answered", lambda: all(n >= w for n, w in zip(answered, wanted, strict=True)))
