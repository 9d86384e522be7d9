"""`dgs status` against a stand-in service: what it shows, what it complains of, and how it ends."""

import json
import time
from typing import Any

import pytest

from dgs.cli.status import UNKNOWN, seconds, size

from .conftest import Dgs, FakeService, as_json, problem

SAMPLER = {
    "partition": 0,
    "up": True,
    "pid": 4711,
    "position": 2048,
    "committed": 1024,
    "end": 5_000_000,
    "lag_bytes": 3 << 20,
    "lag_seconds": 0.25,
    "records_per_second": 12345.6,
    "records_applied": 1_234_567,
    "records_rejected": 0,
    "state_bytes": 1 << 30,
    "reported_s_ago": 0.4,
    "copies": [{"member": "a", "up": True}, {"member": "b", "up": True}, {"member": "c", "up": False}],
}
DOWN = dict.fromkeys(SAMPLER) | {"partition": 1, "up": False, "copies": []}
SERVING = {
    "partition": 0,
    "answers": True,
    "caught_up": True,
    "positions": [1, 2],
    "watermark": 1715000000,
    "lag_bytes": 17,
    "rows_pending": 3,
    "vertices": 9876,
    "state_bytes": 5 << 20,
    "snapshot": {"position": 7, "age_s": 12.5},
    "copies": [{"member": "a", "up": True}],
}
MEMBER = {"name": "a@1", "up": True, "samplers": [0], "serving": [], "heard_s_ago": 0.2}
CLUSTER: dict[str, Any] = {
    "log_id": "abc",
    "generation": 1,
    "partitions": 1,
    "serving_partitions": 1,
    "record_ends": [5_000_000],
    "lag_bytes_max": 64 << 20,
    "freshness_s": {"p50": 0.004, "p99": 1.25, "samples": 99},
    "members": [MEMBER],
    "samplers": [SAMPLER],
    "serving": [SERVING],
    "queries": [{"id": 0, "name": "u2i", "ready": True}, {"id": 1, "name": "i2i", "ready": False}],
    "barriers": [{"name": "[bold]loaded", "state": "SAMPLED"}],
    "dead_letters": 0,
    "orders_pending": 0,
    "checkpoint": {"id": "20261126T155012.123456Z-5a5a", "age_s": 90.0, "bytes": 3 << 20, "sent_bytes": 1 << 20},
}


def shown(dgs: Dgs, service: FakeService, **changes: Any) -> str:
    service.on("GET /cluster", as_json(CLUSTER | changes))
    result = dgs("status", "--server", service.url)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_everything_is_on_one_page(dgs: Dgs, service: FakeService) -> None:
    page = shown(dgs, service)
    assert page.splitlines()[:4] == [
        "deployment abc, generation 1",
        "queries     u2i, i2i (not ready)",
        "freshness   p50 4 ms, p99 1.2 s (99 in the last minute)",
        "checkpoint  20261126T155012.123456Z-5a5a, 90.0 s ago, 3.0 MiB",
    ]
    rows = [line.split() for line in page.splitlines()]
    figures = "0 pid 4711 +1 2,048 1,024 5,000,000 3.0 MiB 250 ms 12,346 1,234,567 0 1.0 GiB"
    assert figures.split() in rows
    assert ["0", "ready", "17", "B", "3", "9,876", "5.0", "MiB", "1715000000", "12.5", "s", "ago"] in rows
    assert ["[bold]loaded", "SAMPLED"] in rows
    assert "down" not in page


def test_what_is_down_is_named(dgs: Dgs, service: FakeService) -> None:
    stale = SAMPLER | {"partition": 2, "up": False, "reported_s_ago": 7.5}
    reading = SERVING | {"answers": False, "caught_up": False, "snapshot": None, "watermark": None, "lag_bytes": None}
    page = shown(
        dgs,
        service,
        samplers=[SAMPLER | {"lag_bytes": 65 << 20}, DOWN, stale],
        serving=[reading],
        record_ends=None,
        orders_pending=2,
        dead_letters=4,
        freshness_s=None,
        queries=[],
        barriers=[],
        checkpoint=None,
    )
    behind = SERVING | {"caught_up": False}
    gone = MEMBER | {"name": "serving-0@2", "up": False, "samplers": [], "serving": [0, 2], "heard_s_ago": 8.0}
    nobody = SERVING | {"answers": False, "caught_up": False, "copies": [{"member": "serving-0@2", "up": False}]}
    missing = shown(dgs, service, members=[MEMBER, gone], serving=[nobody])
    assert "serving-0@2 (serving 0,2) was heard 8.0 s ago for the last time" in missing
    assert "nobody that is up serves serving partition 0" in missing
    assert "serving partition 0 answers with its snapshot" in shown(dgs, service, serving=[behind])
    for line in (
        "queries     none",
        "checkpoint  none",
        "freshness   nothing measured in the last minute",
        "the sampler of record partition 1 is down: it has never reported",
        "the sampler of record partition 2 is down: its last report is 7.5 s old",
        "loaders pause: record partition 0 is 65.0 MiB behind, the limit is 64.0 MiB",
        "serving partition 0 does not answer yet: it reads what was there before its start",
        "the bus does not answer",
        "2 orders of the coordinator are not written yet",
        "4 log entries could not be read and were kept as dead letters",
    ):
        assert line in page.splitlines()
    rows = [line.split() for line in page.splitlines()]
    assert ["1", "down", *[UNKNOWN] * 9] in rows
    assert "barriers" not in page


def test_without_a_limit_no_lag_is_too_large(dgs: Dgs, service: FakeService) -> None:
    on_kafka = SAMPLER | {"lag_bytes": None, "lag_entries": 12_345}
    text = shown(dgs, service, samplers=[on_kafka], lag_entries_max=10_000)
    assert "is 12,345 entries behind, the limit is 10,000 entries" in text
    assert "loaders pause" not in shown(dgs, service, samplers=[SAMPLER | {"lag_bytes": 1 << 50}], lag_bytes_max=0)


def test_json_is_what_the_service_says(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /cluster", as_json(CLUSTER))
    result = dgs("status", "--output", "json", "--server", service.url)
    assert json.loads(result.stdout) == CLUSTER
    assert result.stdout.count("\n") == 1


def test_a_service_that_does_not_answer_fails(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /cluster", problem(503, title="Not ready", detail="the service is starting"))
    result = dgs("status", "--server", service.url)
    assert result.exit_code == 1
    assert "the service is starting" in result.stderr
    assert dgs("status", "--server", "127.0.0.1:9").exit_code == 3


@pytest.mark.parametrize("output", ["table", "json"])
def test_watching_goes_on_until_it_is_interrupted(
    dgs: Dgs, service: FakeService, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    gone = [problem(503, detail="away")] if output == "table" else []
    answers = [as_json(CLUSTER), *gone, as_json(CLUSTER | {"log_id": "the second"}), as_json(CLUSTER)]
    service.on("GET /cluster", *answers)
    looks = []

    def sleep(s: float) -> None:
        looks.append(s)
        if len(looks) == len(answers):
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    result = dgs("status", "--watch", "--output", output, "--server", service.url)
    assert result.exit_code == 130
    assert looks == [1.0] * len(answers)
    assert len(service.asked) == len(answers)
    if output == "json":
        assert [json.loads(line)["log_id"] for line in result.stdout.splitlines()] == ["abc", "the second", "abc"]


@pytest.mark.parametrize(
    ("n", "text"), [(None, UNKNOWN), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 41, "2.0 TiB"), (1 << 51, "2048.0 TiB")]
)
def test_sizes(n: int | None, text: str) -> None:
    assert size(n) == text


@pytest.mark.parametrize(
    ("s", "text"), [(None, UNKNOWN), (0.0, "0 ms"), (0.0034, "3 ms"), (59.94, "59.9 s"), (600, "10 min"), (1e5, "28 h")]
)
def test_durations(s: float | None, text: str) -> None:
    assert seconds(s) == text
