"""A new generation of a deployment whose logs are on Kafka: what its samplers have not committed comes from there."""

import json

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.service import Service
from tests.e2e.test_rebuild import behind_commits, half_committed, rebuild
from tests.kafka.cluster import Cluster


def rebuilt_is_right(target: Service, graph: Graph, lines: list[str]) -> None:
    target.start()
    target.wait("first")
    target.wait("second")
    assert not wrong(target, graph, graph.oracle(lines), graph.seeds())
    assert target.load(graph.pattern_file, graph.data_file, "--barrier", "again").code == 0
    target.wait("again")
    assert not wrong(target, graph, graph.oracle(lines + graph.lines), graph.seeds())
    assert target.terminate() == 0


@pytest.mark.slow
def test_a_deployment_on_kafka_is_rebuilt_into_other_topics_or_into_files(
    kafka: Cluster, new_service: NewService, graph: Graph
) -> None:
    service = new_service(*graph.start_flags, "--samplers", 1, "--partitions", 2, "--bus", kafka.url("old"))
    lines = half_committed(service, graph)

    wider, in_files = new_service("--samplers", 1), new_service("--samplers", 1)
    for flags, reason in (
        ((), "say where the new one's logs are to be, with --bus"),
        (("--bus", kafka.url("old")), "is the bus of the old generation"),
    ):
        refused = rebuild(service, wider, *flags)
        assert (refused.code, reason in refused.err) == (2, True), refused.err
        assert not wider.data_dir.exists()

    done = rebuild(service, wider, "--partitions", 3, "--bus", kafka.url("wider"))
    assert done.code == 0, done.err
    assert min(behind_commits(done)) > 0, "everything was committed"
    assert json.loads((wider.data_dir / "deployment.json").read_bytes())["bus"] == kafka.url("wider")
    rebuilt_is_right(wider, graph, lines)
    taken = rebuild(service, in_files, "--partitions", 3, "--bus", kafka.url("wider"))
    assert taken.code == 1
    assert "belongs to another deployment" in taken.err

    done = rebuild(service, in_files, "--bus", f"local://{in_files.folder}/log")
    assert done.code == 0, done.err
    rebuilt_is_right(in_files, graph, lines)
