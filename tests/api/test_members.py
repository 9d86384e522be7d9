"""What processes of a deployment ask of its coordinator, over a real socket."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.membership import Membership
from dgs.core.errors import StateError, UnreachableError
from dgs.http.gate import Application
from dgs.http.listener import listen, url_of
from dgs.http.server import Server
from dgs.membership.heartbeat import DEPLOYMENT, Heartbeat, News, SamplerReport
from dgs.membership.link import DEPLOYMENT_PATH, HEARTBEATS, HttpLink
from dgs.telemetry.figures import SamplerFigures
from tests.api.conftest import P, ProblemCheck, S

BEAT = Heartbeat("a", "log", "host", 1, samplers=(SamplerReport(2, SamplerFigures(5, 4)),))


@pytest.fixture
async def link(app: Application) -> AsyncIterator[HttpLink]:
    with listen("127.0.0.1", 0) as listening:
        link = HttpLink(url_of(listening))
        async with Server(listening) as server:
            server.gate.open(app)
            yield link
            link.close()


async def test_a_heartbeat_is_heard_and_answered(link: HttpLink, membership: Membership) -> None:
    assert await link.beat(BEAT) == News()
    assert [m.heartbeat for m in membership.members()] == [BEAT]


async def test_a_member_of_another_deployment_learns_it(link: HttpLink) -> None:
    with pytest.raises(StateError, match="a belongs to the deployment other, this coordinator to log"):
        await link.beat(Heartbeat("a", "other", "host", 1))


async def test_a_round_is_reported(link: HttpLink, coordinator: Coordinator) -> None:
    await coordinator.set_barrier("loaded")
    for s in range(S):
        await link.report(s, 1, coordinator.operators.rounds())
    assert coordinator.barrier("loaded").state == "READY"


async def test_what_is_no_heartbeat_is_refused(client: httpx.AsyncClient, is_problem: ProblemCheck) -> None:
    is_problem(await client.post(HEARTBEATS, content=b"{}"), 422, "member: ")
    is_problem(await client.post(HEARTBEATS, content=b"x" * (17 << 20)), 413, "16777216")


async def test_a_new_process_learns_what_is_fixed(client: httpx.AsyncClient, coordinator: Coordinator) -> None:
    facts = DEPLOYMENT.read((await client.get(DEPLOYMENT_PATH)).content)
    assert facts.deployment().identity() == coordinator.deployment.identity()
    assert (facts.partitions, facts.bus) == (P, "memory://")


async def test_a_coordinator_that_is_away_is_no_end(unused_tcp_port_factory: Callable[[], int]) -> None:
    link = HttpLink(f"127.0.0.1:{unused_tcp_port_factory()}")
    with pytest.raises(UnreachableError):
        await link.beat(BEAT)
