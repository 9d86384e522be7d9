"""`/metrics`, `/cluster` and `/lag`: they show what the parts know, and say what is not known; nothing is invented."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dgs.api import observer
from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import RequestPack, encode_records, encode_requests
from dgs.coordinator.checkpoints import CheckpointCreator
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.membership import STALE_AFTER_S, Membership
from dgs.coordinator.truncation import Truncation
from dgs.core.operators import InstalledQuery
from dgs.core.records import RecordBatch
from dgs.core.requests import REQUEST
from dgs.core.types import PartitionIndex
from dgs.membership.heartbeat import Heartbeat, SamplerReport
from dgs.store.checkpoints import Checkpoints
from dgs.store.destination import Destination
from dgs.store.file_ref import FileRef
from dgs.store.manifest import Manifest, Part
from dgs.telemetry.figures import SamplerFigures, ServingFigures
from dgs.telemetry.freshness import FreshnessSummary
from dgs.telemetry.metrics import describe
from dgs.telemetry.telemetry import Telemetry
from tests.api.conftest import FakePartition, HandClock, P

Client = httpx.AsyncClient
LIMITS = {"lag_bytes_max": 64 << 20, "lag_entries_max": 10_000}
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(client: Client) -> Values:
    """Return all samples by name and labels."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(response.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def value(values: Values, name: str, **labels: object) -> float | None:
    return values.get((name, tuple(sorted((k, str(v)) for k, v in labels.items()))))


async def entry(bus: MemoryBus, partition: int, appended_ms: int) -> int:
    """Append an empty record batch; return the new end."""
    return int(await bus.append(RECORDS, PartitionIndex(partition), [encode_records(RecordBatch((), [], appended_ms))]))


@pytest.fixture
async def checkpoints(
    coordinator: Coordinator, bus: MemoryBus, membership: Membership, tmp_path: Path, clock: HandClock
) -> CheckpointCreator:
    """One that has created a checkpoint half a minute ago."""

    def opened() -> Checkpoints:
        return Checkpoints(Destination(str(tmp_path)))

    truncation = Truncation(bus, coordinator.deployment, membership)
    creator = CheckpointCreator(coordinator, tmp_path, opened, lambda: None, truncation, interval_s=0, kept=1, wall_clock=clock)
    parts = [Part("sampler", 0, 0, [], [], [FileRef("a", 1000, "0" * 64), FileRef("b", 1000, "0" * 64)], 7)]
    identity = coordinator.deployment.identity()
    creator.newest = Manifest("id", int((clock.now - 30) * 1000), 2.5, 7, identity, "", {}, parts, [])
    return creator


@pytest.fixture
async def caught_up(bus: MemoryBus, coordinator: Coordinator, partitions: list[FakePartition]) -> list[FakePartition]:
    """Partitions that reflect all that stands in the logs."""
    for partition in partitions:
        partition.positions = [int(end) for end in await coordinator.record_ends()]
    return partitions


def told(partition: int, records_applied: int = 1000, dead_letters: int | None = 0) -> Heartbeat:
    """What a member with one sampler partition says."""
    figures = SamplerFigures(100 + partition, 50, records_applied, {"unreadable": 2, "refused": 3}, 4, 5, 6 << 20)
    return Heartbeat(f"member-{partition}", "log", "host", 4711, samplers=(SamplerReport(partition, figures, dead_letters),))


async def test_every_metric_is_there_with_type_and_help_and_shows_what_it_should(
    client: Client,
    coordinator: Coordinator,
    installed: InstalledQuery,
    caught_up: list[FakePartition],
    membership: Membership,
    telemetry: Telemetry,
    bus: MemoryBus,
    clock: HandClock,
) -> None:
    await coordinator.set_barrier("a")
    for partition in caught_up:
        partition.positions = [int(end) for end in await coordinator.record_ends()]
    caught_up[1].told = ServingFigures(0, 11, 12, 13, 14, 15, 16, 17, 18, clock.now - 19)
    membership.hear(told(2))
    telemetry.freshness.reflected(int(clock.now * 1000) - 30)
    before = await bus.end(RECORDS, PartitionIndex(2))
    end = await entry(bus, 2, int((clock.now - 20) * 1000))
    sample_end = await bus.append(SAMPLES, PartitionIndex(1), [b"12345"])
    await client.get("/queries")

    text = (await client.get("/metrics")).text
    values = await scrape(client)
    for metric in describe():
        assert f"# HELP {metric.name} {metric.help}\n" in text
        assert f"# TYPE {metric.name} {metric.kind}\n" in text
        found = [labels for name, labels in values if name in (metric.name, f"{metric.name}_count")]
        assert bool(found) == ("_lag_entries" not in metric.name.removeprefix("dgs")), f"{metric.name}: only on Kafka"
        assert all({k for k, _ in labels} == set(metric.labels) for labels in found), metric.name
    own = set(re.findall(r"^# TYPE (dgs_\S+)", text, re.MULTILINE))
    assert own == {m.name for m in describe()}, "none that is not described"
    assert value(values, "process_cpu_seconds_total") is not None

    expected: dict[str, dict[tuple[tuple[str, object], ...], Any]] = {
        "dgs_records_applied_total": {(("partition", 2),): 1000},
        "dgs_records_rejected_total": {
            (("partition", 2), ("reason", "refused")): 3,
            (("partition", 2), ("reason", "unreadable")): 2,
        },
        "dgs_sampler_up": {(("partition", p),): int(p == 2) for p in range(P)},
        "dgs_lag_bytes": {(("partition", p),): end - before if p == 2 else 0 for p in range(P)},
        "dgs_lag_seconds": {(("partition", p),): 20 if p == 2 else 0 for p in range(P)},
        "dgs_samples_lag_bytes": {(("partition", 0),): 0, (("partition", 1),): sample_end},
        "dgs_request_seeds_total": {(("partition", 0),): 0, (("partition", 1),): 11},
        "dgs_channel_duplicates_total": {
            (("component", "sampler"), ("partition", 2)): 4,
            (("component", "serving"), ("partition", 0)): 0,
            (("component", "serving"), ("partition", 1)): 12,
        },
        "dgs_channel_gaps_total": {
            (("component", "sampler"), ("partition", 2)): 5,
            (("component", "serving"), ("partition", 0)): 0,
            (("component", "serving"), ("partition", 1)): 13,
        },
        "dgs_blocks_ignored_total": {(("partition", 0),): 0, (("partition", 1),): 14},
        "dgs_rows_pending": {(("partition", 0),): 0, (("partition", 1),): 15},
        "dgs_vertices": {(("partition", 0),): 0, (("partition", 1),): 16},
        "dgs_state_bytes": {
            (("component", "sampler"), ("partition", 2)): 6 << 20,
            (("component", "serving"), ("partition", 0)): 0,
            (("component", "serving"), ("partition", 1)): 17,
        },
        "dgs_snapshot_age_seconds": {(("partition", 1),): 19},
        "dgs_checkpoint_age_seconds": {(): 30},
        "dgs_checkpoint_duration_seconds": {(): 2.5},
        "dgs_checkpoint_bytes": {(): 1000},
        "dgs_checkpoint_sent_bytes": {(): 7},
        "dgs_queries": {(): 1},
        "dgs_barriers": {(("state", s),): int(s == "PRODUCED") for s in ("NOT_SET", "PRODUCED", "SAMPLED", "READY")},
        "dgs_dead_letters": {(): 0},
        "dgs_freshness_seconds_sum": {(): pytest.approx(0.03, abs=1e-5)},
        "dgs_freshness_seconds_count": {(): 1},
    }
    for name, wanted in expected.items():
        shown = {labels: v for (n, labels), v in values.items() if n == name}
        assert shown == {tuple((k, str(x)) for k, x in labels): v for labels, v in wanted.items()}, name


async def test_requests_are_timed_by_route_and_status(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition], clock: HandClock
) -> None:
    await client.get("/samples?vid=1")
    await client.get("/samples?vid=2")
    await client.get("/samples?vid=x")
    await client.get("/queries/friends")
    await client.get("/queries/nobody")
    await client.get("/no/such/path")
    for partition in partitions:
        partition.fails = RuntimeError("a bug")
    await client.get("/samples?vid=1")
    values = await scrape(client)
    counts = {
        (dict(labels)["route"], dict(labels)["code"]): v
        for (name, labels), v in values.items()
        if name == "dgs_request_duration_seconds_count"
    }
    assert counts == {
        ("/samples", "200"): 2,
        ("/samples", "422"): 1,
        ("/samples", "500"): 1,
        ("/queries/{name}", "200"): 1,
        ("/queries/{name}", "404"): 1,
        ("other", "404"): 1,
    }
    assert value(values, "dgs_request_duration_seconds_sum", route="/samples", code="200") == 0, "the clock stood still"
    assert value(await scrape(client), "dgs_request_duration_seconds_count", route="/metrics", code="200") == 1


async def test_a_duration_is_that_of_the_whole_answer(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition], clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for partition in partitions:
        answer = partition.ego_graph

        def ego_graph(*arguments: Any, answer: Any = answer) -> Any:
            clock.now += 0.25
            return answer(*arguments)

        monkeypatch.setattr(partition, "ego_graph", ego_graph)
    await client.get("/samples?vid=1")
    values = await scrape(client)
    assert value(values, "dgs_request_duration_seconds_sum", route="/samples", code="200") == 0.25
    assert value(values, "dgs_request_duration_seconds_bucket", route="/samples", code="200", le="0.2") == 0
    assert value(values, "dgs_request_duration_seconds_bucket", route="/samples", code="200", le="0.5") == 1


async def test_a_bus_that_does_not_answer_takes_only_what_it_knows(
    client: Client, bus: MemoryBus, installed: InstalledQuery
) -> None:
    await bus.close()
    values = await scrape(client)
    assert value(values, "dgs_queries") == 1
    assert not [name for name, _ in values if name.startswith(("dgs_lag", "dgs_samples_lag"))]
    assert (await client.get("/lag")).json() == LIMITS | {"lag_bytes": None, "lag_entries": None}
    cluster = (await client.get("/cluster")).json()
    assert [(s["end"], s["lag_bytes"], s["lag_seconds"]) for s in cluster["samplers"]] == [(None, None, None)] * P
    assert [s["lag_bytes"] for s in cluster["serving"]] == [None] * 2


async def test_a_bus_that_hangs_is_not_waited_for_long(
    client: Client, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, installed: InstalledQuery
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(bus, "end", hang)
    monkeypatch.setattr(observer, "BUS_WAIT_S", 0.01)
    assert (await client.get("/cluster")).json()["record_ends"] is None


async def test_samplers_are_shown_by_what_their_members_say(
    client: Client, membership: Membership, clock: HandClock, caught_up: list[FakePartition]
) -> None:
    membership.hear(told(1))
    clock.now += STALE_AFTER_S - 3.5
    membership.hear(told(0, records_applied=950))
    clock.now += 4
    membership.hear(told(0))
    clock.now += 0.5
    cluster = (await client.get("/cluster")).json()
    end = cluster["record_ends"][0]
    assert cluster["samplers"][0] == {
        "partition": 0,
        "up": True,
        "member": "member-0",
        "pid": 4711,
        "position": 100,
        "committed": 50,
        "end": end,
        "lag_bytes": 0,
        "lag_entries": None,
        "lag_seconds": 0.0,
        "records_per_second": 12.5,
        "records_applied": 1000,
        "records_rejected": 5,
        "state_bytes": 6 << 20,
        "reported_s_ago": 0.5,
        "copies": [{"member": "member-0", "up": True, "stands_by": False, "position": 100, "committed": 50}],
    }
    assert [s["up"] for s in cluster["samplers"]] == [True, False, False, False]
    assert cluster["samplers"][1]["reported_s_ago"] == STALE_AFTER_S + 1
    assert cluster["samplers"][1]["records_applied"] == 1000, "what it said last is kept"
    missing = {
        k: v for k, v in cluster["samplers"][2].items() if k not in ("partition", "up", "end", "lag_bytes", "lag_seconds", "copies")
    }
    assert set(missing.values()) == {None}
    clock.now += STALE_AFTER_S
    later = (await client.get("/cluster")).json()
    assert not any(s["up"] for s in later["samplers"])
    assert [(m["name"], m["up"], m["samplers"]) for m in later["members"]] == [("member-0", False, [0]), ("member-1", False, [1])]


async def test_the_lag_is_what_not_all_serving_partitions_reflect(
    client: Client, bus: MemoryBus, caught_up: list[FakePartition], clock: HandClock
) -> None:
    assert (await client.get("/lag")).json() == LIMITS | {"lag_bytes": [0] * P, "lag_entries": None}
    before = await bus.end(RECORDS, PartitionIndex(1))
    asked = RequestPack(1, 0, 1, np.zeros(0, REQUEST))
    await bus.append(RECORDS, PartitionIndex(1), [encode_requests(asked)])  # an entry of another kind comes first
    await entry(bus, 1, int((clock.now - 7) * 1000))
    end = await entry(bus, 1, int((clock.now - 5) * 1000))
    caught_up[0].positions = [*caught_up[0].positions]
    caught_up[0].positions[1] = int(end)
    assert (await client.get("/lag")).json()["lag_bytes"] == [0, end - before, 0, 0]
    seen = (await client.get("/cluster")).json()["samplers"][1]
    assert (seen["lag_bytes"], seen["lag_seconds"]) == (end - before, 7)
    caught_up[1].positions = caught_up[0].positions
    seen = (await client.get("/cluster")).json()["samplers"][1]
    assert (seen["lag_bytes"], seen["lag_seconds"]) == (0, 0)


async def test_a_lag_without_a_time_has_no_seconds(client: Client, bus: MemoryBus, caught_up: list[FakePartition]) -> None:
    await bus.append(RECORDS, PartitionIndex(0), [b"damaged"])
    await entry(bus, 1, 0)
    cluster = (await client.get("/cluster")).json()
    assert [s["lag_seconds"] for s in cluster["samplers"]] == [None, None, 0, 0]


async def test_the_cluster_tells_the_rest(
    client: Client,
    coordinator: Coordinator,
    partitions: list[FakePartition],
    clock: HandClock,
    membership: Membership,
) -> None:
    partitions[0].told = ServingFigures(
        0, rows_pending=3, vertices=4, state_bytes=5, snapshot_position=6, snapshot_at=clock.now - 2
    )
    await coordinator.set_barrier("a")
    await coordinator.set_barrier("b", 2, 0)
    cluster = (await client.get("/cluster")).json()
    assert cluster["freshness_s"] is None
    assert cluster["lag_bytes_max"] == 64 << 20
    assert cluster["barriers"] == [{"name": "a", "state": "PRODUCED"}, {"name": "b", "state": "NOT_SET"}]
    assert cluster["dead_letters"] == 0
    first, second = cluster["serving"]
    assert (first["rows_pending"], first["vertices"], first["state_bytes"]) == (3, 4, 5)
    assert first["snapshot"] == {"position": 6, "age_s": 2}
    assert second["snapshot"] is None
    membership.hear(replace(told(0, dead_letters=2), freshness=FreshnessSummary(0.02, 0.03, 3)))
    membership.hear(replace(told(2), freshness=FreshnessSummary(0.01, 0.04, 2)))
    cluster = (await client.get("/cluster")).json()
    assert cluster["freshness_s"] == {"p50": 0.02, "p99": 0.04, "samples": 5}, "of the slowest"
    assert cluster["dead_letters"] == 2
    membership.hear(told(1, dead_letters=None))
    assert (await client.get("/cluster")).json()["dead_letters"] is None, "it cannot be told"
