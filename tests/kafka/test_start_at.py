"""A deployment that begins in topics that have records already: those from its start on are sampled, as if loaded by itself."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.reader import Block

from dgs.bus.open import records_since
from dgs.core.deployment import Deployment
from dgs.core.errors import UnreachableError
from dgs.core.layout import Layouts
from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph, of_files, write_graph
from tests.e2e.processes import run
from tests.e2e.service import Service
from tests.e2e.test_checkpoints import create, restored
from tests.e2e.test_processes import Processes
from tests.e2e.test_rebuild import rebuild
from tests.kafka.cluster import Cluster
from tests.kafka.events import Topic

PARTITIONS = 4
SIZE = ("--partitions", PARTITIONS, "--serving-partitions", 2, "--samplers", 1)
HOUR_MS = 3_600_000
LATE_MS = int(time.time() * 1000) - HOUR_MS
"""Not too old: by its own setting for topics that others make, Kafka keeps records for a week."""
START_MS, EARLY_MS = LATE_MS - HOUR_MS, LATE_MS - 2 * HOUR_MS
THIRD = 400


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A graph whose lists have a dimension by the schema: programs that write without a service can ask nobody for one."""
    folder = tmp_path_factory.mktemp("sized")
    graph = write_graph(folder, 3 * THIRD)
    document = json.loads(graph.schema_file.read_bytes())
    next(a for a in document["attr_defs"] if a["name"] == "feature")["dim"] = 3
    graph.schema_file.write_text(json.dumps(document))
    return of_files(graph.schema_file, graph.query_file, graph.pattern_file, graph.data_file)


@dataclass
class Records:
    """A topic of records that a program has written which knows the format, before there was any service."""

    graph: Graph
    topic: Topic

    def write(self, lines: Sequence[str], at_ms: int) -> None:
        """Append the records of some lines."""
        layouts = Layouts(self.graph.schema)
        pattern = PatternFile.parse(self.graph.pattern_file.read_text(), self.graph.schema, ",")
        batch, refused = Parser(pattern, layouts).parse(Block("".join(lines).encode(), 1))
        assert not refused
        partitioner = Partitioner(PARTITIONS, range(PARTITIONS), batch_records=16)
        for partition, entries in partitioner.entries(batch, layouts).items():
            self.topic.write(entries, partition=int(partition), at_ms=at_ms, key=None)


def records(kafka: Cluster, graph: Graph, prefix: str) -> Records:
    """Return a topic with the first two thirds of a graph: one from before the start, one from after it."""
    made = Records(graph, Topic(kafka, f"{prefix}.record-batches", PARTITIONS))
    made.write(graph.lines[:THIRD], EARLY_MS)
    made.write(graph.lines[THIRD : 2 * THIRD], LATE_MS)
    return made


def until_right(service: Service, graph: Graph, lines: Sequence[str], barrier: str) -> None:
    """Check all answers once everything is served that stands in the logs."""
    assert service.dgs("barrier", "set", barrier).code == 0
    service.wait(barrier)
    assert not wrong(service, graph, graph.oracle(lines), graph.seeds())


def lose(service: Service, *folders: Path) -> None:
    """Kill everything, and take states away."""
    service.kill_all()
    for folder in folders:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_records_since_a_time_are_sampled_whatever_is_lost_afterwards(
    kafka: Cluster, new_service: NewService, sized: Graph, tmp_path: Path
) -> None:
    records(kafka, sized, "since")
    start = (*sized.start_flags, *SIZE, "--bus", kafka.url("since"), "--start-at")
    service = new_service(*start, START_MS)
    service.start()
    since = sized.lines[THIRD : 2 * THIRD]
    until_right(service, sized, since, "first")
    service.load_lines(sized.pattern_file, sized.lines[2 * THIRD :], "loaded")
    since = sized.lines[THIRD:]
    assert not wrong(service, sized, sized.oracle(since), sized.seeds())
    late = tmp_path / "late.json"
    late.write_text(sized.query_file.read_text().replace('"query_id": 0', '"query_id": 7'))
    refused = service.dgs("query", "install", late)
    assert (refused.code, "already there" in refused.err) == (1, True), refused.err

    # The state of a partition comes from the log again, and the same orders come before it.
    lose(service, service.data_dir / "sampler" / "1")
    service.start("--samplers", 1, "--start-at", START_MS)  # the rest is known by now
    until_right(service, sized, since, "again")
    create(service)
    service.kill_all()

    other = new_service(*start, START_MS + 1)
    shutil.copytree(service.data_dir, other.data_dir)
    other.start(ready=False)
    assert other.ended() == 1
    assert f"--start-at is {START_MS} there and {START_MS + 1} was asked for" in other.said()

    copy = restored(new_service, service)
    assert json.loads((copy.data_dir / "deployment.json").read_bytes())["beginning"]["at"] == str(START_MS)
    shutil.rmtree(copy.data_dir / "sampler" / "2")
    copy.start()
    until_right(copy, sized, since, "restored")
    copy.kill_all()

    files = new_service("--samplers", 1)
    done = rebuild(copy, files, "--partitions", 2, "--bus", f"local://{files.folder}/log")
    assert done.code == 0, done.err
    files.start()
    files.wait("restored")
    assert not wrong(files, sized, sized.oracle(since), sized.seeds())


@pytest.mark.slow
@pytest.mark.parametrize("at", ["earliest", "latest", pytest.param(LATE_MS + 1, id="later")])
def test_it_begins_with_what_kafka_has_kept_or_behind_it(
    kafka: Cluster, new_service: NewService, sized: Graph, at: str | int
) -> None:
    prefix = f"begins-{at}"
    topic = Records(sized, Topic(kafka, f"{prefix}.record-batches", PARTITIONS))
    topic.write(sized.lines[:THIRD], EARLY_MS)
    for partition, end in enumerate(kafka.offsets(topic.topic.name).split()):
        kafka.delete_records(topic.topic.name, partition, int(end.rpartition(":")[2]))
    topic.write(sized.lines[THIRD : 2 * THIRD], LATE_MS)
    service = new_service(*sized.start_flags, *SIZE, "--bus", kafka.url(prefix), "--start-at", at)
    service.start()
    until_right(service, sized, sized.lines[THIRD : 2 * THIRD] if at == "earliest" else [], "begun")
    service.load_lines(sized.pattern_file, sized.lines[2 * THIRD :], "loaded")
    lines = sized.lines[THIRD:] if at == "earliest" else sized.lines[2 * THIRD :]
    assert not wrong(service, sized, sized.oracle(lines), sized.seeds())
    assert service.terminate() == 0


@pytest.mark.slow
def test_processes_with_a_data_directory_of_their_own_learn_where_it_begins(kafka: Cluster, sized: Graph, tmp_path: Path) -> None:
    records(kafka, sized, "apart")
    processes = Processes(tmp_path, sized, "--bus", kafka.url("apart"), "--start-at", START_MS)
    try:
        processes.begin_all()
        until_right(processes, sized, sized.lines[THIRD : 2 * THIRD], "begun")
    finally:
        processes.stop()


@pytest.mark.slow
def test_records_that_no_query_would_see_are_told(kafka: Cluster, new_service: NewService, sized: Graph) -> None:
    records(kafka, sized, "unseen")
    service = new_service(*sized.start_flags, *SIZE, "--bus", kafka.url("unseen"))
    service.start(ready=False)
    assert service.ended() == 2
    assert "give --start-at earliest, latest or a time" in service.said()
    # As it says, and nothing is in the way.
    service.process = None
    service.arguments = (*service.arguments, "--start-at", "earliest")
    service.start()
    until_right(service, sized, sized.lines[: 2 * THIRD], "seen")


@pytest.mark.slow
def test_the_topic_of_another_deployment_is_told_as_such(kafka: Cluster, new_service: NewService, sized: Graph) -> None:
    flags = (*sized.start_flags, *SIZE, "--bus", kafka.url("owned"))
    service = new_service(*flags)
    service.start()
    assert service.terminate() == 0
    for start_at in ((), ("--start-at", "earliest")):
        other = new_service(*flags, *start_at)
        other.start(ready=False)
        assert other.ended() == 1
        assert "belongs to another deployment" in other.said()
        assert not (other.data_dir / "deployment.json").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--start-at", "monday"), "--start-at is earliest, latest, or a time in milliseconds since 1970, not 'monday'"),
        (("--start-at", "latest", "--bus", "local:///nowhere"), "--start-at needs --bus kafka://"),
    ],
)
def test_a_start_that_cannot_be_is_refused(sized: Graph, tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    bus = () if "--bus" in flags else ("--bus", "kafka://127.0.0.1:1")
    ended = run("dgs", "up", *sized.start_flags, *bus, *flags, "--data-dir", tmp_path / "state", cwd=tmp_path)
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert not (tmp_path / "state").exists()
    without = run("dgs", "up", "--schema", sized.schema_file, *bus, *flags, "--data-dir", tmp_path / "state", cwd=tmp_path)
    assert "--start-at needs --query FILE" in without.err


def test_a_start_that_cannot_be_looked_up_leaves_no_deployment_behind(kafka: Cluster, sized: Graph, tmp_path: Path) -> None:
    Topic(kafka, "uneven.record-batches", PARTITIONS)
    where = ["--bus", kafka.url("uneven"), "--start-at", "latest", "--partitions", 3, "--data-dir", tmp_path / "state"]
    ended = run("dgs", "up", *sized.start_flags, *where, cwd=tmp_path)
    assert (ended.code, "has 4 partitions, not 3" in ended.err) == (1, True), ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "state" / "deployment.json").exists()


async def test_brokers_that_stay_away_are_told(sized: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgs.bus.kafka.bus.ENSURE_S", 0.3)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
        await records_since(Deployment("log", 1, 1, 1, sized.schema, bus="kafka://127.0.0.1:1"), "latest")
