"""The logs of a deployment on Kafka as they stand: what one of them holds, and that many cost no more connections than one."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dgs.bus.base import RECORDS, SAMPLES, Entry
from dgs.bus.kafka.clients import KafkaClients
from dgs.bus.log import Logs
from dgs.bus.open import open_bus, open_logs
from dgs.bus.topics import ensure_topics
from dgs.core.deployment import Deployment
from dgs.core.errors import NotFoundError, StateError
from dgs.core.types import PartitionIndex, Position
from dgs.testing.graph import SCHEMA
from tests.kafka.cluster import Cluster

PARTITIONS = 6
START = Position(0)


@pytest.fixture
def deployment(kafka: Cluster) -> Deployment:
    """One on Kafka, with an entry in each of its record logs."""
    made = Deployment("log", 1, PARTITIONS, 1, SCHEMA, bus=kafka.url(secrets.token_hex(6)))
    asyncio.run(_written(made))
    return made


async def _written(deployment: Deployment) -> None:
    bus = open_bus(deployment.bus)
    try:
        await ensure_topics(bus, deployment)
        for p in map(PartitionIndex, range(PARTITIONS)):
            await bus.append(RECORDS, p, [b"of %d" % p])
    finally:
        await bus.close()


@pytest.fixture
def logs(deployment: Deployment) -> Iterator[Logs]:
    with closing(open_logs(deployment, Path("none here"))) as logs:
        yield logs


def read(logs: Logs, partition: int) -> list[Entry]:
    with closing(logs.open(RECORDS, PartitionIndex(partition))) as log:
        return log.read(START, 1)


def test_each_is_read_as_often_as_one_likes(logs: Logs) -> None:
    for p in (*range(PARTITIONS), *range(PARTITIONS)):
        assert read(logs, p) == [Entry(START, Position(1), b"of %d" % p)]
    with closing(logs.open(SAMPLES, PartitionIndex(0))) as log:
        assert (log.begin(), log.end(), log.read(START, 1)) == (0, 0, [])


def test_two_are_read_side_by_side(logs: Logs) -> None:
    with closing(logs.open(RECORDS, PartitionIndex(1))) as one, closing(logs.open(RECORDS, PartitionIndex(2))) as other:
        assert [log.read(START, 1)[0].data for log in (one, other, one)] == [b"of 1", b"of 2", b"of 1"]


def test_what_is_not_there_is_named(logs: Logs) -> None:
    for topic, partition in ((RECORDS, PARTITIONS), ("others", 0)):
        with pytest.raises(NotFoundError, match=rf"has no log \w+\.{topic}/{partition}"):
            logs.open(topic, PartitionIndex(partition))


def test_those_of_another_deployment_are_refused(deployment: Deployment) -> None:
    other = replace(deployment, log_id="another")
    with closing(open_logs(other, Path("none here"))) as logs, pytest.raises(StateError, match="belongs to another deployment"):
        logs.open(RECORDS, PartitionIndex(3))


def test_a_topic_is_looked_up_once(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    read(logs, 0)
    # Each look at a topic takes one.
    monkeypatch.setattr(KafkaClients, "admin", None)
    for p in range(1, PARTITIONS):
        read(logs, p)
