"""The client against a stand-in: what it asks, what it makes of answers and errors, and how long it waits."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import pytest
from dgs_client import (
    Barrier,
    Client,
    ConflictError,
    DeadlineError,
    DgsError,
    InputError,
    NotFoundError,
    NotReadyError,
    PositionToken,
    Query,
    TooLargeError,
    UnreachableError,
)

from tests.client.conftest import Answer, Asked, StandIn, as_json, as_message, problem
from tests.client.making import QUERY, SCHEMA, World, random_world, samples


class Service:
    """Answers as a service with one world, and two serving partitions that share its seeds by turns."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, asked: Asked) -> Answer:
        vids = [int(asked.parameters["vid"])] if asked.method == "GET" else asked.json()["vids"]
        halves = [list(range(k, len(vids), 2)) for k in (0, 1)]
        graphs = [self.world.graph([vids[i] for i in half], half) for half in halves if half]
        return as_message(samples(*graphs, nodes=self.world.nodes))


@pytest.fixture
def service(stand_in: StandIn) -> Service:
    stand_in.answer = service = Service(random_world(0))
    return service


# Ego-graphs ----------------------------------------------------------------------------------------------------------------------


def test_one_seed(client: Client, stand_in: StandIn, service: Service) -> None:
    ego = client.samples(5)
    assert (ego.seed, ego.query.name) == (5, "dag")
    (asked,) = stand_in.asked
    assert (asked.method, asked.target, asked.headers["accept"]) == ("GET", "/samples?vid=5", "application/x-protobuf")


def test_every_parameter_of_one_seed(client: Client, stand_in: StandIn, service: Service) -> None:
    positions: list[str | PositionToken] = ["1:0:1201\n1:2:88\n", PositionToken(1, 3, 0)]
    client.samples(np.int64(-5), "a&b", fanouts=np.array([5, 3]), min_position=positions, timeout_ms=500, scores=True)
    assert stand_in.asked[0].parameters == {
        "vid": "-5", "query": "a&b", "fanouts": "5,3", "min_position": "1:0:1201,1:2:88,1:3:0",
        "timeout_ms": "500", "scores": "true",
    }  # fmt: skip


def test_scores_are_there_when_they_were_asked_for(client: Client, stand_in: StandIn) -> None:
    lonely = World(QUERY).graph([5])
    for edges in lonely.edges:
        edges.ClearField("score")
    stand_in.answer = lambda _: as_message(samples(lonely))
    assert all("score" not in e for e in client.samples(5).to_dict()["edges"])
    assert [e["score"] for e in client.samples(5, scores=True).to_dict()["edges"]] == [[]] * 5
    assert [e.scores.tolist() for e in client.samples_many([5], scores=True)[0].edges if e.scores is not None] == [[]] * 5


def test_many_seeds(client: Client, stand_in: StandIn, service: Service) -> None:
    vids = [5, -1, 3, 5]
    batch = client.samples_many(vids, 7, fanouts=[2, 1, 1, 1], min_position="1:0:4", timeout_ms=900, scores=True)
    assert batch.seeds.tolist() == vids
    (asked,) = stand_in.asked
    assert (asked.method, asked.target, asked.headers["accept"]) == ("POST", "/samples", "application/x-protobuf")
    assert asked.json() == {
        "query": 7, "vids": vids, "fanouts": [2, 1, 1, 1], "min_position": ["1:0:4"], "timeout_ms": 900, "scores": True
    }  # fmt: skip
    for vid, ego in zip(vids, batch, strict=True):
        assert ego.to_dict() == client.samples(vid).to_dict()
    assert {a.path for a in stand_in.asked} == {"/samples"}, "an answer is all that it takes"


def test_seeds_may_come_as_anything_that_gives_integers(client: Client, stand_in: StandIn, service: Service) -> None:
    given: list[Iterable[SupportsIndex]] = [np.array([5, 3]), (v for v in (5, 3)), (np.int32(5), 3)]
    for vids in given:
        assert client.samples_many(vids).seeds.tolist() == [5, 3]
        assert stand_in.asked[-1].json()["vids"] == [5, 3]
    with pytest.raises(InputError, match="a vid is an integer, not '5'"):
        client.samples_many(["5"])  # type: ignore[list-item]  # what a user may do
    with pytest.raises(InputError, match=r"a vid is an integer, not 5\.0"):
        client.samples(5.0)  # type: ignore[arg-type]


def test_more_seeds_than_one_request_takes(stand_in: StandIn, service: Service) -> None:
    vids = [5, -1, 3, 5, 77, 0, 1]
    with Client(stand_in.url, seeds_max=3) as client:
        batch = client.samples_many(vids, timeout_ms=60_000)
        asked = [a.json() for a in stand_in.asked]
        assert [a["vids"] for a in asked] == [[5, -1, 3], [5, 77, 0], [1]]
        assert 60_000 == asked[0]["timeout_ms"] >= asked[1]["timeout_ms"] >= asked[2]["timeout_ms"] > 0
        assert batch.seeds.tolist() == vids
        assert [e.seed for e in batch] == vids
        assert batch.merged().seeds.tolist() == vids


def test_no_seeds_are_one_request(client: Client, stand_in: StandIn, service: Service) -> None:
    assert len(client.samples_many([])) == 0
    assert len(stand_in.asked) == 1


def test_answers_that_no_service_gives(client: Client, stand_in: StandIn) -> None:
    stand_in.answer = lambda _: as_json({})
    with pytest.raises(DgsError, match="answers application/json where application/x-protobuf was asked for; is it older"):
        client.samples(5)
    stand_in.answer = lambda _: as_message(samples())
    with pytest.raises(DgsError, match="0 graphs for one seed"):
        client.samples(5)
    with pytest.raises(DgsError, match="0 seeds where 2 were asked for"):
        client.samples_many([5, 6])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFoundError),
        (409, ConflictError),
        (413, TooLargeError),
        (422, InputError),
        (503, NotReadyError),
        (504, DeadlineError),
    ],
)
def test_problems_are_the_errors_of_the_system(client: Client, stand_in: StandIn, status: int, error: type[DgsError]) -> None:
    stand_in.answer = lambda _: problem(status, "first", "second")
    for ask in (lambda: client.samples(5), lambda: client.samples_many([5]), client.queries):
        with pytest.raises(error, match="first; second"):
            ask()
    assert len(stand_in.asked) == 3


def test_wrong_positions_are_not_sent(client: Client, stand_in: StandIn) -> None:
    with pytest.raises(InputError, match=r"'1:2' is no position.*'x' is no position"):
        client.samples(5, min_position=["1:2", "1:0:5", "x"])
    assert not stand_in.asked


# Time ----------------------------------------------------------------------------------------------------------------------------


def test_a_service_that_is_away_is_tried_again(stand_in: StandIn) -> None:
    answers = [problem(503, "starting"), problem(503, "starting")]
    service = Service(random_world(0))
    stand_in.answer = lambda asked: answers.pop() if answers else service(asked)
    with Client(stand_in.url) as client:
        assert client.samples(5).seed == 5
    assert len(stand_in.asked) == 3


def test_a_deadline_ends_retries(stand_in: StandIn) -> None:
    stand_in.answer = lambda _: problem(503, "starting")
    with (
        Client(stand_in.url, retry_timeout_s=100) as client,
        pytest.raises(UnreachableError, match=r"starting \(asked for 0\.05 s\)"),
    ):
        client.samples(5, timeout_ms=50)
    assert stand_in.asked


def test_an_answer_is_waited_for_a_little_longer_than_its_deadline(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgs_client.request.GRACE_S", 0.05)
    released = threading.Event()
    service = Service(random_world(0))

    def answer(asked: Asked) -> Answer:
        if "timeout_ms" in asked.parameters:
            released.wait(30)
        return service(asked)

    stand_in.answer = answer
    with Client(stand_in.url, retry_timeout_s=0, timeout_s=30) as client:
        assert client.samples(5).seed == 5
        with pytest.raises(UnreachableError, match="timed out"):
            client.samples(5, timeout_ms=10)
        assert len(stand_in.asked) == 2, "silence is not answered by asking again at once"
        released.set()
        assert client.samples(5, timeout_ms=10_000).seed == 5


def test_the_deadline_is_for_all_requests_together(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.answer = Service(random_world(0))
    now = iter([100.0, 100.05])
    monkeypatch.setattr("dgs_client.client.time.monotonic", lambda: next(now, 200.0))
    with Client(stand_in.url, seeds_max=1) as client:
        monkeypatch.setattr("dgs_client.client.message_from", lambda *_: samples(random_world(0).graph([5])))
        with pytest.raises(DeadlineError, match="the time was over"):
            client.samples_many([5, 5, 5], timeout_ms=100)


# Queries -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["mapping", "text", "bytes", "path", "name of a path"])
def test_a_query_is_installed_from_anything_that_holds_one(client: Client, stand_in: StandIn, tmp_path: Path, form: str) -> None:
    stand_in.answer = lambda _: as_json({"id": 7, "name": "dag", "ready": False})
    file = tmp_path / "dag.json"
    file.write_text(json.dumps(QUERY))
    text = json.dumps(QUERY, indent=1)
    given: Any = {"mapping": QUERY, "text": "\n" + text, "bytes": text.encode(), "path": file, "name of a path": str(file)}[form]
    assert client.install_query(given) == Query(7, "dag", False)
    (asked,) = stand_in.asked
    assert asked.target == ("/queries?name=dag" if "path" in form else "/queries")
    assert (asked.headers["content-type"], asked.json()) == ("application/json", QUERY)
    client.install_query(given, name="é /")
    assert stand_in.asked[1].parameters == {"name": "é /"}


def test_queries_are_shown(client: Client, stand_in: StandIn) -> None:
    shown = {"id": 7, "name": "dag/7", "ready": True}
    answers = {"/queries": {"queries": [shown]}, "/queries/dag%2F7": shown | {"document": QUERY}}
    stand_in.answer = lambda asked: as_json(answers[asked.target])
    assert client.queries() == [Query(7, "dag/7", True)]
    assert client.query("dag/7").document == QUERY


# Barriers and positions ----------------------------------------------------------------------------------------------------------


def barrier(state: str) -> Answer:
    return as_json({"name": "b/1", "state": state, "count": None if state == "NOT_SET" else 2, "loaders": [0]})


def test_barriers(client: Client, stand_in: StandIn) -> None:
    stand_in.answer = lambda _: barrier("PRODUCED")
    assert client.set_barrier("b/1", count=2, loader_id=1) == Barrier("b/1", "PRODUCED", 2, (0,)) == client.barrier("b/1")
    asked, looked = stand_in.asked
    assert (asked.method, asked.target, asked.json()) == ("POST", "/barriers/b%2F1", {"count": 2, "loader_id": 1})
    assert (looked.method, looked.target) == ("GET", "/barriers/b%2F1")


def test_a_barrier_is_waited_for(client: Client, stand_in: StandIn) -> None:
    states = ["NOT_SET", "PRODUCED", "SAMPLED", "READY"]
    stand_in.answer = lambda _: barrier(states.pop(0))
    found = client.wait_barrier("b/1", 60)
    assert found.ready
    assert not states


def test_a_barrier_that_is_too_late(client: Client, stand_in: StandIn) -> None:
    stand_in.answer = lambda _: barrier("SAMPLED")
    with pytest.raises(DeadlineError, match=r"barrier b/1 is SAMPLED after 0\.05 s"):
        client.wait_barrier("b/1", 0.05)
    with pytest.raises(DeadlineError):
        client.wait_barrier("b/1", 0)


def cluster(*positions: int, ends: list[int] | None) -> Answer:
    return as_json({"generation": 1, "partitions": len(positions), "positions": positions, "record_ends": ends})


def test_positions_are_waited_for(client: Client, stand_in: StandIn) -> None:
    states = [(0, 0), (9, 0), (9, 7), (12, 9)]
    stand_in.answer = lambda _: cluster(*states.pop(0), ends=[12, 9])
    client.wait_position("1:0:9\n1:1:8\n", 60)
    assert not states


def test_positions_that_are_too_late(client: Client, stand_in: StandIn) -> None:
    stand_in.answer = lambda _: cluster(9, 0, ends=None)
    with pytest.raises(DeadlineError, match="1:1:8 is not reflected after"):
        client.wait_position("1:0:9,1:1:8", 0.05)


@pytest.mark.parametrize(
    ("token", "error", "why"),
    [
        ("2:0:0", ConflictError, "of generation 2; the service has generation 1"),
        ("1:2:0", InputError, "there are record partitions 0 to 1"),
        ("1:1:10", ConflictError, "beyond the end of its log .9."),
        ("1:1", InputError, "no position"),
    ],
)
def test_positions_that_never_come_are_not_waited_for(
    client: Client, stand_in: StandIn, token: str, error: type[DgsError], why: str
) -> None:
    stand_in.answer = lambda _: cluster(0, 0, ends=[12, 9])
    with pytest.raises(error, match=why):
        client.wait_position(token)


def test_the_deployment(client: Client, stand_in: StandIn) -> None:
    stand_in.answer = lambda asked: as_json(SCHEMA if asked.path == "/schema" else {"generation": 1})
    assert client.schema() == SCHEMA
    assert client.cluster() == {"generation": 1}


# Threads -------------------------------------------------------------------------------------------------------------------------


def test_threads_share_a_client(stand_in: StandIn, service: Service) -> None:
    together = threading.Barrier(4)
    found: list[int] = []

    def answer(asked: Asked) -> Answer:
        together.wait(30)  # breaks unless all four are asked at once
        return service(asked)

    stand_in.answer = answer
    with Client(stand_in.url, pool_size=4, retry_timeout_s=0) as client:
        threads = [threading.Thread(target=lambda v=v: found.append(client.samples(v).seed)) for v in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [0, 1, 2, 3]


def test_a_closed_client_says_so(stand_in: StandIn) -> None:
    with Client(stand_in.url) as client:
        pass
    with pytest.raises(UnreachableError, match="was closed"):
        client.samples(5)


@pytest.mark.parametrize("arguments", [{"server": "ftp://x"}, {"pool_size": 0}, {"seeds_max": 0}])
def test_wrong_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Client(**arguments)
