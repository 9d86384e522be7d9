"""One broker of a Kafka cluster for tests: its properties, its process, what it has written.

It is also a controller (KRaft), so no other process is needed. It listens four times: without security, the same behind a proxy's
port, with TLS and a password, and for the other controllers.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dgs.supervisor import die_with_parent
from tests.e2e.processes import free_port
from tests.kafka.jars import java

USER, PASSWORD = "dgs", "a password"
GUEST = "guest"
"""Another user, of the same password, who may do nothing."""
START_S_MAX = 60.0
_LISTENERS = ("PLAINTEXT", "PROXIED", "SASL_SSL", "CONTROLLER")
_LOGGING = """
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


@dataclass(slots=True)
class Broker:
    """One broker.

    Attributes:
        node: its number, from 1 on.
        folder: everything that it has.
        ports: where it listens, by listener.
        proxy_port: where those who come through a proxy are told that it listens.
    """

    node: int
    folder: Path
    ports: Mapping[str, int] = field(default_factory=lambda: {name: free_port() for name in _LISTENERS})
    proxy_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def prepare(self, cluster_id: str, voters: str, size: int, keystore: Path) -> None:
        """Write its properties and format its storage."""
        self.folder.mkdir(parents=True)
        self._properties.write_text("".join(f"{k}={v}\n" for k, v in self._settings(voters, size, keystore).items()))
        self._logging.write_text(_LOGGING)
        command = java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", self._properties)
        for user in (USER, GUEST):
            command += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *, outlives: bool = False) -> None:
        """Start it; it dies with this process unless it `outlives` that."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                java("kafka.Kafka", self._properties, logging=self._logging),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=None if outlives else partial(die_with_parent, os.getpid()),
            )

    def until_listening(self) -> None:
        """Wait until it can be connected to."""
        deadline = time.monotonic() + START_S_MAX
        while True:
            assert self.process is not None, "it was never started"
            assert self.process.poll() is None, f"broker {self.node} ended: {self.said()}"
            assert time.monotonic() < deadline, f"broker {self.node} does not listen: {self.said()}"
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.ports["PLAINTEXT"]), 1.0):
                return
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""

    @property
    def _properties(self) -> Path:
        return self.folder / "broker.properties"

    @property
    def _logging(self) -> Path:
        return self.folder / "log4j2.properties"

    @property
    def _log(self) -> Path:
        return self.folder / "broker.log"

    def _settings(self, voters: str, size: int, keystore: Path) -> dict[str, object]:
        own = {name: f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()}
        told = {name: url for name, url in own.items() if name != "CONTROLLER"} | {
            "PROXIED": f"PROXIED://127.0.0.1:{self.proxy_port}"
        }
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in (USER, GUEST))
        return {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": voters,
            "listeners": ",".join(own.values()),
            "advertised.listeners": ",".join(told.values()),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "logs",
            "default.replication.factor": size,
            "min.insync.replicas": max(1, size - 1),
            "offsets.topic.replication.factor": size,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": size,
            "transaction.state.log.min.isr": max(1, size - 1),
            "transaction.state.log.num.partitions": 4,
            "auto.create.topics.enable": "true",  # a bus must not depend on its being off
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 4 << 20,  # the default does not fit into a small JVM
            "broker.session.timeout.ms": 3000,  # a leader that dies is replaced within about 3 s
            "broker.heartbeat.interval.ms": 500,
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{plain} {users};",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
            "ssl.keystore.location": keystore,
            "ssl.keystore.password": PASSWORD,
            "ssl.keystore.type": "PKCS12",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{USER}",
        }
