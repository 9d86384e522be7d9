"""Answers as protobuf: who gets them, how seeds are spread over graphs, and the reference's `/infer`."""

from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from dgs.api.dataplane import GRAPH_SEEDS
from dgs.api.samples import accepts_protobuf
from dgs.codec.messages import samples_begin
from dgs.config import Settings
from dgs.coordinator.coordinator import Coordinator
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.partition import partition_of
from dgs.wire.samples_pb2 import Samples
from tests.api.conftest import Document, FakePartition, ProblemCheck, S

Client = httpx.AsyncClient
BINARY = {"accept": "application/x-protobuf"}


@pytest.fixture
def settings() -> Settings:
    return Settings(seeds_max=1000, body_bytes_max=1 << 16)


@pytest.mark.parametrize(
    ("accept", "binary"),
    [
        ("application/x-protobuf", True),
        ("Application/X-Protobuf", True),
        ("application/x-protobuf, application/json;q=0.5", True),
        ("application/json, application/x-protobuf", True),
        ("application/json, application/x-protobuf;q=0.9", False),
        ("application/x-protobuf;q=0", False),
        ("application/x-protobuf;q=zero", False),
        ("*/*", False),
        ("text/html, */*;q=0.8", False),
        ("application/x-protobuf;q=0.3, */*;q=0.8", False),
    ],
)
def test_who_wants_protobuf(accept: str, binary: bool) -> None:
    assert accepts_protobuf([(b"host", b"x"), (b"accept", accept.encode())]) is binary


async def test_one_seed(client: Client, installed: InstalledQuery, partitions: list[FakePartition]) -> None:
    response = await client.get("/samples?vid=-42&fanouts=3&scores=true", headers=BINARY)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-protobuf"
    assert response.headers["vary"] == "accept"
    samples = Samples.FromString(response.content)
    assert (samples.query.id, samples.query.name, samples.query.ready) == (0, "friends", True)
    assert (samples.generation, samples.history) == (1, "full")
    (graph,) = samples.graphs
    assert np.frombuffer(graph.seeds, "<i8").tolist() == [-42]
    assert np.frombuffer(graph.asked, "<u4").tolist() == [0]
    assert partitions[partition_of(-42, S)].wanted == [((3,), True)]


async def test_the_plan_comes_along(client: Client, installed: InstalledQuery) -> None:
    samples = Samples.FromString((await client.get("/samples?vid=1", headers=BINARY)).content)
    nodes = [(n.id, n.type, [*n.upstreams], [*n.dst_types]) for n in samples.query.nodes]
    assert nodes == [(0, "user", [], []), (1, "user", [0], ["user"])]


async def test_what_is_the_same_for_all_requests_is_written_once(
    client: Client, coordinator: Coordinator, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, bool]] = []

    def count(query: InstalledQuery, *args: Any, ready: bool, **more: Any) -> bytes:
        written.append((query.name, ready))
        return samples_begin(query, *args, ready=ready, **more)

    async def asked(query: str) -> bool:
        samples = Samples.FromString((await client.get(f"/samples?vid=1&query={query}", headers=BINARY)).content)
        assert samples.query.name == query
        return samples.query.ready

    monkeypatch.setattr("dgs.api.dataplane.samples_begin", count)
    for number, name in enumerate(("friends", "enemies")):
        await coordinator.install(document(number, fanout=number + 1), name)
    with monkeypatch.context() as patched:
        patched.setattr(coordinator, "is_active", lambda query_id: query_id == 1)
        assert [await asked(name) for name in ("friends", "enemies", "friends", "enemies")] == [False, True, False, True]
        assert written == [("friends", False), ("enemies", True)]
    assert [await asked(name) for name in ("friends", "enemies", "friends")] == [True, True, True]
    assert written[2:] == [("friends", True)]


async def test_another_query_under_a_used_id_has_a_plan_of_its_own(
    client: Client, coordinator: Coordinator, installed: InstalledQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/samples?vid=1", headers=BINARY)).status_code == 200
    other = replace(installed, name="others")
    monkeypatch.setattr(Coordinator, "operators", OperatorSet(coordinator.operators.operators, (other,)))
    samples = Samples.FromString((await client.get("/samples?vid=1", headers=BINARY)).content)
    assert samples.query.name == "others"


async def test_many_seeds_are_spread_over_graphs_of_a_bounded_size(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition]
) -> None:
    vids = [*range(-150, 150), 5, 5]
    response = await client.post("/samples", json={"vids": vids}, headers=BINARY)
    samples = Samples.FromString(response.content)
    found: dict[int, int] = {}
    for graph in samples.graphs:
        seeds = np.frombuffer(graph.seeds, "<i8").tolist()
        assert 0 < len(seeds) <= GRAPH_SEEDS
        assert len({partition_of(v, S) for v in seeds}) == 1
        found |= zip(np.frombuffer(graph.asked, "<u4").tolist(), seeds, strict=True)
    assert [found[i] for i in range(len(vids))] == vids
    assert sum(len(p.asked) for p in partitions) == len(vids)
    assert len(samples.graphs) < 8


async def test_no_seeds_have_no_graphs(client: Client, installed: InstalledQuery) -> None:
    response = await client.post("/samples", json={"vids": []}, headers=BINARY)
    samples = Samples.FromString(response.content)
    assert samples.query.name == "friends"
    assert not samples.graphs


async def test_errors_stay_problem_documents(client: Client, installed: InstalledQuery, is_problem: ProblemCheck) -> None:
    is_problem(await client.get("/samples?vid=x", headers=BINARY), 422, "vid is an int64")
    is_problem(await client.post("/samples", json={"vids": [1] * 1001}, headers=BINARY), 413, "1001 vids")


async def test_the_reference_s_path_answers_the_same(client: Client, installed: InstalledQuery) -> None:
    response = await client.get("/infer?qid=0&vid=7")
    assert response.headers["content-type"] == "application/x-protobuf"
    assert response.content == (await client.get("/samples?vid=7&query=0", headers=BINARY)).content


@pytest.mark.parametrize(
    ("parameters", "status", "why"),
    [
        ("", 422, "vid is missing; qid is missing"),
        ("qid=x&vid=1", 422, "qid is an int64"),
        ("qid=0&vid=1&query=0", 422, "unknown parameter 'query'; known are qid and vid"),
        ("qid=5&vid=1", 404, "there is no query 5"),
    ],
)
async def test_wrong_parameters_of_the_reference_s_path(
    client: Client, installed: InstalledQuery, is_problem: ProblemCheck, parameters: str, status: int, why: str
) -> None:
    is_problem(await client.get("/infer?" + parameters), status, why)


async def test_the_reference_s_path_takes_get_only(client: Client, is_problem: ProblemCheck) -> None:
    response = await client.post("/infer?qid=0&vid=1")
    is_problem(response, 405, "/infer takes GET, not POST")
    assert response.headers["allow"] == "GET"
