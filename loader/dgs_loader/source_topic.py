"""Which topic of which cluster is a source, and the name of the group that loads it."""

from dataclasses import dataclass, replace
from typing import Self

from dgs.bus.kafka.address import KafkaAddress
from dgs.core.errors import InputError


@dataclass(frozen=True, slots=True)
class SourceTopic:
    """A topic of a cluster.

    Attributes:
        address: of the cluster.
        topic: its name.
        group: under which Kafka keeps how far it has been loaded; empty while it is not known.
    """

    address: KafkaAddress
    topic: str
    group: str

    @classmethod
    def parse(cls, url: str, group: str = "") -> Self:
        """Read `--source`, kafka://BROKERS/TOPIC.

        Raises:
            InputError: it is not understood.
        """
        brokers, _, topic = url.rpartition("/")
        refused = InputError(f"--source {url!r} is not understood; it is kafka://host:9092,host:9092/TOPIC")
        try:
            address = KafkaAddress.parse(brokers)
        except InputError:
            raise refused from None
        if not topic or address.prefix:
            raise refused
        return cls(address, topic, group)

    def with_group(self, prefix: str, log_id: str) -> Self:
        """Return it with a group, unless it has one: that of the deployment and the topic, whose name begins with `prefix`.

        So a deployment whose logs are made anew, which has another log id, loads the topic again.
        """
        return self if self.group else replace(self, group="-".join(filter(None, (prefix, "loader", log_id, self.topic))))
