"""How a bus on Kafka talks to its cluster: security, compression, what new topics are like. Values of the settings `kafka_…`."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dgs.config import Settings
from dgs.core.errors import InputError

REQUEST_TIMEOUT_MS = 5_000
"""A broker that has not answered by then is taken to be away; aiokafka connects anew, and asks again."""
RETRY_BACKOFF_MS = 100
METADATA_AGE_MS = 30_000
"""Leaders are looked up again at least this often, and whenever a broker says that it is none."""


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Options of one process; the names are those of the settings."""

    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    compression_type: str = "lz4"
    replication_factor: int | None = None
    min_insync_replicas: int | None = None
    max_message_bytes: int = 16 << 20
    group_prefix: str = "dgs"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings say.

        Raises:
            InputError: some of them do not go together.
        """
        options = cls(
            security_protocol=settings.kafka_security_protocol,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            sasl_username=settings.kafka_sasl_username,
            sasl_password=settings.kafka_sasl_password,
            ssl_cafile=settings.kafka_ssl_cafile,
            ssl_certfile=settings.kafka_ssl_certfile,
            ssl_keyfile=settings.kafka_ssl_keyfile,
            compression_type=settings.kafka_compression_type,
            replication_factor=settings.kafka_replication_factor,
            min_insync_replicas=settings.kafka_min_insync_replicas,
            max_message_bytes=settings.kafka_max_message_bytes,
            group_prefix=settings.kafka_group_prefix,
        )
        if options.sasl and (options.sasl_username is None or options.sasl_password is None):
            raise InputError(
                f"kafka_security_protocol {options.security_protocol} needs kafka_sasl_username and kafka_sasl_password"
                " (the environment variables DGS_KAFKA_SASL_USERNAME and DGS_KAFKA_SASL_PASSWORD)"
            )
        return options

    @property
    def sasl(self) -> bool:
        """Whether a user and a password are asked for."""
        return self.security_protocol.startswith("SASL_")

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    def connection(self) -> dict[str, Any]:
        """Return how aiokafka's clients, and single connections of it, are to connect.

        Raises:
            InputError: a certificate or key cannot be read.
        """
        found: dict[str, Any] = {
            "security_protocol": self.security_protocol,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "ssl_context": self._ssl_context(),
        }
        if self.sasl:
            found["sasl_mechanism"] = self.sasl_mechanism
            found["sasl_plain_username"] = self.sasl_username
            found["sasl_plain_password"] = self.sasl_password
        return found

    def client(self) -> dict[str, Any]:
        """Return what every client of aiokafka is made with besides its brokers; errors as those of `connection`."""
        return self.connection() | {
            "client_id": "dgs",
            "retry_backoff_ms": RETRY_BACKOFF_MS,
            "metadata_max_age_ms": METADATA_AGE_MS,
        }

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        except (OSError, ssl.SSLError) as e:
            files = ", ".join(str(f) for f in (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile) if f is not None)
            raise InputError(f"kafka_ssl_cafile, kafka_ssl_certfile or kafka_ssl_keyfile ({files}) cannot be read: {e}") from None
        return context
