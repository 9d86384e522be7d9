"""The bus on Kafka where it is unlike others: security, foreign records, retention, brokers that go away; over real brokers."""

import asyncio
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from dgs.bus.base import RECORDS, SAMPLES, Entry
from dgs.bus.kafka import appender
from dgs.bus.kafka import bus as module
from dgs.bus.kafka.address import KafkaAddress
from dgs.bus.kafka.bus import KafkaBus
from dgs.bus.kafka.clients import KafkaClients, close
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.open import open_bus
from dgs.config import load
from dgs.core.errors import InputError, PositionError, StateError, TooLargeError, UnreachableError
from dgs.core.types import PartitionIndex, Position
from tests.e2e.processes import free_port
from tests.kafka.broker import GUEST, PASSWORD, USER
from tests.kafka.cluster import ACLS, CONFIGS, GROUPS, TOPICS, Cluster
from tests.kafka.proxy import Proxy

ZERO, START = PartitionIndex(0), Position(0)


@pytest.fixture
def prefix() -> str:
    """Of topics that no other test has."""
    return secrets.token_hex(6)


@asynccontextmanager
async def opened(url: str, options: KafkaOptions = KafkaOptions()) -> AsyncIterator[KafkaBus]:  # noqa: B008
    bus = KafkaBus(KafkaAddress.parse(url), options)
    try:
        yield bus
    finally:
        await bus.close()


def by_password(cluster: Cluster, mechanism: str = "PLAIN", user: str = USER, password: str = PASSWORD) -> KafkaOptions:
    return KafkaOptions.of(load({}, cluster.security(mechanism, user, password)))


async def read_all(bus: KafkaBus, count: int, topic: str = RECORDS) -> list[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(60):
        while len(entries) < count:
            position = entries[-1].next if entries else START
            entries += await bus.read(topic, ZERO, position, max_bytes=1 << 20, wait_s=1.0)
    return entries


# Security ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_with_tls_and_a_password(kafka: Cluster, prefix: str, mechanism: str) -> None:
    async with opened(kafka.url(prefix, "SASL_SSL"), by_password(kafka, mechanism)) as bus:
        await bus.ensure(RECORDS, 1, "log")
        end = await bus.append(RECORDS, ZERO, [b"one", b"two"])
        assert await read_all(bus, 2) == [Entry(START, Position(1), b"one"), Entry(Position(1), end, b"two")]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_named_at_once(kafka: Cluster, prefix: str, mechanism: str) -> None:
    url = kafka.url(prefix, "SASL_SSL")
    async with opened(url, by_password(kafka, mechanism, password="wrong")) as bus:
        with pytest.raises(StateError, match=rf"Authentication failed: the Kafka broker 127.0.0.1:\d+ refuses user '{USER}'"):
            await bus.ensure(RECORDS, 1)


async def test_a_certificate_that_is_not_trusted_is_named(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix, "SASL_SSL"), replace(by_password(kafka), ssl_cafile=None)) as bus:
        with pytest.raises(StateError, match=r"no TLS with the Kafka broker .*kafka_ssl_cafile"):
            await bus.ensure(RECORDS, 1)


def test_settings_that_do_not_go_together_are_refused(kafka: Cluster, tmp_path: Path) -> None:
    environment = kafka.security("PLAIN")
    del environment["DGS_KAFKA_SASL_PASSWORD"]
    with pytest.raises(InputError, match="needs kafka_sasl_username and kafka_sasl_password"):
        KafkaOptions.of(load({}, environment))
    options = replace(by_password(kafka), ssl_cafile=tmp_path / "missing.pem")
    with pytest.raises(InputError, match=r"missing\.pem.*cannot be read"):
        open_bus(kafka.url("x"), kafka=options)
    assert PASSWORD not in repr(by_password(kafka))


async def test_who_may_do_nothing_is_told_what_to_allow(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix, "SASL_SSL"), by_password(kafka, user=GUEST)) as bus:
        with pytest.raises(StateError, match="making it is not allowed"):
            await bus.ensure(RECORDS, 1)
    kafka.tool(TOPICS, "--create", "--topic", f"{prefix}.{RECORDS}", "--partitions", 1)
    allow = ("--add", "--allow-principal", f"User:{GUEST}", "--topic", f"{prefix}.{RECORDS}")
    kafka.tool(ACLS, *allow, "--operation", "Describe")
    async with opened(kafka.url(prefix, "SASL_SSL"), by_password(kafka, user=GUEST)) as bus:
        await bus.ensure(RECORDS, 1)
        with pytest.raises(StateError, match=r"refuses to append.*not authorized"):
            await bus.append(RECORDS, ZERO, [b"x"])
        with pytest.raises(StateError, match=f"refuses to read {prefix}.{RECORDS}/0"):
            await bus.read(RECORDS, ZERO, START, max_bytes=1, wait_s=5.0)
        kafka.tool(ACLS, *allow, "--operation", "Write", "--operation", "Read")
        await bus.append(RECORDS, ZERO, [b"x"])
        assert [e.data for e in await read_all(bus, 1)] == [b"x"]
        await bus.truncate(RECORDS, ZERO, Position(1))  # not allowed: they stay
        assert [e.data for e in await read_all(bus, 1)] == [b"x"]


async def test_what_the_documentation_grants_is_enough(kafka: Cluster, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    text = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text().replace("\\\n", " ")
    grants = [line.split()[1:] for line in text.splitlines() if line.startswith("kafka-acls.sh")]
    assert len(grants) == 2
    own = {"User:dgs": f"User:{GUEST}", "shop.": f"{prefix}.", "dgs-": f"{prefix}-"}
    for words in grants:
        kafka.tool(ACLS, *(own.get(word, word) for word in words))
    options = replace(by_password(kafka, user=GUEST), group_prefix=prefix)
    async with opened(kafka.url(prefix, "SASL_SSL"), options) as bus:
        await bus.ensure(RECORDS, 1, "log")
        await bus.append(RECORDS, ZERO, [b"one", b"two"])
        await read_all(bus, 2)
        bus.processed(RECORDS, ZERO, Position(2))
        await bus.truncate(RECORDS, ZERO, Position(1))
        with pytest.raises(PositionError):
            await bus.read(RECORDS, ZERO, START, max_bytes=1, wait_s=5.0)
        told = ""
        async with asyncio.timeout(30):
            while f"{prefix}-sampler" not in told:
                told = await asyncio.to_thread(kafka.tool, GROUPS, "--list")
    assert not [r for r in caplog.records if r.name.startswith("dgs.") and r.levelno >= logging.WARNING]


# Topics --------------------------------------------------------------------------------------------------------------------------


async def test_a_topic_is_made_so_that_it_forgets_nothing(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix), KafkaOptions(replication_factor=1, min_insync_replicas=1)) as bus:
        await bus.ensure(RECORDS, 3)
        await bus.ensure(RECORDS, 3)
    told = kafka.tool(TOPICS, "--describe", "--topic", f"{prefix}.{RECORDS}")
    assert "PartitionCount: 3" in told
    for config in ("cleanup.policy=delete", "retention.ms=-1", "retention.bytes=-1", "max.message.bytes=16777216"):
        assert config in told


async def test_a_topic_that_forgets_is_warned_of_or_refused(kafka: Cluster, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    topic = f"{prefix}.{RECORDS}"
    kafka.tool(TOPICS, "--create", "--topic", topic, "--partitions", 1, "--config", "retention.ms=1000000")
    async with opened(kafka.url(prefix)) as bus:
        with caplog.at_level(logging.WARNING):
            await bus.ensure(RECORDS, 1)
        [record] = [r for r in caplog.records if "removes old entries" in r.message]
        assert record.dgs_fields["setting"] == "retention.ms=1000000"  # type: ignore[attr-defined]
        alter = ("--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config")
        kafka.tool(CONFIGS, *alter, "cleanup.policy=compact")
        with pytest.raises(StateError, match=r"cleanup\.policy=compact.*needed"):
            await bus.ensure(RECORDS, 1)


async def test_another_deployment_is_noticed_by_the_key(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix)) as first, opened(kafka.url(prefix)) as second:
        for bus, log_id in ((first, "log-a"), (second, "log-b")):
            await bus.ensure(RECORDS, 1, log_id)  # nothing is there yet, so nobody is noticed
        await first.append(RECORDS, ZERO, [b"of a"])
        with pytest.raises(StateError, match=r"belongs to another deployment \(log-a, not log-b\).*PREFIX"):
            await second.read(RECORDS, ZERO, START, max_bytes=100, wait_s=5.0)
        assert [e.data for e in await read_all(first, 1)] == [b"of a"]


async def test_records_without_a_key_are_read_as_any(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix)) as bus:
        await bus.ensure(RECORDS, 1, "log-a")
        producer = AIOKafkaProducer(bootstrap_servers=kafka.url().removeprefix("kafka://"))
        await producer.start()
        await producer.send_and_wait(f"{prefix}.{RECORDS}", b"foreign", partition=0)
        await producer.stop()
        await bus.append(RECORDS, ZERO, [b"own"])
        assert [e.data for e in await read_all(bus, 2)] == [b"foreign", b"own"]


async def test_a_position_that_was_removed_says_what_to_restore(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix)) as bus:
        await bus.ensure(SAMPLES, 1)
        await bus.append(SAMPLES, ZERO, [b"%d" % i for i in range(10)])
        await bus.truncate(SAMPLES, ZERO, Position(4))
        with pytest.raises(PositionError, match=r"before the first kept entry \(4\).*retention.*--partition serving/0"):
            await bus.read(SAMPLES, ZERO, Position(3), max_bytes=1, wait_s=5.0)
        assert [e.data for e in await bus.read(SAMPLES, ZERO, Position(4), max_bytes=1, wait_s=5.0)] == [b"4"]


async def test_an_entry_that_is_too_large_names_the_setting_and_nothing_is_wedged(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix), KafkaOptions(max_message_bytes=1 << 20, compression_type="none")) as bus:
        await bus.ensure(RECORDS, 2)
        await bus.append(RECORDS, ZERO, [b"before"])
        beside = [asyncio.create_task(bus.append(RECORDS, PartitionIndex(1), [b"%d" % i])) for i in range(20)]
        with pytest.raises(TooLargeError, match=r"max\.message\.bytes.*kafka_max_message_bytes"):
            await bus.append(RECORDS, ZERO, [bytes(2 << 20)])
        await asyncio.gather(*beside)
        for i in range(5):
            await bus.append(RECORDS, ZERO, [b"%d" % i])
        assert [e.data for e in await read_all(bus, 6)] == [b"before", *(b"%d" % i for i in range(5))]
        assert await bus.end(RECORDS, PartitionIndex(1)) == 20


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read_again(kafka: Cluster, prefix: str, compression: str) -> None:
    async with opened(kafka.url(prefix), KafkaOptions(compression_type=compression)) as bus:
        await bus.ensure(RECORDS, 1)
        sent = [bytes([i]) * 10_000 for i in range(50)]
        await bus.append(RECORDS, ZERO, sent)
        assert [e.data for e in await read_all(bus, 50)] == sent


async def test_entries_that_come_one_by_one_are_fetched_together(kafka: Cluster, prefix: str) -> None:
    async with opened(kafka.url(prefix)) as bus:
        await bus.ensure(RECORDS, 1)
        await bus.append(RECORDS, ZERO, [b"first"])
        entries = await bus.read(RECORDS, ZERO, START, max_bytes=1000, wait_s=5.0)
        for i in range(5):
            await bus.append(RECORDS, ZERO, [b"%d" % i])
        together = await bus.read(RECORDS, ZERO, entries[-1].next, max_bytes=1000, wait_s=5.0)
        assert [e.data for e in together] == [b"%d" % i for i in range(5)]


async def test_kafkas_tools_see_the_lag(kafka: Cluster, prefix: str) -> None:
    options = KafkaOptions(group_prefix=prefix)
    async with opened(kafka.url(prefix), options) as bus:
        await bus.ensure(RECORDS, 1)
        await bus.append(RECORDS, ZERO, [b"%d" % i for i in range(10)])
        bus.processed(RECORDS, ZERO, Position(4))
        for _ in range(40):
            await bus.read(RECORDS, ZERO, Position(2), max_bytes=1, wait_s=0.1)  # who only looks does not count
            told = await asyncio.to_thread(kafka.tool, GROUPS, "--describe", "--all-groups")
            lines = [line.split() for line in told.splitlines() if line.startswith(f"{prefix}-sampler")]
            if lines and lines[0][3:6] == ["4", "10", "6"]:
                return
        raise AssertionError(told)


# Faults --------------------------------------------------------------------------------------------------------------------------


async def test_a_cluster_that_stays_away_is_unreachable_in_the_end(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENSURE_S", 1.0)
    port = free_port()
    async with opened(f"kafka://127.0.0.1:{port}") as bus:
        with pytest.raises(UnreachableError, match=rf"127\.0\.0\.1:{port}"):
            await bus.ensure(RECORDS, 1)


async def test_a_broker_that_breaks_off_is_away_and_nothing_worse(
    kafka: Cluster, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is just going down: neither the certificate nor the password is wrong."""
    monkeypatch.setattr(module, "ENSURE_S", 1.0)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, opened(f"kafka://127.0.0.1:{port}/{prefix}", by_password(kafka)) as bus:
        with pytest.raises(UnreachableError, match="is kafka_security_protocol that of their listener"):
            await bus.ensure(RECORDS, 1)


async def test_whom_brokers_have_let_in_once_is_not_given_up(kafka: Cluster, prefix: str) -> None:
    """A broker that has just started may not know its users yet."""
    clients = KafkaClients(KafkaAddress.parse(kafka.url(prefix, "SASL_SSL")), by_password(kafka))
    await close(await clients.idle_consumer())
    clients._arguments["sasl_plain_password"] = "forgotten"
    clients._options = by_password(kafka, password="forgotten")
    with pytest.raises(ConnectionError, match="Authentication failed"):
        await clients.idle_consumer()


Fault = Callable[[Proxy], None]


def reset(proxy: Proxy) -> None:
    proxy.reset()


def delay(proxy: Proxy) -> None:
    proxy.delay_s = 0.3


def swallow(proxy: Proxy) -> None:
    proxy.black_hole = True


def heal(proxy: Proxy) -> None:
    proxy.delay_s, proxy.black_hole = 0.0, False


@pytest.mark.parametrize("fault", [reset, delay, swallow], ids=lambda f: f.__name__)
async def test_faults_of_the_network_lose_nothing_and_keep_the_order(
    kafka: Cluster, prefix: str, fault: Fault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A writer sends again what was not acknowledged, as all writers do; a reader goes on by itself."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(appender, "APPEND_S", 2.0)
    [broker] = kafka.brokers
    with Proxy({broker.proxy_port: broker.ports["PROXIED"]}) as proxy:
        async with opened(kafka.url(prefix, "PROXIED")) as bus:
            await bus.ensure(RECORDS, 1, "log")
            seen: list[int] = []
            written = 0

            async def read() -> None:
                position = START
                while True:
                    entries = await bus.read(RECORDS, ZERO, position, max_bytes=1 << 20, wait_s=0.5)
                    position = entries[-1].next if entries else position
                    seen.extend(int(e.data) for e in entries)

            async def write(count: int) -> None:
                nonlocal written
                for number in range(written, written + count):
                    while True:
                        try:
                            await bus.append(RECORDS, ZERO, [b"%d" % number])
                        except OSError:
                            await asyncio.sleep(0.05)
                        else:
                            break
                    written = number + 1

            reading = asyncio.create_task(read())
            await write(20)
            fault(proxy)
            during = asyncio.create_task(write(20))
            async with asyncio.timeout(8):
                while proxy.black_hole and "Kafka is away" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            heal(proxy)
            async with asyncio.timeout(40):
                await during
                await write(20)
                while not seen or seen[-1] != 59:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            reading.cancel()
    assert set(seen) == set(range(60)), "nothing is lost"
    first_seen = list(dict.fromkeys(seen))
    assert all(a < b for a, b in pairwise(first_seen)), "and what comes again comes after what was there before it"
    assert "Kafka is away" not in caplog.text or "Kafka answers again" in caplog.text


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    for name in [name for name in sys.modules if name.startswith("dgs.bus.kafka.") and not name.endswith(("address", "options"))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"pip install 'dgs\[kafka\]'"):
        open_bus("kafka://localhost:9092")
