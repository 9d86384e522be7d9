"""Where a bus on Kafka is: its brokers, and what the names of its topics begin with. The URL, taken apart."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from dgs.core.errors import InputError

FORM = "kafka://host:9092,host:9092 (brokers of a cluster), or with a prefix of topic names behind: kafka://host:9092/prefix"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_PREFIX_LENGTH_MAX = 200
"""Kafka takes names of 249 characters."""


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Brokers and prefix.

    Attributes:
        brokers: as `host:port`; some of the cluster, the others are learned from them.
        prefix: of topic names, so that several deployments can share a cluster; empty for none.
    """

    brokers: tuple[str, ...]
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            InputError: it is no `kafka://` URL of brokers.
        """
        parts = urlsplit(url)
        brokers = tuple(parts.netloc.split(","))
        prefix = parts.path.removeprefix("/").removesuffix("/")
        if parts.scheme != "kafka" or parts.query or parts.fragment or not all(map(_is_broker, brokers)):
            raise InputError(f"bus URL {url!r} is not understood; it is {FORM}")
        if not set(prefix) <= _NAME or len(prefix) > _PREFIX_LENGTH_MAX:
            raise InputError(
                f"bus URL {url!r}: a prefix of topic names has letters, digits and . _ - only, at most {_PREFIX_LENGTH_MAX}, not"
                f" {prefix!r}"
            )
        return cls(brokers, prefix)

    def topic(self, name: str) -> str:
        """Return the name that Kafka knows a topic by."""
        return f"{self.prefix}.{name}" if self.prefix else name


def _is_broker(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(host and colon) and "@" not in host and port.isdecimal() and 0 < int(port) < 1 << 16
