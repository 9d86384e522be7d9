"""How processes start where Kafka refuses them, or is not there yet: they say why, and end or go on accordingly."""

from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import ENVIRONMENT, run, until
from tests.kafka.cluster import Cluster


@pytest.fixture
def wrong_password(kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kafka.security("SCRAM-SHA-512", password="wrong").items():
        monkeypatch.setitem(ENVIRONMENT, name, value)


@pytest.mark.usefixtures("wrong_password")
def test_a_service_with_a_wrong_password_says_so_and_ends(kafka: Cluster, new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags, "--bus", kafka.url("wrong", "SASL_SSL"))
    service.start(ready=False)
    assert service.ended() not in (0, 130)
    said = service.said()
    assert "Authentication failed: the Kafka broker 127.0.0.1:" in said
    assert "refuses user 'dgs'" in said
    assert "Traceback" not in said


def test_settings_that_are_missing_are_told_before_anything_starts(kafka: Cluster, graph: Graph, tmp_path: Path) -> None:
    flags = ["--bus", kafka.url("x"), "--kafka-security-protocol", "SASL_SSL", "--data-dir", tmp_path / "state"]
    ended = run("dgs", "up", *graph.start_flags, *flags, cwd=tmp_path)
    assert ended.code == 2
    assert "needs kafka_sasl_username and kafka_sasl_password" in ended.err
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_a_loader_brings_its_own_password(
    kafka: Cluster, new_service: NewService, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = kafka.security("SCRAM-SHA-512")
    service = new_service(*graph.start_flags, "--bus", kafka.url("loaders", "SASL_SSL"), "--samplers", 0)
    with monkeypatch.context() as context:
        for name, value in right.items():
            context.setitem(ENVIRONMENT, name, value)
        service.start()
    told = service.get("/admin/init-info/dataloader")
    assert told.status == 200
    assert "password" not in told.text
    load = ["--dgs-service-host", service.url, "--pattern-file", graph.pattern_file, "--data-file", graph.data_file]
    for environment, code, text in (
        ({**right, "DGS_KAFKA_SASL_PASSWORD": "wrong"}, 1, "Authentication failed"),
        ({"DGS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, 2, "needs kafka_sasl_username and kafka_sasl_password"),
        (right, 0, f"{len(graph.lines)} lines, {len(graph.lines)} records"),
    ):
        ended = run("dgs-loader", *load, cwd=service.folder, settings=environment)
        assert (ended.code, text in ended.err) == (code, True), ended.err


@pytest.mark.slow
def test_several_loaders_set_one_barrier(kafka: Cluster, new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags, "--bus", kafka.url("several"), "--samplers", 1)
    service.start()
    third = len(graph.lines) // 3 + 1
    loaders = []
    for i in range(3):
        flags = ("--barrier", "all", "--barrier-count", 3, "--loader-id", i)
        loaders.append(service.begin_load(graph.pattern_file, *flags))
        loaders[i].feed(graph.lines[i * third : (i + 1) * third], 1.0)
    # One of them dies on its way, and its part is loaded again.
    until("something is loaded", lambda: sum(service.get("/cluster").json()["record_ends"]) > 20)
    loaders[2].kill()
    assert [loader.finish().code for loader in loaders[:2]] == [0, 0]
    assert service.dgs("barrier", "status", "all").out == "NOT_SET\n"
    again = service.begin_load(graph.pattern_file, "--barrier", "all", "--barrier-count", 3, "--loader-id", 2)
    again.feed(graph.lines[2 * third :], 0.5)
    assert again.finish().code == 0
    service.wait("all")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


@pytest.mark.slow
def test_a_service_waits_for_brokers_that_start_later(kafka: Cluster, new_service: NewService, graph: Graph) -> None:
    [broker] = kafka.brokers
    service = new_service(*graph.start_flags, "--bus", kafka.url("later"), "--samplers", 1)
    broker.kill()
    try:
        service.start(ready=False)
        until("it says that Kafka is away", lambda: "Kafka is away; it is tried again" in service.said())
        assert service.process is not None
        assert service.process.poll() is None
    finally:
        broker.start()
        broker.until_listening()
    service.until_ready()
    assert service.terminate() == 0
