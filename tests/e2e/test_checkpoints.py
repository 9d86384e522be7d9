"""Checkpoints of real processes: made under load, killed in the middle, restored to another path, compared with the oracle."""

from pathlib import Path

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import ENVIRONMENT, FRONTEND, SAMPLER, Ended, run, until
from tests.e2e.service import Service
from tests.s3 import BUCKET, s3_service


def create(service: Service) -> str:
    """Create a checkpoint and return its id."""
    done = service.dgs("checkpoint", "create")
    assert done.code == 0, f"{done.err}; {service.said()}"
    return done.out.strip()


def checkpoint(service: Service, *arguments: object) -> Ended:
    """Run a command of `dgs checkpoint` on the default destination of a service, which need not run."""
    return run("dgs", "checkpoint", *arguments, "--from", service.data_dir / "checkpoints", cwd=service.folder)


def restored(new_service: NewService, source: Service, which: str = "latest") -> Service:
    """Restore a checkpoint of a service into the data directory of a new one, which is not started."""
    service = new_service()
    done = checkpoint(source, "restore", which, "--data-dir", service.data_dir)
    assert done.code == 0, done.err
    return service


@pytest.mark.slow
def test_a_restored_deployment_answers_as_the_one_that_was_and_goes_on(new_service: NewService, graph: Graph) -> None:
    service = new_service(*graph.start_flags, "--samplers", 2)
    service.start()
    half = len(graph.lines) // 2
    service.load_lines(graph.pattern_file, graph.lines[:half], "first")
    name = create(service)
    positions = service.get("/cluster").json()["positions"]
    assert checkpoint(service, "verify").out.startswith(f"{name} is whole")
    assert checkpoint(service, "list").out.startswith(f"{name}  ")
    assert f"checkpoint  {name}, " in service.dgs("status").out
    metrics = service.get("/metrics").text
    assert f"dgs_checkpoint_bytes {float(service.get('/cluster').json()['checkpoint']['bytes'])}" in metrics
    service.load_lines(graph.pattern_file, graph.lines[half:], "rest")  # is not in the checkpoint
    service.kill_all()

    copy = restored(new_service, service)
    copy.start()
    assert not wrong(copy, graph, graph.oracle(graph.lines[:half]), graph.seeds())
    # What serving partitions send again on their way back stands in the logs, too.
    assert all(a >= b for a, b in zip(copy.get("/cluster").json()["positions"], positions, strict=True))
    assert copy.get("/cluster").json()["log_id"] != name.rpartition("-")[2]
    assert copy.dgs("barrier", "status", "first").out == "READY\n"
    copy.load_lines(graph.pattern_file, graph.lines[half:], "rest")
    assert not wrong(copy, graph, graph.oracle(), graph.seeds())
    reply = copy.request("POST", "/admin/checkpoint")
    done = "Creating Sampling Worker Checkpoint Successfully.\nCreating Serving Worker Checkpoint Successfully.\n"
    assert (reply.status, reply.text) == (200, done)
    assert copy.terminate() == 0


@pytest.mark.slow
def test_checkpoints_made_under_load_and_kills_are_each_the_beginning_of_what_was_loaded(
    new_service: NewService, graph: Graph
) -> None:
    service = new_service(*graph.start_flags, "--samplers", 2, "--checkpoints-kept", 10)
    service.start()
    loader = service.begin_load(graph.pattern_file)
    loader.feed(graph.lines, 6.0)
    made = []
    for role in (SAMPLER, FRONTEND, None):
        made.append(create(service))
        if role is not None:
            service.kill(role)
            service.until_ready()
    assert loader.running, "the load is over before it was disturbed"
    assert loader.finish().code == 0
    service.kill_all()

    for name in made:
        copy = restored(new_service, service, name)
        copy.start()
        # What is sent again is numbered on from where the checkpoint is; were its logs not of one moment, numbers would be taken.
        assert copy.load(graph.pattern_file, graph.data_file, "--barrier", "again").code == 0
        copy.wait("again")
        assert not wrong(copy, graph, graph.oracle(), graph.seeds())
        assert copy.terminate() == 0


@pytest.mark.slow
def test_a_creation_that_is_killed_leaves_the_older_checkpoint_and_nothing_of_its_own(
    new_service: NewService, graph: Graph
) -> None:
    service = new_service(*graph.start_flags, "--samplers", 1)
    service.start()
    assert service.load(graph.pattern_file, graph.data_file, "--barrier", "loaded").code == 0
    service.wait("loaded")
    name = create(service)
    service.terminate()
    # Samplers that are not there keep the creation from its end.
    service.start("--samplers", 1)
    service.kill(SAMPLER)
    begun = service.request("POST", "/checkpoints").json()["id"]
    service.kill_all()
    left = list((service.data_dir / "checkpoints" / "checkpoints").iterdir())
    assert checkpoint(service, "verify").out.startswith(f"{name} is whole")
    assert {p.name for p in left} <= {name, begun}
    service.start()
    newer = create(service)
    until("the rest is swept", lambda: names(service) == {name, newer})
    assert not wrong(restarted(service), graph, graph.oracle(), graph.seeds())


@pytest.mark.slow
def test_checkpoints_go_to_an_object_store_by_themselves_and_come_back(
    new_service: NewService, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_service() as environment:
        for name, value in environment.items():
            monkeypatch.setitem(ENVIRONMENT, name, value)
        url = f"s3://{BUCKET}/shop"
        service = new_service(*graph.start_flags, "--checkpoint-url", url, "--checkpoint-interval-s", 0.5)
        service.start()
        assert service.load(graph.pattern_file, graph.data_file, "--barrier", "loaded").code == 0
        service.wait("loaded")
        before = service.get("/checkpoints").json()["checkpoints"]
        latest = [c["id"] for c in before][:1]
        until("there are newer ones", lambda: newer(service, latest))
        listed = service.get("/checkpoints").json()["checkpoints"]
        service.kill_all()
        assert not (service.data_dir / "checkpoints").exists()
        shown = run("dgs", "checkpoint", "list", "--from", url, cwd=service.folder)
        assert [line.split()[0] for line in shown.out.splitlines()][-1] in {c["id"] for c in listed}
        copy = new_service()
        done = run("dgs", "checkpoint", "restore", "--from", url, "--data-dir", copy.data_dir, cwd=service.folder)
        assert done.code == 0, done.err
    copy.start()
    assert not wrong(copy, graph, graph.oracle(), graph.seeds())


def newer(service: Service, than: list[str]) -> bool:
    """Whether two checkpoints have been completed since."""
    found = [c["id"] for c in service.get("/checkpoints").json()["checkpoints"]]
    return len(found) == 2 and (not than or found[1] > than[0])


def names(service: Service) -> set[str]:
    """Return what stands at the destination."""
    folder: Path = service.data_dir / "checkpoints" / "checkpoints"
    return {p.name for p in folder.iterdir()}


def restarted(service: Service) -> Service:
    """Kill a service and start it again."""
    service.kill_all()
    service.start()
    return service
