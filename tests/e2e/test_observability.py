"""What a running service tells about itself: metrics, status, logs; what is down shows; loaders wait for what is behind."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dgs.telemetry.metrics import Kind, describe
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import SAMPLER, paused, until
from tests.e2e.service import Service

P, S = 4, 2


def scrape(service: Service) -> dict[str, list[float]]:
    """Return the values of every sample, by name."""
    reply = service.get("/metrics")
    assert reply.status == 200
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(reply.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found


ABSENT = {
    "dgs_records_rejected_total",  # there need not be any
    "dgs_snapshot_age_seconds",
    "dgs_lag_entries",  # only on Kafka
    "dgs_samples_lag_entries",
}


def test_metrics_tell_what_was_done(loaded: Service, graph: Graph) -> None:
    records = len(graph.lines)
    assert loaded.dgs("checkpoint", "create").code == 0
    until("samplers have reported", lambda: sum(scrape(loaded).get("dgs_records_applied_total", [])) >= records)
    text, found = loaded.get("/metrics").text, scrape(loaded)
    for metric in describe():
        assert f"# HELP {metric.name} {metric.help}\n" in text
        suffix = "_count" if metric.kind is Kind.HISTOGRAM else ""
        if metric.name not in ABSENT:
            assert f"{metric.name}{suffix}" in found, metric.name
    assert sum(found["dgs_records_applied_total"]) == records
    assert found["dgs_sampler_up"] == [1.0] * P
    assert found["dgs_lag_bytes"] == found["dgs_lag_seconds"] == [0.0] * P
    assert found["dgs_rows_pending"] == found["dgs_samples_lag_bytes"] == [0.0] * S
    assert sum(found["dgs_channel_gaps_total"]) == sum(found["dgs_dead_letters"]) == 0
    assert min(found["dgs_state_bytes"]) > 0
    assert min(found["dgs_vertices"]) > 0
    # Every partition has reflected at least one entry of every other; none of them took longer than the whole test may.
    assert found["dgs_freshness_seconds_count"][0] >= P * S
    assert 0 < found["dgs_freshness_seconds_sum"][0] < 120 * found["dgs_freshness_seconds_count"][0]
    seeds = sum(found["dgs_request_seeds_total"])
    loaded.samples(graph.seeds()[:10])
    after = scrape(loaded)
    assert sum(after["dgs_request_seeds_total"]) == seeds + 10
    assert sum(after["dgs_request_duration_seconds_count"]) > sum(found["dgs_request_duration_seconds_count"])


def test_status_shows_the_cluster(loaded: Service, graph: Graph) -> None:
    done = loaded.dgs("status", "--output", "json")
    assert done.code == 0, done.err
    shown = json.loads(done.out)
    assert shown.keys() == loaded.get("/cluster").json().keys()
    assert shown["positions"] == shown["record_ends"]
    assert {s["pid"] for s in shown["samplers"]} == set(loaded.pids(SAMPLER))
    assert all(s["up"] and s["lag_bytes"] == 0 for s in shown["samplers"])
    until("all is committed", lambda: all(s["committed"] == s["end"] for s in loaded.get("/cluster").json()["samplers"]))
    table = loaded.dgs("status")
    assert table.code == 0, table.err
    assert re.search(r"^queries +shop$", table.out, re.MULTILINE)
    assert re.search(r"^loaded +READY *$", table.out, re.MULTILINE)
    assert re.search(rf"^ *1 +pid {shown['samplers'][1]['pid']} ", table.out, re.MULTILINE)
    assert "down" not in table.out


@pytest.mark.slow
def test_a_sampler_that_hangs_shows_as_down_until_it_goes_on(loaded: Service) -> None:
    def down() -> str:
        return "\n".join(line for line in loaded.dgs("status").out.splitlines() if "is down" in line)

    with paused(loaded.pids(SAMPLER)):
        until("all samplers are down", lambda: down().count("the sampler of record partition") == P)
        assert "its last report is" in down()
        assert loaded.get("/samples?vid=1").status == 200
        assert scrape(loaded)["dgs_sampler_up"] == [0.0] * P
    until("all samplers are up again", lambda: not down())


@pytest.mark.slow
def test_a_loader_waits_for_a_service_that_is_too_far_behind(graph: Graph, new_service: NewService) -> None:
    service = new_service(*graph.start_flags, "--lag-bytes-max", 1)
    service.start()
    first, rest = graph.lines[:50], graph.lines[50:]
    with paused(service.pids(SAMPLER)):
        loader = service.begin_load(graph.pattern_file, "--barrier", "all")
        loader.feed(first, 0.1)
        until("the first lines are in the log", lambda: max(service.get("/lag").json()["lag_bytes"]) > 1)
        lag = service.get("/lag").json()["lag_bytes"]
        loader.feed(rest, 3.0)
        until("the loader says that it waits", lambda: "waiting: the service is" in loader.log.read_text())
        assert loader.running
        held = service.get("/lag").json()["lag_bytes"]
        assert sum(held) < 4 * (sum(lag) + (1 << 16)), "little more came in, as it looks once a second"
        table = service.dgs("status")
        assert "loaders pause: record partition" in table.out
    ended = loader.finish()
    assert ended.code == 0, ended.err
    assert re.search(r"\d s of it waiting for the service", ended.err)
    service.wait("all")
    assert service.get("/lag").json()["lag_bytes"] == [0] * P


def test_logs_are_json_where_that_is_asked_for(graph: Graph, new_service: NewService) -> None:
    service = new_service(*graph.start_flags, "--log-format", "json")
    service.start()
    service.terminate()
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert {line["process"].partition("[")[0] for line in lines} == {"supervisor", "frontend", "sampler"}
    assert any(line["event"].startswith(f"serving at {service.url}") for line in lines)
    assert all({"time", "level", "logger", "process", "event"} <= line.keys() for line in lines)
