"""Looking into a deployment whose logs are on Kafka: its entries are told as those in files are, and nothing is made."""

import pytest

from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import run
from tests.e2e.service import Service
from tests.e2e.test_inspect import inspected
from tests.kafka.cluster import TOPICS, Cluster

SIZE = ("--partitions", 2, "--serving-partitions", 1, "--samplers", 1)


@pytest.fixture
def loaded(kafka: Cluster, new_service: NewService, graph: Graph) -> Service:
    service = new_service(*graph.start_flags, *SIZE, "--bus", kafka.url("looked-at"))
    service.start()
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "all").code == 0
    service.wait("all")
    return service


@pytest.mark.slow
def test_logs_on_kafka_are_looked_into(kafka: Cluster, loaded: Service) -> None:
    logs = inspected(loaded, "log", "--verify")["logs"]
    assert [(log["topic"], log["partition"], log["segments"], log["damage"]) for log in logs] == [
        ("record-batches", 0, None, None),
        ("record-batches", 1, None, None),
        ("sample-batches", 0, None, None),
    ]
    assert all(log["begin"] == 0 and log["entries"] == log["end"] > 0 for log in logs)
    assert "  -" in run("dgs", "inspect", "log", "--data-dir", loaded.data_dir, cwd=loaded.folder).out

    end = logs[1]["end"]
    found = inspected(loaded, "log", "record-batches", 1, "--limit", 0)["entries"]
    assert [e["position"] for e in found] == list(range(end))
    assert any("edge" in e["summary"] for e in found if e["kind"] == "records")
    later = inspected(loaded, "log", "record-batches", 1, "--from", 2, "--limit", 1)["entries"]
    assert later == found[2:3]
    assert inspected(loaded, "partition", "sampler", 1)["log"] == {"begin": 0, "end": end, "counts": "entries"}

    kafka.delete_records("looked-at.record-batches", 1, 3)
    assert inspected(loaded, "log", "record-batches", 1, "--limit", 0)["entries"] == found[3:]
    gone = run("dgs", "inspect", "log", "record-batches", 1, "--from", 1, "--data-dir", loaded.data_dir, cwd=loaded.folder)
    assert gone.code == 2
    assert "before the first kept entry (3)" in gone.err

    # What is gone is told, and not made.
    loaded.kill_all()
    kafka.tool(TOPICS, "--delete", "--topic", "looked-at.sample-batches")
    logs = inspected(loaded, "log")["logs"]
    assert [log["exists"] for log in logs] == [True, True, False]
    assert "looked-at.sample-batches" not in kafka.tool(TOPICS, "--list")
