"""Looking into the data directory of a service at work: it is always told something true, and the service does not notice."""

import json
from typing import Any

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import run, until
from tests.e2e.service import Service


def inspected(service: Service, *arguments: object) -> dict[str, Any]:
    ended = run("dgs", "inspect", *arguments, "--data-dir", service.data_dir, "--output", "json", cwd=service.folder)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


@pytest.mark.slow
def test_a_running_service_is_looked_into(new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags)
    service.start()
    loader = service.begin_load(graph.pattern_file, "--barrier", "all")
    loader.feed(graph.lines * 3, 6.0)
    until("something is committed", lambda: (service.data_dir / "sampler" / "0" / "CURRENT").exists())
    positions: list[int] = []
    while not loader.fed:
        found = inspected(service, "partition", "sampler", 0)
        positions.append(int(found["position"]))
        inspected(service, "log", "--verify")
        inspected(service, "vertex", "user", graph.seeds()[0])
    ended = loader.finish()
    assert ended.code == 0, ended.err
    service.wait("all")
    assert positions == sorted(positions)
    assert len(set(positions)) > 1, "it moved while it was looked at"
    assert not wrong(service, graph, graph.oracle(), graph.seeds())
    assert "Traceback" not in service.said()
