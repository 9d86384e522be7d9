"""A client that goes straight, against stand-ins: whom it asks for what, also while an owner is away or the map is old."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from dgs_client import Client, CodecError, DeadlineError, InputError, UnreachableError
from dgs_client.connection import is_loopback

from dgs.core.partition import partition_of
from tests.client.conftest import Answer, Asked, StandIn, as_json, as_message, problem, standing_in
from tests.client.making import random_world, samples

WORLD = random_world(0)
VIDS = [5, -1, 3, 5, 77, 0, 1, 12, 13]
AWAY = "http://127.0.0.1:1"
"""Where nobody listens."""


def answer(asked: Asked) -> Answer:
    """Answer as any frontend does, in a graph for each of two serving partitions."""
    vids = [int(asked.parameters["vid"])] if asked.method == "GET" else asked.json()["vids"]
    halves = [[i for i, vid in enumerate(vids) if partition_of(vid, 2) == k] for k in (0, 1)]
    return as_message(samples(*(WORLD.graph([vids[i] for i in half], half) for half in halves if half), nodes=WORLD.nodes))


@dataclass
class Deployment:
    """A server and two owners, and the map that the server tells."""

    server: StandIn
    first: StandIn
    second: StandIn
    owners: list[list[str]]

    def tell(self, asked: Asked) -> Answer:
        return as_json({"owners": self.owners}) if asked.path == "/cluster/map" else answer(asked)

    def asked(self) -> dict[str, list[Any]]:
        """Return the seeds that each has been asked for."""
        found = {}
        for name, one in (("server", self.server), ("first", self.first), ("second", self.second)):
            asked = [a for a in one.asked if a.path == "/samples"]
            found[name] = [int(a.parameters["vid"]) if a.method == "GET" else a.json()["vids"] for a in asked]
        return found

    @property
    def maps(self) -> int:
        """How often the map was asked for."""
        return sum(a.path == "/cluster/map" for a in self.server.asked)


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with ExitStack() as stack:
        server, first, second = (stack.enter_context(standing_in()) for _ in range(3))
        made = Deployment(server, first, second, [[first.url], [second.url]])
        server.answer, first.answer, second.answer = made.tell, answer, answer
        yield made


@pytest.fixture
def client(deployment: Deployment) -> Iterator[Client]:
    with Client(deployment.server.url, retry_timeout_s=0, direct=True) as client:
        yield client


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the map be fetched again after any failure, however young it is."""
    monkeypatch.setattr("dgs_client.direct.RENEWED_AGAIN_AFTER_S", 0.0)


def same(client: Client, deployment: Deployment) -> bool:
    """Whether answers are those of a client that does not go straight."""
    with Client(deployment.server.url) as plain:
        want, got = plain.samples_many(VIDS), client.samples_many(VIDS)
        return [e.to_dict() for e in got] == [e.to_dict() for e in want] and got.seeds.tolist() == VIDS


def of(partition: int) -> list[int]:
    return [v for v in VIDS if partition_of(v, 2) == partition]


def test_one_seed_goes_straight(client: Client, deployment: Deployment) -> None:
    for vid in VIDS:
        assert client.samples(vid).seed == vid
    assert deployment.asked() == {"server": [], "first": of(0), "second": of(1)}
    assert deployment.maps == 1


def test_a_batch_is_split_and_joined(client: Client, deployment: Deployment) -> None:
    assert client.samples_many(VIDS).seeds.tolist() == VIDS
    assert deployment.asked() == {"server": [], "first": [of(0)], "second": [of(1)]}
    assert same(client, deployment)
    assert client.samples_many(VIDS).merged().seeds.tolist() == VIDS


def test_more_seeds_than_one_request_takes(deployment: Deployment) -> None:
    with Client(deployment.server.url, direct=True, seeds_max=4) as client:
        assert same(client, deployment)
    assert max(len(vids) for vids in deployment.asked()["first"] + deployment.asked()["second"]) <= 4


def test_owners_are_asked_at_once(client: Client, deployment: Deployment) -> None:
    together = threading.Barrier(2)

    def meet(asked: Asked) -> Answer:
        together.wait(30)  # breaks unless both are asked at once
        return answer(asked)

    deployment.first.answer = deployment.second.answer = meet
    assert client.samples_many(VIDS).seeds.tolist() == VIDS
    assert deployment.asked() == {"server": [], "first": [of(0)], "second": [of(1)]}


def test_every_parameter_goes_along(client: Client, deployment: Deployment) -> None:
    more: dict[str, Any] = {"fanouts": [2, 1, 1, 1], "min_position": "1:0:4", "timeout_ms": 60_000, "scores": True}
    client.samples_many(VIDS, 7, **more)
    for owner, vids in ((deployment.first, of(0)), (deployment.second, of(1))):
        assert owner.asked[0].json() == more | {"min_position": ["1:0:4"], "query": 7, "vids": vids}


def test_copies_take_turns(client: Client, deployment: Deployment) -> None:
    deployment.owners = [[deployment.first.url, deployment.second.url]] * 2
    for _ in range(3):
        client.samples_many(VIDS)
        client.samples_many(VIDS)
    asked = deployment.asked()
    assert asked["first"] == asked["second"] == [VIDS] * 3


def test_another_copy_answers_for_one_that_is_away(client: Client, deployment: Deployment) -> None:
    deployment.owners = [[AWAY, deployment.first.url]] * 2
    assert same(client, deployment)
    assert same(client, deployment)
    assert deployment.asked()["first"] == [VIDS, VIDS]


def test_another_copy_answers_for_one_that_is_not_ready(client: Client, deployment: Deployment) -> None:
    deployment.owners = [[deployment.first.url, deployment.second.url]] * 2
    deployment.first.answer = lambda _: problem(503, "starting")
    assert [client.samples(5).seed, client.samples(5).seed] == [5, 5]
    assert deployment.asked() == {"server": [], "first": [5], "second": [5, 5]}


def test_an_owner_that_is_silent_is_passed_over(client: Client, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgs_client.direct.ANSWER_S", 0.05)
    deployment.owners = [[deployment.first.url, deployment.second.url]] * 2
    released = threading.Event()

    def sleep(asked: Asked) -> Answer:
        released.wait(30)
        return answer(asked)

    deployment.first.answer = sleep
    for _ in range(4):
        assert client.samples(5).seed == 5
    assert deployment.asked() == {"server": [], "first": [5], "second": [5, 5, 5, 5]}
    released.set()


def test_an_owner_that_waits_for_positions_is_waited_for(
    client: Client, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgs_client.direct.ANSWER_S", 0.0001)
    assert client.samples(of(0)[0], min_position="1:0:4").seed == of(0)[0]
    assert deployment.asked() == {"server": [], "first": of(0)[:1], "second": []}


def test_an_owner_is_asked_again_after_a_while(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("dgs_client.direct.time.monotonic", lambda: now)
    seed = of(0)[0]
    with Client(deployment.server.url, direct=True) as client:
        deployment.first.answer = lambda _: problem(503, "starting")
        client.samples(seed)
        deployment.first.answer = answer
        for _ in range(5):
            now += 0.99
            client.samples(seed)
        assert deployment.asked()["first"] == [seed]
        now += 1.0
        client.samples(seed)
        assert deployment.asked()["first"] == [seed, seed]


def test_the_server_answers_where_no_owner_does(client: Client, deployment: Deployment) -> None:
    deployment.owners = [[AWAY], [deployment.second.url]]
    assert client.samples_many(VIDS).seeds.tolist() == VIDS
    assert deployment.asked() == {"server": [of(0)], "first": [], "second": [of(1)]}


def test_the_server_is_asked_for_what_nobody_owns(client: Client, deployment: Deployment) -> None:
    deployment.owners = [[], [deployment.second.url]]
    assert client.samples_many(VIDS).seeds.tolist() == VIDS
    assert deployment.asked() == {"server": [of(0)], "first": [], "second": [of(1)]}


def test_a_server_without_a_map_is_asked_for_everything(client: Client, deployment: Deployment) -> None:
    deployment.server.answer = lambda asked: answer(asked) if asked.path == "/samples" else problem(404, "no such path")
    assert client.samples_many(VIDS).seeds.tolist() == VIDS
    deployment.server.answer = lambda asked: answer(asked) if asked.path == "/samples" else as_json({"owners": [["ftp://x"]]})
    assert client.samples(5).seed == 5
    assert deployment.asked() == {"server": [VIDS, 5], "first": [], "second": []}


def test_no_seeds_are_one_request(client: Client, deployment: Deployment) -> None:
    assert len(client.samples_many([])) == 0
    assert deployment.asked() == {"server": [[]], "first": [], "second": []}


def test_owners_answer_while_the_server_is_away(client: Client, deployment: Deployment, renewed: None) -> None:
    assert same(client, deployment)
    deployment.server.answer = lambda _: problem(503, "starting")
    deployment.first.answer = lambda _: problem(503, "starting")
    with pytest.raises(Exception, match="starting"):
        client.samples(of(0)[0])
    assert client.samples(of(1)[0]).seed == of(1)[0]


def test_an_old_map_is_renewed_after_a_failure(client: Client, deployment: Deployment, renewed: None) -> None:
    deployment.owners = [[AWAY]] * 2
    assert client.samples(5).seed == 5
    deployment.owners = [[deployment.first.url]] * 2
    assert client.samples(5).seed == 5
    assert deployment.maps == 2
    assert deployment.asked() == {"server": [5], "first": [5], "second": []}


def test_failures_do_not_fetch_the_map_over_and_over(
    client: Client, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("dgs_client.direct.time.monotonic", lambda: now)
    with Client(deployment.server.url, direct=True) as client:
        deployment.owners = [[AWAY]] * 2
        for _ in range(5):
            client.samples(5)
        assert deployment.maps == 1
        now += 1.0
        client.samples(5)
        client.samples(5)
        assert deployment.maps == 2


def test_a_map_of_some_age_is_renewed(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("dgs_client.direct.time.monotonic", lambda: now)
    with Client(deployment.server.url, direct=True) as client:
        client.samples(5)
        deployment.owners = [[deployment.second.url]] * 2
        now += 9.9
        client.samples(of(0)[0])
        assert deployment.maps == 1
        now += 0.1
        client.samples(of(0)[0])
        assert deployment.asked()["second"][-1] == of(0)[0]
        assert deployment.maps == 2


def test_an_owner_that_left_the_map_is_not_waited_for(deployment: Deployment, renewed: None) -> None:
    arrived, released = threading.Event(), threading.Event()

    def sleep(asked: Asked) -> Answer:
        arrived.set()
        released.wait(30)
        return answer(asked)

    deployment.first.answer = sleep
    found: list[int] = []
    with Client(deployment.server.url, direct=True) as client:
        waiting = threading.Thread(target=lambda: found.append(client.samples(of(0)[0]).seed))
        waiting.start()
        assert arrived.wait(30)
        deployment.owners, deployment.second.answer = [[deployment.second.url]] * 2, lambda _: problem(503, "a moment")
        for _ in range(2):
            client.samples(of(1)[0])
        waiting.join(20)
        assert found == [of(0)[0]], "the server has answered"
        assert not released.is_set()
        released.set()


def test_the_deadline_is_for_all_that_are_asked(client: Client, deployment: Deployment) -> None:
    deployment.owners = [[deployment.first.url, deployment.second.url]] * 2
    deployment.first.answer = deployment.second.answer = lambda _: problem(503, "starting")
    assert client.samples(5, timeout_ms=60_000).seed == 5
    told = [int(a.parameters["timeout_ms"]) for one in (deployment.first, deployment.second) for a in one.asked]
    (last,) = (int(a.parameters["timeout_ms"]) for a in deployment.server.asked if a.path == "/samples")
    assert 60_000 == max(told) > min(told) - 1
    assert min(told) >= last > 0
    with Client(deployment.server.url, direct=True) as other, pytest.raises(DeadlineError, match="the time was over"):
        other.samples(5, timeout_ms=0)


def test_what_an_owner_refuses_is_refused(client: Client, deployment: Deployment) -> None:
    deployment.second.answer = lambda _: problem(422, "no")
    with pytest.raises(InputError, match="no"):
        client.samples_many(VIDS)
    with pytest.raises(InputError, match="no"):
        client.samples(of(1)[0])
    assert deployment.asked()["server"] == []


def test_an_answer_of_seeds_that_were_not_asked_for(client: Client, deployment: Deployment) -> None:
    deployment.second.answer = lambda _: as_message(samples(WORLD.graph(of(1), [100 + i for i in range(len(of(1)))])))
    with pytest.raises(CodecError, match="more seeds than"):
        client.samples_many(VIDS)


def test_loopback_addresses_of_another_host_are_not_asked(
    client: Client, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = deployment.server.url
    monkeypatch.setattr("dgs_client.direct.is_loopback", lambda url: url != elsewhere and is_loopback(url))
    assert client.samples_many(VIDS).seeds.tolist() == VIDS
    assert deployment.asked() == {"server": [VIDS], "first": [], "second": []}


@pytest.mark.parametrize(
    ("server", "there"),
    [("localhost", True), ("127.0.0.2:8700", True), ("http://[::1]:5", True), ("http://10.0.0.1", False), ("dgs.example", False)],
)
def test_loopback_addresses(server: str, there: bool) -> None:
    assert is_loopback(server) is there


def test_a_closed_client_says_so(client: Client) -> None:
    client.samples_many(VIDS)
    client.close()
    for ask in (lambda: client.samples(5), lambda: client.samples_many(VIDS)):
        with pytest.raises(UnreachableError, match="was closed"):
            ask()
