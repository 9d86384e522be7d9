"""Programs that are none of ours: Debian's kcat reads what we write and writes what we read; Kafka's tools show what there is."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dgs_client.connection import Connection
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.reader import Block
from dgs_loader.service import Service as LoaderService

from dgs.bus.base import RECORDS, SAMPLES
from dgs.codec.entries import BlockPack, decode_entry
from dgs.core.records import RecordBatch
from tests.e2e.answers import wrong
from tests.e2e.inputs import Graph
from tests.e2e.processes import until
from tests.e2e.service import Service
from tests.kafka.cluster import GROUPS, TOPICS, Cluster
from tests.lacking import lacking

PREFIX = "foreign"
PARTITIONS, SERVING = 3, 2
BY_KCAT = 200


def kcat(cluster: Cluster, *arguments: object) -> bytes:
    broker = f"127.0.0.1:{cluster.brokers[0].ports['PLAINTEXT']}"
    done = subprocess.run(["kcat", "-q", "-b", broker, *map(str, arguments)], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def edges(graph: Graph) -> list[str]:
    """Lines that the loader does not load."""
    return [line for line in graph.lines if line.startswith(("u2i", "i2i"))][-BY_KCAT:]


@pytest.fixture(scope="module")
def service(kafka: Cluster, graph: Graph, edges: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    if shutil.which("kcat") is None:
        lacking("kcat is not installed (apt-get install kcat)")
    size = ["--partitions", PARTITIONS, "--serving-partitions", SERVING, "--samplers", 1]
    service = Service(tmp_path_factory.mktemp("foreign"), *graph.start_flags, *size, "--bus", kafka.url(PREFIX))
    rest = service.folder / "rest.data"
    rest.write_text("".join(line for line in graph.lines if line not in set(edges)))
    try:
        service.start("--kafka-group-prefix", PREFIX, *service.arguments)
        assert service.load(graph.pattern_file, rest, "--barrier", "rest").code == 0
        service.wait("rest")
        yield service
    finally:
        service.stop()


def test_kcat_reads_what_we_write(service: Service, kafka: Cluster) -> None:
    log_id = service.get("/cluster").json()["log_id"]
    for topic, count in ((RECORDS, PARTITIONS), (SAMPLES, SERVING)):
        kinds = set()
        for partition in range(count):
            place = ("-C", "-e", "-t", f"{PREFIX}.{topic}", "-p", partition, "-o", "beginning")
            rest, offset = kcat(kafka, *place, "-f", "%o %k %S\n%s"), 0
            while rest:
                head, _, rest = rest.partition(b"\n")
                told, key, size = head.decode().split()
                assert (int(told), key) == (offset, log_id)
                kinds.add(type(decode_entry(rest[: int(size)])))
                rest, offset = rest[int(size) :], offset + 1
        assert (RecordBatch if topic == RECORDS else BlockPack) in kinds


def test_kcat_writes_what_we_read(service: Service, kafka: Cluster, graph: Graph, edges: list[str], tmp_path: Path) -> None:
    with Connection(service.url) as connection:
        init = LoaderService(connection).init()
    pattern = PatternFile.parse(graph.pattern_file.read_text(), init.schema, ",")
    batch, refused = Parser(pattern, init.layouts).parse(Block("".join(edges).encode(), 1))
    assert not refused
    for partition, entries in Partitioner(init.data_partitions, init.router).entries(batch, init.layouts).items():
        for entry in entries:
            file = tmp_path / "entry"
            file.write_bytes(entry)
            kcat(kafka, "-P", "-t", f"{PREFIX}.{RECORDS}", "-p", partition, file)
    assert service.dgs("barrier", "set", "by kcat").code == 0
    service.wait("by kcat")
    assert not wrong(service, graph, graph.oracle(), graph.seeds())


def test_kafkas_tools_show_topics_offsets_and_lag(service: Service, kafka: Cluster) -> None:
    topics = kafka.tool(TOPICS, "--list").split()
    assert {f"{PREFIX}.{RECORDS}", f"{PREFIX}.{SAMPLES}"} <= set(topics)
    offsets = dict(line.rsplit(":", 1) for line in kafka.offsets(f"{PREFIX}.{RECORDS}").split())
    ends = service.get("/cluster").json()["record_ends"]
    assert offsets == {f"{PREFIX}.{RECORDS}:{p}": str(end) for p, end in enumerate(ends)}
    wanted = {("sampler", f"{p}") for p in range(PARTITIONS)} | {("serving", f"{s}") for s in range(SERVING)}

    def caught_up() -> bool:
        told = [line.split() for line in kafka.tool(GROUPS, "--describe", "--all-groups").splitlines() if line.startswith(PREFIX)]
        return {(words[0].removeprefix(f"{PREFIX}-"), words[2]) for words in told if words[5] == "0"} == wanted

    until("all is read, by what Kafka's tool for groups tells", caught_up)
    metrics = service.get("/metrics").text
    assert [f'dgs_lag_entries{{partition="{p}"}} 0.0' in metrics for p in range(PARTITIONS)] == [True] * PARTITIONS
    assert "dgs_lag_bytes{" not in metrics
