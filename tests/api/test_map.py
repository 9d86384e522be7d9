"""`/cluster/map`: who answers for which seeds, told by a process with the coordinator, and by one without."""

import httpx

from dgs.api.asgi import make_serving_app, samples_endpoint
from dgs.api.peers import NoPeers
from dgs.config import Settings
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.membership import STALE_AFTER_S, Membership
from dgs.http.gate import Receive, Scope, Send
from dgs.membership.heartbeat import Heartbeat, ServingReport
from dgs.telemetry.figures import ServingFigures
from dgs.telemetry.telemetry import Telemetry
from tests.api.conftest import HandClock, P, S


def beat(name: str, *partitions: int, answers: bool = True, leaving: bool = False) -> Heartbeat:
    serving = tuple(ServingReport(s, answers, answers, 0, 0, (0,) * P, None, ServingFigures(0)) for s in partitions)
    return Heartbeat(name, "log", "host", 1, f"http://{name}", serving=serving, leaving=leaving)


async def owners(client: httpx.AsyncClient) -> list[list[str]]:
    response = await client.get("/cluster/map")
    assert response.status_code == 200
    found: list[list[str]] = response.json()["owners"]
    return found


async def test_owners_are_those_who_answer_and_are_up(client: httpx.AsyncClient, membership: Membership, clock: HandClock) -> None:
    assert await owners(client) == [[], []]
    for heartbeat in (beat("b", 0, 1), beat("a", 0), beat("starting", 1, answers=False)):
        membership.hear(heartbeat)
    assert await owners(client) == [["http://a", "http://b"], ["http://b"]]
    membership.hear(beat("a", 0, leaving=True))
    assert await owners(client) == [["http://b"], ["http://b"]]
    clock.now += STALE_AFTER_S
    assert await owners(client) == [[], []]


async def test_what_is_fixed_comes_along(client: httpx.AsyncClient) -> None:
    found, cluster = (await client.get("/cluster/map")).json(), (await client.get("/cluster")).json()
    assert found == {"owners": [[]] * S} | {name: cluster[name] for name in ("generation", "serving_partitions", "hash")}


async def test_a_frontend_tells_what_it_heard_without_asking_the_coordinator(
    coordinator: Coordinator, settings: Settings, telemetry: Telemetry
) -> None:
    async def others(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(f"{scope['path']} was passed on")

    app = make_serving_app(
        coordinator.deployment,
        {},
        coordinator,
        others,
        owners=lambda: {1: ["http://b", "http://a"]},
        samples=samples_endpoint(coordinator.deployment, {}, coordinator, NoPeers(), settings),
        telemetry=telemetry,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dgs") as client:
        assert await owners(client) == [[], ["http://a", "http://b"]]
