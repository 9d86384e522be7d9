"""The lines of a graph as JSON events, as the topic of an application has them; and `dgs-loader` that reads such a topic."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.e2e.processes import BIN, ENVIRONMENT, Ended
from tests.e2e.service import Service
from tests.kafka.cluster import Cluster

MAPPING: dict[str, Any] = {
    "records": [
        {
            "when": {"kind": "signup"},
            "vertex": "user",
            "id": "user.id",
            "timestamp": "at",
            "attributes": {"feature": "user.vector"},
        },
        {
            "when": {"kind": ["new", "changed"]},
            "vertex": "item",
            "id": "item",
            "timestamp": "at",
            "attributes": {"feature": "vector", "title": "about.title", "price": "about.price"},
        },
        {
            "when": {"kind": "view"},
            "edge": "u2i",
            "src": "user.id",
            "dst": "item",
            "timestamp": "at",
            "attributes": {"weight": "score", "title": "how"},
        },
        {
            "when": {"kind": "bought"},
            "edge": "i2i",
            "src": "pair.0",
            "dst": "pair.1",
            "timestamp": "at",
            "attributes": {"weight": "n"},
        },
        {
            "when": {"kind": "bought"},
            "edge": "i2i",
            "src": "pair.1",
            "dst": "pair.0",
            "timestamp": "at",
            "attributes": {"weight": "n"},
        },
    ]
}
"""An event of two items that were bought together stands for two edges."""
BOTH_WAYS = frozenset({"i2i"})


def event(line: str) -> bytes:
    """Return the event that says what a line of `tests.e2e.inputs.write_graph` does."""
    name, *fields = line.rstrip("\n").split(",")
    match name:
        case "user":
            vertex, at, feature = fields
            found: dict[str, Any] = {"kind": "signup", "user": {"id": vertex, "vector": _list(feature)}, "at": int(at)}
        case "item":
            vertex, at, feature, title, price = fields
            kind = "new" if int(at) % 2 else "changed"
            about = {"title": title, "price": float(price)}
            found = {"kind": kind, "item": int(vertex), "at": int(at), "vector": _list(feature), "about": about}
        case "u2i":
            src, dst, at, weight, title = fields
            found = {"kind": "view", "user": {"id": int(src)}, "item": int(dst), "at": at, "score": float(weight)}
            if title:
                found["how"] = title
        case _:
            src, dst, at, weight = fields
            found = {"kind": "bought", "pair": [int(src), int(dst)], "at": int(at), "n": float(weight) if weight else None}
    return json.dumps(found).encode()


def _list(text: str) -> list[float] | None:
    return [float(part) for part in text.split(":")] if text else None


class Topic:
    """A topic that an application writes JSON events to."""

    def __init__(self, cluster: Cluster, name: str, partitions: int) -> None:
        self.name = name
        self.url = f"{cluster.url()}/{name}"
        self._brokers = cluster.url().removeprefix("kafka://").rstrip("/")
        self._places = [TopicPartition(name, partition) for partition in range(partitions)]
        asyncio.run(self._make(partitions))

    def write(
        self,
        events: Iterable[bytes | None],
        *,
        partition: int | None = None,
        at_ms: int | None = None,
        key: bytes | None = b"key",
    ) -> None:
        """Append events: to one partition, or to all of them by turns."""
        asyncio.run(self._write(list(events), partition, at_ms, key))

    def committed(self, group: str) -> list[int | None]:
        """Return how far a group has come in each partition."""
        return asyncio.run(self._committed(group))

    def write_in_transactions(self, kept: Sequence[bytes], aborted: Sequence[bytes]) -> None:
        """Append events to the first partition, some in a transaction that is committed and some in one that is not."""
        asyncio.run(self._write_in_transactions(kept, aborted))

    async def _make(self, partitions: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._brokers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self.name, partitions, 1)])
        finally:
            await admin.close()

    async def _write(self, events: Sequence[bytes | None], partition: int | None, at_ms: int | None, key: bytes | None) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._brokers, acks="all")
        await producer.start()
        try:
            for number, value in enumerate(events):
                where = number % len(self._places) if partition is None else partition
                await producer.send(self.name, value, key, partition=where, timestamp_ms=at_ms)
        finally:
            await producer.stop()

    async def _write_in_transactions(self, kept: Sequence[bytes], aborted: Sequence[bytes]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._brokers, transactional_id=self.name)
        await producer.start()
        try:
            for events, end in ((kept, producer.commit_transaction), (aborted, producer.abort_transaction)):
                await producer.begin_transaction()
                for value in events:
                    await producer.send_and_wait(self.name, value, partition=0)
                await end()
        finally:
            await producer.stop()

    async def _committed(self, group: str) -> list[int | None]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._brokers, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(self._places)
            return [await consumer.committed(place) for place in self._places]
        finally:
            await consumer.stop()


class Streaming:
    """A `dgs-loader` that goes on until it is told to stop."""

    def __init__(self, service: Service, mapping: Path, topic: Topic, *flags: object) -> None:
        self.log = service.folder / f"{topic.name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(BIN / "dgs-loader"), *map(str, loading(service, mapping, topic)), *map(str, flags)],
                cwd=service.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def end(self, which: signal.Signals = signal.SIGKILL) -> Ended:
        """Send it a signal, if it still runs, and wait for its end."""
        if self.running:
            os.kill(self._process.pid, which)
        code = self._process.wait(30)
        text = self.log.read_text(errors="replace")
        return Ended(code, text, text)


def loading(service: Service, mapping: Path, topic: Topic) -> list[object]:
    """Return the flags of `dgs-loader` that loads a topic."""
    return ["--dgs-service-host", service.url, "--source", topic.url, "--mapping", mapping]
