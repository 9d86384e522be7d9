"""What /readyz says: storage that takes no writes shows there and keeps nobody from reading; samplers have one of their own."""

import time

import httpx
import pytest

from dgs.api.sampler import make_sampler_app
from dgs.bus.memory import MemoryBus
from dgs.coordinator.coordinator import Coordinator
from dgs.membership.heartbeat import SamplerReport
from dgs.telemetry.figures import SamplerFigures
from dgs.telemetry.telemetry import Telemetry
from tests.api.conftest import FakePartition, MakeApp

TOLD = ["no room for the log record-batches/3 (No space left on device): free some; it is tried again", "another"]


async def test_what_is_behind_is_told_while_it_answers(
    coordinator: Coordinator, partitions: list[FakePartition], client: httpx.AsyncClient
) -> None:
    coordinator.accept_loaders.set()
    partitions[1].caught_up, partitions[1].from_snapshot, partitions[1].behind_bytes = False, True, 4711
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["catching_up"] == {"serving-1": 4711}
    partitions[1].caught_up = True
    assert "catching_up" not in (await client.get("/readyz")).json()


@pytest.mark.parametrize("caught_up", [True, False])
async def test_a_full_disk_is_told_but_reads_go_on(
    coordinator: Coordinator, partitions: list[FakePartition], make: MakeApp, caught_up: bool
) -> None:
    found: list[str] = []
    coordinator.accept_loaders.set()
    partitions[1].caught_up = caught_up
    app = make(lambda: found)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dgs") as client:
        assert (await client.get("/readyz")).json()["degraded"] is False
        found += TOLD
        response = await client.get("/readyz")
        assert response.status_code == (200 if caught_up else 503)
        body = response.json()
        assert (body["ready"], body["degraded"]) == (caught_up, True)
        assert body["checks"]["storage"] == "; ".join(TOLD)
        if not caught_up:
            assert body["problems"] == ["serving-1: still reading what was there before its start"]
        found.clear()
        assert (await client.get("/readyz")).json()["checks"]["storage"] == "ok"


async def test_a_process_of_samplers_is_ready_once_all_its_partitions_run() -> None:
    running: list[SamplerReport] = []
    telemetry = Telemetry.of(MemoryBus(), clock=time.perf_counter, wall_clock=time.time)
    app = make_sampler_app([0, 2], lambda: running, lambda: [], telemetry)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dgs") as client:
        assert (await client.get("/livez")).status_code == 200
        running.append(SamplerReport(2, SamplerFigures(7, 5, records_applied=40), 0))
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["problems"]) == (503, ["sampler-0: its state is being read"])
        running.append(SamplerReport(0, SamplerFigures(1, 1), 0))
        assert (await client.get("/readyz")).json()["checks"] == {"sampler-0": "ok", "sampler-2": "ok", "storage": "ok"}
        metrics = (await client.get("/metrics")).text
        assert 'dgs_records_applied_total{partition="2"} 40.0' in metrics
        assert "process_resident_memory_bytes" in metrics
        assert "\ndgs_queries " not in metrics, "what is not known here is not told"
