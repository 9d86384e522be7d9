"""A user's topic as the source of `dgs-loader`, on a real broker: exact answers, restarts, where it begins, what it refuses."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from dgs_loader.kafka_source import KafkaSource
from dgs_loader.offset_info import OffsetInfo
from dgs_loader.source_topic import SourceTopic

from dgs.bus.kafka.options import KafkaOptions
from dgs.core.errors import PositionError
from tests.e2e.answers import wrong
from tests.e2e.conftest import NewService
from tests.e2e.inputs import Graph
from tests.e2e.processes import Ended, run, until
from tests.e2e.service import Service
from tests.kafka.broker import GUEST
from tests.kafka.cluster import ACLS, Cluster
from tests.kafka.events import BOTH_WAYS, MAPPING, Streaming, Topic, event, loading

NewTopic = Callable[[int], Topic]
NewStreaming = Callable[..., Streaming]


@pytest.fixture(scope="module")
def shop(graph: Graph) -> Graph:
    """The small graph, in which what goes with what does so both ways."""
    return replace(graph, reversed_edges=BOTH_WAYS)


@pytest.fixture(scope="module")
def mapping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("mapping") / "mapping.json"
    file.write_text(json.dumps(MAPPING))
    return file


@pytest.fixture(scope="module")
def service(shop: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on files, for tests that look at their loader only."""
    service = Service(tmp_path_factory.mktemp("source"), *shop.start_flags, "--samplers", 0)
    try:
        service.start()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def new_topic(kafka: Cluster) -> NewTopic:
    numbers = count()
    return lambda partitions: Topic(kafka, f"events-{next(numbers)}", partitions)


@pytest.fixture
def new_streaming(mapping: Path) -> Iterator[NewStreaming]:
    """Start loaders that go on; whatever becomes of the test, none is left."""
    made: list[Streaming] = []

    def start(service: Service, topic: Topic, *flags: object) -> Streaming:
        made.append(Streaming(service, mapping, topic, *flags))
        return made[-1]

    yield start
    for streaming in made:
        streaming.end()


def load(service: Service, mapping: Path, topic: Topic, *flags: object) -> Ended:
    """Load what a topic has now."""
    return run("dgs-loader", *loading(service, mapping, topic), "--until-end", *flags, cwd=service.folder)


def view(user: int, at: int = 1) -> bytes:
    return json.dumps({"kind": "view", "user": {"id": user}, "item": 7, "at": at}).encode()


def test_the_answers_are_those_that_follow_from_the_events(
    kafka: Cluster, new_service: NewService, shop: Graph, mapping: Path, new_topic: NewTopic
) -> None:
    topic = new_topic(4)
    topic.write(map(event, shop.lines))
    service = new_service(*shop.start_flags, "--bus", kafka.url("from-source"), "--samplers", 1)
    service.start()
    done = load(service, mapping, topic, "--barrier", "all", "--group", "mine")
    assert done.code == 0, done.err
    assert f"{len(shop.lines)} events" in done.err
    service.wait("all")
    assert not wrong(service, shop, shop.oracle(), shop.seeds())
    assert topic.committed("mine") == [len(shop.lines[p::4]) for p in range(4)]


@pytest.mark.slow
def test_a_loader_that_is_killed_goes_on_and_loses_nothing(
    new_service: NewService, shop: Graph, mapping: Path, new_topic: NewTopic, new_streaming: NewStreaming
) -> None:
    topic, group = new_topic(3), ("--group", "killed")
    service = new_service(*shop.start_flags, "--samplers", 1)
    service.start()
    part = len(shop.lines) // 4
    for turn in range(3):
        topic.write(map(event, shop.lines[turn * part : (turn + 1) * part]))
        before = topic.committed("killed")
        streaming = new_streaming(service, topic, *group)
        until("something is committed", lambda before=before: topic.committed("killed") != before)  # type: ignore[misc]
        topic.write(map(event, shop.lines[3 * part :][turn::3]))
        streaming.end(signal.SIGKILL)
    done = load(service, mapping, topic, *group, "--barrier", "all")
    assert done.code == 0, done.err
    assert done.err.count("(as committed)") == 3
    service.wait("all")
    assert not wrong(service, shop, shop.oracle(), shop.seeds())


@pytest.mark.parametrize(("which", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_a_stream_after_what_was_read_is_loaded_and_committed(
    service: Service, new_topic: NewTopic, new_streaming: NewStreaming, mapping: Path, which: signal.Signals, code: int
) -> None:
    topic = new_topic(2)
    topic.write(map(view, range(10)))
    streaming = new_streaming(service, topic, "--group", topic.name)
    until("the first are loaded", lambda: topic.committed(topic.name) == [5, 5])
    topic.write(map(view, range(10, 14)))
    until("the others are loaded", lambda: topic.committed(topic.name) == [7, 7])
    ended = streaming.end(which)
    assert ended.code == code, ended.err
    assert "14 events, 14 records" in ended.err
    assert "stopped; the next start of this group goes on there" in ended.err
    again = load(service, mapping, topic, "--group", topic.name)
    assert (again.code, "0 events, 0 records" in again.err) == (0, True), again.err


def test_it_begins_at_a_time_or_at_offsets_where_nothing_is_committed(service: Service, mapping: Path, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    for at in (1000, 2000, 3000):
        topic.write([view(at)], partition=0, at_ms=at)
    topic.write([view(1)], partition=1, at_ms=1000)
    for group, info, events in (
        ("earliest", None, 4),
        ("timed", '{"timestamp": 2000}', 2),
        ("late", '{"timestamp": 3001}', 0),
        ("placed", '{"0": 1}', 3),
        ("both", '{"0": 3, "1": 1}', 0),
    ):
        flags = [] if info is None else ["--offset-info", info]
        done = load(service, mapping, topic, "--group", f"{topic.name}-{group}", *flags)
        assert (done.code, f"\n{events} events, {events} records" in done.err) == (0, True), done.err
    done = load(service, mapping, topic, "--group", f"{topic.name}-timed", "--offset-info", '{"0": 0}')
    assert "0 events" in done.err, "a committed position wins"


def test_an_event_that_cannot_be_loaded_becomes_a_dead_letter_and_the_stream_goes_on(
    service: Service, mapping: Path, new_topic: NewTopic
) -> None:
    topic = new_topic(2)
    bad = json.dumps({"kind": "bought", "pair": [1, "x"], "at": 5}).encode()
    topic.write([view(1), b"{", view(2), b'{"kind": "other"}', None], partition=1)
    topic.write([view(3), view(4).replace(b'"at": 1', b'"at": 1.5'), bad, b"\xff"], partition=0)
    done = load(service, mapping, topic)
    assert done.code == 5, done.err
    assert "9 events, 3 records" in done.err
    assert f"5 dead letters in {topic.name}.dead-letters" in done.err
    assert "2 events are none of the mapping's records" in done.err
    letters = [json.loads(line) for line in (service.folder / f"{topic.name}.dead-letters").read_text().splitlines()]
    assert {letter["topic"] for letter in letters} == {topic.name}
    found: dict[tuple[int, int], list[dict[str, str]]] = {}
    for letter in letters:
        found.setdefault((letter["partition"], letter["offset"]), []).append(letter)
    assert sorted(found) == [(0, 1), (0, 2), (0, 3), (1, 1)]
    assert found[0, 1][0]["reason"] == "u2i: timestamp: '1.5' is not an integer"
    assert {x["reason"] for x in found[0, 2]} == {
        "i2i: source: 'x' is not an integer",
        "i2i: destination: 'x' is not an integer",
    }
    assert {x["text"] for x in found[0, 2]} == {bad.decode()}
    assert found[1, 1][0]["reason"].startswith("not JSON: ")
    assert found[0, 3][0]["encoding"] == "base64"
    topic.write([b"["], partition=1)
    assert load(service, mapping, topic).code == 5
    assert len((service.folder / f"{topic.name}.dead-letters").read_text().splitlines()) == 6, "the file is added to"


def test_positions_that_the_topic_does_not_have_are_refused(
    service: Service, kafka: Cluster, mapping: Path, new_topic: NewTopic
) -> None:
    topic = new_topic(1)
    topic.write(map(view, range(3)))
    assert load(service, mapping, topic, "--group", topic.name).code == 0
    topic.write(map(view, range(4)))
    kafka.delete_records(topic.name, 0, 5)
    done = load(service, mapping, topic, "--group", topic.name)
    assert done.code == 1
    assert f"group {topic.name} goes on at 3, but the first kept event is 5" in done.err
    assert "removed 2 that were never loaded" in done.err
    assert f"kafka-consumer-groups.sh --reset-offsets --group {topic.name} --topic {topic.name}:0" in done.err
    for info, words in (('{"0": 4}', "has offsets 5 to 7 now, not 4"), ('{"1": 4}', "names partition 1")):
        done = load(service, mapping, topic, "--group", "another", "--offset-info", info)
        assert (done.code, words in done.err) == (2, True), done.err


def test_events_of_aborted_transactions_are_not_seen(service: Service, mapping: Path, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    topic.write_in_transactions([view(1), view(2)], [view(3)])
    done = load(service, mapping, topic, "--group", topic.name)
    assert (done.code, "2 events, 2 records" in done.err) == (0, True), done.err
    assert topic.committed(topic.name) == [5], "behind the marks of both"


@pytest.mark.slow
def test_a_stream_goes_on_when_brokers_are_back(
    service: Service, kafka: Cluster, new_topic: NewTopic, new_streaming: NewStreaming
) -> None:
    topic = new_topic(1)
    topic.write(map(view, range(3)))
    streaming = new_streaming(service, topic, "--group", topic.name)
    until("the first are loaded", lambda: topic.committed(topic.name) == [3])
    [broker] = kafka.brokers
    broker.kill()
    try:
        until("it says that the source is away", lambda: "the source is away: no broker of" in streaming.log.read_text())
    finally:
        broker.start()
        broker.until_listening()
    kafka.until_led(topic.name)
    topic.write(map(view, range(3, 5)))
    until("the others are loaded", lambda: topic.committed(topic.name) == [5], 60.0)
    ended = streaming.end(signal.SIGTERM)
    assert ended.code == 0, ended.err
    assert ended.err.count("the source is away") == ended.err.count("the source answers again") == 1
    assert "Traceback" not in ended.err


def test_retention_that_overtakes_a_loader_is_told(kafka: Cluster, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    topic.write(map(view, range(3)))

    async def overtaken() -> None:
        where = SourceTopic.parse(topic.url, "slow")
        source = await KafkaSource.opened(where, KafkaOptions(), OffsetInfo(), retry_timeout_s=0, tell=lambda _: None)
        try:
            await asyncio.to_thread(kafka.delete_records, topic.name, 0, 2)
            source._consumer.seek(TopicPartition(topic.name, 0), 1)  # what was fetched ahead is of no use then
            with pytest.raises(PositionError, match="group slow goes on at 0, but the first kept event is 2"):
                await source.read(30.0)
        finally:
            await source.close()

    asyncio.run(overtaken())


def test_the_source_is_talked_to_as_the_environment_says(
    service: Service, kafka: Cluster, mapping: Path, new_topic: NewTopic
) -> None:
    topic = new_topic(1)
    topic.write(map(view, range(3)))
    flags = loading(service, mapping, topic)
    flags[flags.index(topic.url)] = f"{kafka.url(listener='SASL_SSL')}/{topic.name}"
    for security, code, words in (
        (kafka.security("SCRAM-SHA-512"), 0, "3 events, 3 records"),
        (kafka.security("SCRAM-SHA-512", password="wrong"), 1, "Authentication failed"),
        (kafka.security("SCRAM-SHA-512", user=GUEST), 2, "or this user may not describe it"),
    ):
        done = run("dgs-loader", *flags, "--until-end", cwd=service.folder, settings=security)
        assert (done.code, words in done.err) == (code, True), done.err


@pytest.mark.slow
def test_a_user_needs_to_read_the_topic_and_the_group(service: Service, kafka: Cluster, mapping: Path, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    topic.write(map(view, range(3)))
    flags = [*loading(service, mapping, topic), "--until-end", "--group", topic.name]
    flags[flags.index(topic.url)] = f"{kafka.url(listener='SASL_SSL')}/{topic.name}"
    grant = ("--add", "--allow-principal", f"User:{GUEST}", "--operation", "Read")
    for resource, code, words in (
        ("--topic", 1, f"Kafka refuses to tell the positions of group {topic.name}"),
        ("--group", 0, "3 events, 3 records"),
    ):
        kafka.tool(ACLS, *grant, resource, topic.name)

        def ended(code: int = code, words: str = words) -> bool:
            done = run("dgs-loader", *flags, cwd=service.folder, settings=kafka.security("SCRAM-SHA-512", user=GUEST))
            return done.code == code and words in done.err

        until(f"{resource} is granted, and it is told: {words}", ended)


def test_a_topic_that_is_not_there_is_not_made(service: Service, kafka: Cluster, mapping: Path, new_topic: NewTopic) -> None:
    topic = new_topic(1)
    flags = loading(service, mapping, topic)
    flags[flags.index(topic.url)] = f"{kafka.url()}/missing"
    for _ in range(2):
        done = run("dgs-loader", *flags, cwd=service.folder)
        assert (done.code, "has no topic 'missing'" in done.err) == (2, True), done.err
