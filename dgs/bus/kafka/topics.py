"""Topics on Kafka: made as a deployment needs them, or checked to be so."""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from dgs.bus.kafka.clients import KafkaClients
from dgs.bus.kafka.failures import UNAUTHORIZED, failure, told
from dgs.bus.kafka.options import KafkaOptions
from dgs.core.errors import StateError
from dgs.telemetry import logs

MADE_S = 30.0
"""How long a cluster may take to have a leader for every partition of a new topic."""
_LOOK_S = 0.1

_log = logs.get(__name__)


class KafkaTopics:
    """Makes and checks topics of one cluster."""

    def __init__(self, clients: KafkaClients, options: KafkaOptions) -> None:
        self._clients = clients
        self._options = options

    async def ensure(self, topic: str, partitions: int) -> None:
        """Make a topic, or check that what stands there will do.

        Raises:
            StateError: it has another number of partitions, or forgets what it must not; or this is not allowed.
            OSError: the cluster is away, or did not do it.
        """
        async with self._clients.admin() as admin:
            try:
                found = await _leaders(admin, topic)
                if found is None:
                    await self._make(admin, topic, partitions)
                    found = await _until_led(admin, topic)
                if len(found) != partitions:
                    raise StateError(
                        f"topic {topic} on Kafka has {len(found)} partitions, not {partitions}; their number is fixed when a"
                        " deployment is made: use the old number, or another prefix of topic names (kafka://host:9092/PREFIX), and"
                        " load the data again"
                    )
                await self._check_retention(admin, topic)
            except KafkaError as e:
                raise failure(e, f"make or look up topic {topic}") from None

    async def partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has; None where there is none, or this user may not see it.

        Raises:
            StateError: this is not allowed.
            OSError: the cluster is away.
        """
        async with self._clients.admin() as admin:
            try:
                found = await _leaders(admin, topic)
            except KafkaError as e:
                raise failure(e, f"look up topic {topic}") from None
        return None if found is None else len(found)

    async def _make(self, admin: AIOKafkaAdminClient, topic: str, partitions: int) -> None:
        options = self._options
        configs = {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "max.message.bytes": str(options.max_message_bytes),
        }
        if options.min_insync_replicas is not None:
            configs["min.insync.replicas"] = str(options.min_insync_replicas)
        # Without any replicas the brokers take their own default for their number.
        own: dict[int, list[int]] | None = {} if options.replication_factor is None else None
        made = await admin.create_topics([NewTopic(topic, partitions, options.replication_factor or -1, own, configs)])
        for _, code, *about in made.topic_errors:
            error = for_code(code)
            if error in UNAUTHORIZED:
                raise StateError(
                    f"topic {topic} is not there, and making it is not allowed to this user: make it (docs/kafka.md has the"
                    " command), or allow Create on it"
                )
            if code and error is not TopicAlreadyExistsError:
                raise ConnectionError(f"topic {topic} could not be made: {about[0] if about and about[0] else error.__name__}")
        _log.info("topic made on Kafka", topic=topic, partitions=partitions)

    async def _check_retention(self, admin: AIOKafkaAdminClient, topic: str) -> None:
        """Refuse a topic that forgets single entries, and warn of one that forgets old ones by itself."""
        try:
            configs = await _configs(admin, topic)
        except UNAUTHORIZED as e:
            _log.warning("how long Kafka keeps entries cannot be checked", topic=topic, cause=told(e))
            return
        if "compact" in configs["cleanup.policy"]:
            raise StateError(
                f"topic {topic} has cleanup.policy={configs['cleanup.policy']}, so Kafka would remove entries that are needed: set"
                " cleanup.policy=delete (kafka-configs.sh --alter)"
            )
        for name in ("retention.ms", "retention.bytes"):
            if configs[name] != "-1":
                _log.warning(
                    "Kafka removes old entries by itself; what a late process or a checkpoint still needs may be lost",
                    topic=topic,
                    setting=f"{name}={configs[name]}",
                    better=f"{name}=-1",
                )


async def _leaders(admin: AIOKafkaAdminClient, topic: str) -> list[int] | None:
    """Return the leader of each partition, -1 for none; None where there is no such topic."""
    # All topics, since asking for one by name may make it, with as many partitions as the cluster likes.
    for found in await admin.describe_topics():
        if found["topic"] == topic:
            if found["error_code"]:
                raise for_code(found["error_code"])(topic)
            return [int(p["leader"]) for p in found["partitions"]]
    return None


async def _until_led(admin: AIOKafkaAdminClient, topic: str) -> list[int]:
    """Return the leaders of a new topic once there are all of them."""
    try:
        async with asyncio.timeout(MADE_S):
            while not (leaders := await _leaders(admin, topic)) or -1 in leaders:  # noqa: ASYNC110 -- nobody tells when
                await asyncio.sleep(_LOOK_S)
            return leaders
    except TimeoutError:
        raise TimeoutError(f"topic {topic} was made, but has no leaders after {MADE_S:g} s; are the brokers well?") from None


async def _configs(admin: AIOKafkaAdminClient, topic: str) -> dict[str, Any]:
    """Return what a topic is set to, by Kafka's names."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    [response] = await admin.describe_configs([resource])
    [(code, _, _, _, entries)] = response.resources
    if code:
        raise for_code(code)(topic)
    return {entry[0]: entry[1] for entry in entries}
