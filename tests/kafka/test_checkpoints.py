"""Checkpoints where the logs are on Kafka: states only, restored elsewhere, go on with the logs as they are by then."""

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import until
from tests.e2e.test_checkpoints import checkpoint, create, restored
from tests.kafka.cluster import Cluster

SIZE = ("--partitions", 3, "--serving-partitions", 2, "--samplers", 1)


@pytest.mark.slow
def test_a_restored_deployment_goes_on_with_the_logs_of_the_old_one(kafka: Cluster, new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags, *SIZE, "--bus", kafka.url("restored"))
    service.start()
    half = len(graph.lines) // 2
    service.load_lines(graph.pattern_file, graph.lines[:half], "first")
    name = create(service)
    assert checkpoint(service, "verify").out.startswith(f"{name} is whole")
    log_id = service.get("/cluster").json()["log_id"]
    # Orders and records that the checkpoint does not have.
    service.load_lines(graph.pattern_file, graph.lines[half:], "rest")
    service.kill_all()

    copy = restored(new_service, service)
    copy.start()
    assert copy.get("/cluster").json()["log_id"] == log_id
    assert copy.dgs("barrier", "status", "first").out == "READY\n"
    # An order of the coordinator after the restore has a number of its own, else no partition would answer it.
    assert copy.dgs("barrier", "set", "new").code == 0
    copy.wait("new")
    assert not wrong(copy, graph, graph.oracle(), graph.seeds())
    assert copy.load(graph.pattern_file, graph.data_file, "--barrier", "again").code == 0
    copy.wait("again")
    assert not wrong(copy, graph, graph.oracle(), graph.seeds())
    assert copy.terminate() == 0


@pytest.mark.slow
def test_records_that_a_kept_checkpoint_needs_stay_and_others_go(kafka: Cluster, new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags, *SIZE, "--bus", kafka.url("truncated"), "--checkpoints-kept", 1)
    service.start()
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "first").code == 0
    service.wait("first")
    create(service)
    first = positions(kafka, "truncated.record-batches", "--time", "earliest")
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "second").code == 0
    service.wait("second")
    create(service)
    until("records go", lambda: positions(kafka, "truncated.record-batches", "--time", "earliest") > first)
    service.kill_all()
    # The newest checkpoint still has all that it needs.
    copy = restored(new_service, service)
    copy.start()
    assert not wrong(copy, graph, graph.oracle(), graph.seeds())
    copy.kill_all()
    # What Kafka has lost meanwhile is told, before anything is written.
    for partition, end in enumerate(positions(kafka, "truncated.record-batches", "--time", "latest")):
        kafka.delete_records("truncated.record-batches", partition, end)
    second = new_service()
    done = checkpoint(service, "restore", "latest", "--data-dir", second.data_dir)
    assert done.code == 1
    assert "sampler/0 would go on from position" in done.err
    assert "`dgs checkpoint restore --data-dir NEW`" in done.err
    assert not second.data_dir.exists()


def positions(kafka: Cluster, topic: str, *arguments: str) -> list[int]:
    """Return the offsets that Kafka's own tool tells, by partition."""
    return [int(line.rpartition(":")[2]) for line in sorted(kafka.offsets(topic, *arguments).splitlines())]
