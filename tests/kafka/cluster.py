"""A Kafka cluster for tests, of one broker or several, on free ports of loopback; and Kafka's own tools against it."""

import asyncio
import base64
import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.e2e.processes import until
from tests.kafka.broker import PASSWORD, USER, Broker
from tests.kafka.jars import java

TOPICS = "org.apache.kafka.tools.TopicCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CONFIGS = "kafka.admin.ConfigCommand"
ACLS = "org.apache.kafka.tools.AclCommand"
RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"


@dataclass(slots=True)
class Cluster:
    """Brokers that belong together."""

    folder: Path
    brokers: Sequence[Broker]

    @classmethod
    def made(cls, folder: Path, size: int) -> Self:
        """Make a cluster, whose brokers are not started yet, in a new folder."""
        folder.mkdir(parents=True, exist_ok=True)
        cluster = cls(folder, [Broker(node, folder / f"broker-{node}") for node in range(1, size + 1)])
        keystore = _certified(folder)
        voters = ",".join(f"{b.node}@127.0.0.1:{b.ports['CONTROLLER']}" for b in cluster.brokers)
        cluster_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        for broker in cluster.brokers:
            broker.prepare(cluster_id, voters, size, keystore)
        return cluster

    def start(self, *, outlives: bool = False) -> None:
        """Start all brokers, and wait until they listen."""
        for broker in self.brokers:
            broker.start(outlives=outlives)
        for broker in self.brokers:
            broker.until_listening()

    def stop(self) -> None:
        """Kill all brokers."""
        for broker in self.brokers:
            broker.kill()

    def url(self, prefix: str = "", listener: str = "PLAINTEXT") -> str:
        """Return the URL of a bus on it."""
        hosts = ",".join(f"127.0.0.1:{b.proxy_port if listener == 'PROXIED' else b.ports[listener]}" for b in self.brokers)
        return f"kafka://{hosts}/{prefix}".removesuffix("/")

    def security(self, mechanism: str, user: str = USER, password: str = PASSWORD) -> dict[str, str]:
        """Return the environment of a process that comes by the listener SASL_SSL."""
        return {
            "DGS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "DGS_KAFKA_SASL_MECHANISM": mechanism,
            "DGS_KAFKA_SASL_USERNAME": user,
            "DGS_KAFKA_SASL_PASSWORD": password,
            "DGS_KAFKA_SSL_CAFILE": str(self.certificate),
        }

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.folder / "certificate.pem"

    def tool(self, name: str, *arguments: object) -> str:
        """Run one of Kafka's own tools; return what it has written."""
        address = f"127.0.0.1:{self.brokers[0].ports['PLAINTEXT']}"
        done = subprocess.run(
            java(name, "--bootstrap-server", address, *arguments), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def until_led(self, topic: str) -> None:
        """Wait until every partition of a topic has a leader that lives."""
        alive = {b.node for b in self.brokers if b.process is not None}
        self._until(f"{topic} has leaders", lambda partition: partition["leader"] in alive, topic)

    def until_in_sync(self) -> None:
        """Wait until every partition has all its replicas."""
        self._until("all replicas are in sync", lambda partition: set(partition["isr"]) == set(partition["replicas"]))

    def _until(self, what: str, holds: Callable[[dict[str, Any]], bool], topic: str | None = None) -> None:
        """Wait until something holds for all partitions of a topic, or of all."""

        async def asked() -> bool:
            admin = AIOKafkaAdminClient(bootstrap_servers=[f"127.0.0.1:{b.ports['PLAINTEXT']}" for b in self.brokers])
            try:
                await admin.start()
                found = await admin.describe_topics()
            except KafkaError:  # it has asked one that is dead
                return False
            finally:
                await admin.close()
            return all(holds(p) for t in found if topic in (None, t["topic"]) for p in t["partitions"])

        until(what, lambda: asyncio.run(asked()), 60.0)

    def offsets(self, topic: str, *arguments: object) -> str:
        """Return what Kafka's tool for offsets tells of a topic, a line for each partition."""
        return self.tool(OFFSETS, "--topic", topic, *arguments)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Have Kafka forget records."""
        wanted = self.folder / "delete.json"
        wanted.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": partition, "offset": before}]}))
        self.tool(RECORDS, "--offset-json-file", wanted)


def _certified(folder: Path) -> Path:
    """Make a key, with a certificate that names loopback; return the file of both."""
    keytool = shutil.which("keytool")
    assert keytool is not None, "java comes with keytool"
    keystore = folder / "keystore.p12"
    common = ["-alias", "kafka", "-keystore", str(keystore), "-storepass", PASSWORD]
    options = ["-keyalg", "EC", "-dname", "CN=localhost", "-ext", "SAN=IP:127.0.0.1,DNS:localhost", "-storetype", "PKCS12"]
    for command in (
        [keytool, "-genkeypair", *common, *options],
        [keytool, "-exportcert", "-rfc", *common, "-file", str(folder / "certificate.pem")],
    ):
        subprocess.run(command, capture_output=True, check=True)
    return keystore
