"""Who runs what, as members tell it: copies of a partition as one, who is down, what is needed of the logs."""

import dataclasses
import json
from dataclasses import replace

import pytest

from dgs.coordinator.membership import FORGOTTEN_AFTER_S, STALE_AFTER_S, Membership
from dgs.core.deployment import Beginning, Deployment
from dgs.core.errors import ConflictError, InputError
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex
from dgs.membership.heartbeat import Heartbeat, SamplerReport, ServingReport, StandingReport
from dgs.serving.machine import ServingMachine
from dgs.telemetry.figures import SamplerFigures, ServingFigures

SCHEMA: dict[str, list[object]] = {"attr_defs": [], "vertex_defs": [], "edge_defs": [], "edge_relation_defs": []}
DEPLOYMENT = Deployment("log", 1, 2, 2, Schema.parse(json.dumps(SCHEMA)))


class World:
    """A membership, and a clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.membership = Membership(DEPLOYMENT, clock=lambda: self.now)

    def sampler(self, member: str, partition: int, position: int, *, applied: int = 0, dead: int | None = 0) -> None:
        report = SamplerReport(partition, SamplerFigures(position, position - 1, applied), dead)
        self.membership.hear(Heartbeat(member, "log", "host", 1, samplers=(report,)))

    def serving(
        self,
        member: str,
        partition: int,
        positions: tuple[int, int],
        *,
        answers: bool = True,
        caught_up: bool = True,
        needed: int | None = None,
        barrier: int = 0,
    ) -> None:
        figures = ServingFigures(sum(positions))
        behind = 0 if caught_up else 7
        known, received = min(positions), (7, sum(positions))
        report = ServingReport(partition, answers, caught_up, behind, barrier, positions, known, figures, received, needed)
        self.membership.hear(Heartbeat(member, "log", "host", 1, f"http://{member}", serving=(report,)))


@pytest.fixture
def world() -> World:
    return World()


def test_a_member_of_another_deployment_is_refused(world: World) -> None:
    with pytest.raises(ConflictError, match="a belongs to the deployment other, this coordinator to log"):
        world.membership.hear(Heartbeat("a", "other", "host", 1))
    assert world.membership.members() == []


def test_what_nobody_has_told_yet_is_reflected_up_to_where_the_deployment_begins() -> None:
    late = dataclasses.replace(DEPLOYMENT, beginning=Beginning("latest", (5, 1 << 40), ()))
    membership = Membership(late, clock=lambda: 0.0)
    assert list(membership.serving(0).reflected().positions) == [5, 1 << 40]
    assert ServingMachine(late, PartitionIndex(1)).state.positions == [5, 1 << 40]


def test_partitions_that_there_are_not_are_refused(world: World) -> None:
    with pytest.raises(InputError, match="no sampler partition 2"):
        world.sampler("a", 2, 1)
    with pytest.raises(InputError, match="no serving partition 3"):
        world.serving("a", 3, (1, 1))


def test_the_copy_that_is_furthest_comes_first_and_one_that_is_down_last(world: World) -> None:
    world.sampler("old", 0, 99)
    world.now += STALE_AFTER_S
    world.sampler("active", 0, 50, applied=10)
    world.sampler("behind", 0, 40)
    world.now += 1
    world.sampler("active", 0, 60, applied=30)
    seen = [(c.member.member, c.up, c.records_per_second) for c in world.membership.samplers(0)]
    assert seen == [("active", True, 20.0), ("behind", True, 0.0), ("old", False, 0.0)]
    assert world.membership.samplers(1) == []
    assert world.membership.records_needed(0) == 39, "one that is down may come back"
    assert world.membership.records_needed(1) is None


def test_a_partition_that_counts_from_0_again_has_no_negative_rate(world: World) -> None:
    world.sampler("a", 0, 1, applied=500)
    world.now += 1
    world.sampler("a", 0, 1, applied=20)
    assert world.membership.samplers(0)[0].records_per_second == 0


def test_copies_of_a_serving_partition_are_as_far_as_the_last_of_them(world: World) -> None:
    one = world.membership.serving(0)
    assert (one.answers, one.caught_up, list(one.reflected().positions), one.figures().position) == (False, False, [0, 0], 0)
    world.serving("a", 0, (10, 20))
    world.serving("b", 0, (12, 18))
    assert (one.answers, one.caught_up) == (True, True)
    assert (list(one.reflected().positions), one.reflected().watermark) == ([10, 18], 10)
    world.serving("c", 0, (1, 1), caught_up=False)
    assert (one.caught_up, one.behind_bytes, list(one.reflected().positions)) == (False, 7, [1, 1])
    assert list(world.membership.owners()[0]) == ["http://a", "http://b"], "while others know more"
    world.serving("c", 0, (1, 1), answers=False, caught_up=False)
    assert (one.caught_up, list(one.reflected().positions)) == (True, [10, 18]), "it is not asked"
    world.now += STALE_AFTER_S
    assert (one.answers, one.caught_up) == (False, False)
    assert list(one.reflected().positions) == [1, 1], "what was known last"
    assert world.membership.owners() == {0: [], 1: []}


def test_a_log_is_needed_by_all_copies(world: World) -> None:
    assert world.membership.samples_needed(0) is None
    world.serving("a", 0, (1, 1), needed=7)
    assert world.membership.samples_needed(0) == 7
    world.serving("b", 0, (1, 1), needed=5)
    world.now += STALE_AFTER_S
    assert world.membership.samples_needed(0) == 5
    world.serving("c", 0, (1, 1))
    assert world.membership.samples_needed(0) is None, "it needs all of it"


def test_a_member_is_forgotten_at_last(world: World) -> None:
    world.sampler("a", 0, 5)
    world.now += FORGOTTEN_AFTER_S + 1
    world.sampler("b", 0, 9)
    assert [m.heartbeat.member for m in world.membership.members()] == ["b"]
    assert world.membership.records_needed(0) == 8


def test_copies_pass_over_the_same_entries(world: World) -> None:
    world.sampler("a", 0, 1, dead=2)
    world.sampler("b", 0, 1, dead=3)
    world.sampler("c", 1, 1, dead=4)
    assert world.membership.dead_letters() == 7
    world.sampler("b", 0, 1, dead=None)
    assert world.membership.dead_letters() == 6
    world.sampler("c", 1, 1, dead=None)
    assert world.membership.dead_letters() is None


def test_troubles_are_those_of_members_that_are_up(world: World) -> None:
    world.membership.hear(Heartbeat("a", "log", "host", 1, troubles=("full", "read-only")))
    world.membership.hear(Heartbeat("b", "log", "host", 1, troubles=("full",)))
    assert world.membership.troubles() == ["full", "read-only"]
    world.now += STALE_AFTER_S
    assert world.membership.troubles() == []


def test_a_member_that_leaves_is_not_asked_but_its_log_is_kept(world: World) -> None:
    world.serving("a", 0, (1, 1), needed=5)
    world.serving("b", 0, (1, 1), needed=7)
    leaving = replace(world.membership.members()[0].heartbeat, leaving=True)
    world.membership.hear(leaving)
    assert world.membership.owners()[0] == ["http://b"]
    assert [m.up for m in world.membership.members()] == [False, True]
    assert world.membership.samples_needed(0) == 5


def test_a_barrier_is_passed_once_all_copies_that_are_asked_have_passed_it(world: World) -> None:
    one = world.membership.serving(0)
    assert one.barrier == 0
    world.serving("a", 0, (1, 1), barrier=3)
    world.serving("b", 0, (1, 1), barrier=2, answers=False, caught_up=False)
    assert one.barrier == 3
    world.serving("b", 0, (1, 1), barrier=2)
    assert one.barrier == 2


def test_what_stands_in_a_log_is_known_from_the_copy_that_is_furthest(world: World) -> None:
    assert world.membership.standing(1, 0) is None
    world.serving("a", 0, (10, 20))
    world.serving("b", 0, (5, 5))
    assert world.membership.standing(1, 0) == StandingReport(position=30, number=30, note=20)
    assert world.membership.standing(0, 0) == StandingReport(position=30, number=7, note=10)
    assert world.membership.standing(0, 1) is None


def test_a_copy_that_writes_comes_before_one_that_stands_by(world: World) -> None:
    report = SamplerReport(0, SamplerFigures(99, 98), stands_by=True)
    world.membership.hear(Heartbeat("standby", "log", "host", 1, samplers=(report,)))
    world.sampler("writes", 0, 50)
    assert [c.member.member for c in world.membership.samplers(0)] == ["writes", "standby"]


def test_what_a_member_needs_is_known_while_its_partitions_do_not_run(world: World) -> None:
    world.sampler("a", 0, 50)
    world.sampler("standby", 0, 901)
    world.membership.hear(Heartbeat("a", "log", "host", 1))  # it has started again, and opens its store
    assert world.membership.records_needed(0) == 49
    world.serving("b", 1, (1, 1), needed=5)
    world.membership.hear(Heartbeat("b", "log", "host", 1))
    assert world.membership.samples_needed(1) == 5


def test_a_copied_directory_on_another_host_is_another_member(world: World) -> None:
    world.sampler("a", 0, 50)
    report = SamplerReport(0, SamplerFigures(80, 70))
    world.membership.hear(Heartbeat("a", "log", "elsewhere", 1, samplers=(report,)))
    assert [c.member.host for c in world.membership.samplers(0)] == ["elsewhere", "host"]
    assert world.membership.records_needed(0) == 49


def test_one_that_has_restored_nothing_yet_does_not_know_what_stands(world: World) -> None:
    world.serving("a", 0, (0, 0), answers=False, caught_up=False)
    assert world.membership.standing(0, 0) is None


def test_a_report_of_another_number_of_partitions_is_refused(world: World) -> None:
    report = ServingReport(0, True, True, 0, 0, (1, 2, 3), None, ServingFigures(0))
    with pytest.raises(InputError, match=r"there are 2 record partitions, .* \[3\]"):
        world.membership.hear(Heartbeat("a", "log", "host", 1, serving=(report,)))
