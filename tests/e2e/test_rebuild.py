"""A new generation with other partition counts, made of the history and the logs of a killed service: its answers are right."""

import json

import pytest

from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import Ended, run
from tests.e2e.service import Service


def rebuild(source: Service, target: Service, *arguments: object) -> Ended:
    """Rebuild a service's data directory into that of a new one."""
    where = ["--from", source.data_dir, "--data-dir", target.data_dir]
    return run("dgs", "rebuild", *where, *arguments, cwd=source.folder)


def changed(lines: list[str]) -> list[str]:
    """Return some of the edges, with other attributes."""
    edges = [line.rstrip("\n").split(",") for line in lines if line.startswith("i2i,")]
    return [",".join([*fields[:4], f"{i % 7}.5"]) + "\n" for i, fields in enumerate(edges[::3])]


def half_committed(service: Service, graph: Graph) -> list[str]:
    """Load into a service so that it is killed with some of that committed, and some in the log only; return all lines."""
    service.start()
    half = len(graph.lines) // 2
    later = graph.lines[half - 100 :] + changed(graph.lines[:half])
    service.load_lines(graph.pattern_file, graph.lines[:half], "first")
    assert service.terminate() == 0
    service.start("--commit-interval-ms", 60_000)
    second = service.folder / "second.data"
    second.write_text("".join(later))
    assert service.load(graph.pattern_file, second, "--barrier", "second").code == 0
    service.kill_all()
    return graph.lines[:half] + later


@pytest.fixture
def killed(new_service: NewService, graph: Graph) -> tuple[Service, list[str]]:
    """A service that was killed by `half_committed`, and all lines that it has taken."""
    service = new_service(*graph.start_flags, "--samplers", 2)
    return service, half_committed(service, graph)


def behind_commits(rebuilt: Ended) -> list[int]:
    """Return how many records of the log behind each sampler partition's commit a rebuild tells of."""
    lines = [line for line in rebuilt.err.splitlines() if "of its state" in line]
    return [int(line.rpartition(" of its state, ")[2].split()[0]) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "serving"), [(1, 1), (3, 5), (7, 2)])
def test_the_answers_of_a_rebuilt_service_are_those_of_the_oracle(
    killed: tuple[Service, list[str]], new_service: NewService, graph: Graph, partitions: int, serving: int
) -> None:
    service, lines = killed
    token = f"1:0:{8}"
    target = new_service()
    done = rebuild(service, target, "--partitions", partitions, "--serving-partitions", serving)
    assert done.code == 0, done.err
    assert f"generation 2, {partitions} + {serving} partitions" in done.err
    behind = behind_commits(done)
    assert len(behind) == 4
    assert min(behind) > 0, "everything was committed"
    target.start()
    target.wait("first")
    target.wait("second")
    assert not wrong(target, graph, graph.oracle(lines), graph.seeds())
    cluster = target.get("/cluster").json()
    assert (cluster["generation"], cluster["partitions"], cluster["serving_partitions"]) == (2, partitions, serving)
    assert cluster["log_id"] != json.loads((service.data_dir / "deployment.json").read_bytes())["log_id"]
    # Positions of the old generation mean nothing here; more can be loaded.
    assert target.get(f"/samples?vid=1&min_position={token}").status == 409
    assert target.load(graph.pattern_file, graph.data_file, "--barrier", "again").code == 0
    target.wait("again")
    assert not wrong(target, graph, graph.oracle(lines + graph.lines), graph.seeds())


@pytest.mark.slow
def test_what_cannot_be_rebuilt_is_refused_and_a_lost_log_costs_what_was_not_committed(
    killed: tuple[Service, list[str]], new_service: NewService, graph: Graph
) -> None:
    service, _ = killed
    target = new_service()
    service.start()
    running = rebuild(service, target)
    assert running.code == 1
    assert "is already served by pid" in running.err
    assert not target.data_dir.exists()
    service.wait("second")
    assert service.terminate() == 0
    assert "is not empty" in rebuild(service, service).err
    assert "holds no deployment" in rebuild(target, new_service()).err
    for log in (service.data_dir / "log" / "record-batches").glob("*/*.log"):
        log.unlink()
    for end in (service.data_dir / "log" / "record-batches").glob("*/end"):
        end.unlink()
    done = rebuild(service, target)
    assert done.code == 0, done.err
    assert done.err.count("the log behind that position is lost") == 4
    target.start()
    target.wait("first")
    assert not wrong(target, graph, graph.oracle(graph.lines + changed(graph.lines[: len(graph.lines) // 2])), graph.seeds())
