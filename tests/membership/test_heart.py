"""The heart of a member beats on without a coordinator; what travels arrives as it was sent."""

import asyncio
import dataclasses
import json
from dataclasses import replace

import pytest

from dgs.core.control import INSTALL, ControlItem
from dgs.core.deployment import Beginning, Deployment
from dgs.core.errors import InputError, StateError, UnreachableError
from dgs.core.schema import Schema
from dgs.membership import heart as hearts
from dgs.membership.heart import Heart
from dgs.membership.heartbeat import (
    DEPLOYMENT,
    HEARTBEAT,
    NEWS,
    DeploymentFacts,
    Heartbeat,
    News,
    SamplerReport,
    ServingReport,
)
from dgs.membership.link import OwnLink
from dgs.telemetry.figures import SamplerFigures, ServingFigures
from tests.waiting import until

SAMPLER = SamplerReport(1, SamplerFigures(7, 6, 5, {"refused": 4}, 3, 2, 1), 9)
SERVING = ServingReport(0, True, False, 8, 4, (1 << 60, 2), -5, ServingFigures(3, snapshot_at=0.5), (3, 4), 1, None)
BEAT = Heartbeat("frontend@1", "log", "host", 12, "http://h:1", (SAMPLER,), (SERVING,), ("disk full",))
HEARD = News(True, frozenset({0, 7}), {0: ["http://a", "http://b"], 1: []}, "checkpoint")


def test_values_survive_the_journey_and_a_newer_program_may_say_more() -> None:
    assert HEARTBEAT.read(HEARTBEAT.write(BEAT)) == BEAT
    assert NEWS.read(NEWS.write(HEARD)) == HEARD
    newer = json.loads(HEARTBEAT.write(BEAT)) | {"more": 1}
    assert HEARTBEAT.read(json.dumps(newer).encode()) == BEAT
    with pytest.raises(InputError, match=r"samplers\.0\.partition: "):
        HEARTBEAT.read(json.dumps(newer | {"samplers": [{"partition": "x", "figures": {}}]}).encode())


def test_a_deployment_survives_the_journey() -> None:
    text = json.dumps({"attr_defs": [], "vertex_defs": [], "edge_defs": [], "edge_relation_defs": []})
    beginning = Beginning("latest", (1, 2, 3, 4), (ControlItem(1, INSTALL, {"id": 7, "name": "q7", "plan": {}}),))
    deployment = Deployment("log", 3, 4, 5, Schema.parse(text), idle_items=6, beginning=beginning)
    facts = DeploymentFacts.of(deployment, "memory://")
    assert DEPLOYMENT.read(DEPLOYMENT.write(facts)) == facts
    assert facts.deployment() == dataclasses.replace(deployment, schema=facts.deployment().schema, bus="memory://")
    assert (facts.deployment().schema.text, facts.deployment().bus) == (text, "memory://")


class Coordinator:
    """Hears heartbeats, or fails."""

    def __init__(self) -> None:
        self.heard: list[Heartbeat] = []
        self.fails: Exception | None = None
        self.news = HEARD

    async def beat(self, heartbeat: Heartbeat) -> News:
        self.heard.append(heartbeat)
        if self.fails is not None:
            raise self.fails
        return self.news


async def test_a_member_works_on_with_what_it_heard_last(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(hearts, "INTERVAL_S", 0.001)
    coordinator = Coordinator()
    heart = Heart(coordinator, lambda: BEAT)
    assert heart.news == News()
    running = asyncio.create_task(heart.run())
    await until(lambda: heart.news == HEARD)
    coordinator.fails, before = UnreachableError("away"), len(coordinator.heard)
    await until(lambda: len(coordinator.heard) > before + 3)
    assert heart.news == HEARD
    coordinator.fails, before = None, len(coordinator.heard)
    await until(lambda: len(coordinator.heard) > before + 3)
    running.cancel()
    told = [(r.levelname, r.getMessage()) for r in caplog.records if r.levelname == "WARNING"]
    assert told == [("WARNING", "the coordinator does not hear this process, which works on; it is told again")]


async def test_a_member_of_another_deployment_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator()
    coordinator.fails = StateError("another deployment")
    with pytest.raises(StateError, match="another deployment"):
        await Heart(coordinator, lambda: BEAT).run()


async def test_a_coordinator_of_the_same_process_is_told_directly() -> None:
    heard: list[Heartbeat] = []

    def hear(heartbeat: Heartbeat) -> News:
        heard.append(heartbeat)
        return HEARD

    assert await OwnLink(hear).beat(BEAT) == HEARD
    assert heard == [BEAT]


async def test_a_member_that_stops_says_so_if_it_can() -> None:
    coordinator = Coordinator()
    heart = Heart(coordinator, lambda: BEAT)
    await heart.leave()
    assert coordinator.heard == [replace(BEAT, leaving=True)]
    coordinator.fails = UnreachableError("away")
    await heart.leave()


async def test_all_who_want_the_news_share_one_beat() -> None:
    coordinator = Coordinator()
    heart = Heart(coordinator, lambda: BEAT)
    await asyncio.gather(*(heart.refresh() for _ in range(5)))
    assert heart.news == HEARD
    assert len(coordinator.heard) == 1
    await heart.refresh()
    assert len(coordinator.heard) == 2


async def test_a_coordinator_that_has_just_started_takes_no_owner_away() -> None:
    coordinator = Coordinator()
    heart = Heart(coordinator, lambda: BEAT)
    await heart.beat()
    coordinator.news = News(owners={0: [], 1: ["http://c"]})
    await heart.beat()
    assert heart.news.owners == {0: ["http://a", "http://b"], 1: ["http://c"]}


async def test_what_is_said_after_the_goodbye_is_goodbye_too() -> None:
    coordinator = Coordinator()
    heart = Heart(coordinator, lambda: BEAT)
    await heart.leave()
    await heart.beat()
    assert [h.leaving for h in coordinator.heard] == [True, True]
