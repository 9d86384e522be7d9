"""Clients of aiokafka, made and started in one way; a cluster that cannot be reached, or refuses the password, is told as such.

aiokafka tells why it could not connect to its own log only, so a failed start is looked into with a single connection to each
broker.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaConnectionError,
    KafkaError,
    ProducerClosed,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from dgs.bus.kafka.address import KafkaAddress
from dgs.bus.kafka.failures import failure, told
from dgs.bus.kafka.options import KafkaOptions
from dgs.core.errors import StateError

FETCH_WAIT_MS = 500
"""How long a broker keeps a request for entries that are not there yet; a new entry answers it at once."""
FETCH_BYTES = 4 << 20
"""Of a partition, fetched at a time. One entry comes whatever its size."""
PRODUCE_BYTES = 1 << 20
"""Of a partition, in one batch. One entry goes whatever its size, as far as the topic takes it."""
REQUEST_BYTES_MOST = 1 << 30
"""What an entry may have is for the topic to say."""
CLOSE_S = 5.0
"""A producer that is closed may go on for so long with what it has."""


class KafkaClients:
    """Makes clients for one cluster. Every method that starts one raises what `_start` does."""

    def __init__(self, address: KafkaAddress, options: KafkaOptions) -> None:
        self.address = address
        self._options = options
        self._arguments = options.client() | {"bootstrap_servers": list(address.brokers)}
        self._let_in = False

    async def producer(self) -> AIOKafkaProducer:
        """Return a started producer: idempotent, and acknowledged by all replicas in sync."""
        compression = self._options.compression_type
        producer = AIOKafkaProducer(
            **self._arguments,
            acks="all",
            enable_idempotence=True,
            compression_type=None if compression == "none" else compression,
            max_batch_size=PRODUCE_BYTES,
            max_request_size=REQUEST_BYTES_MOST,
        )
        await self._start(producer, "append records")
        return producer

    async def consumer(self, topic: str, partition: int, offset: int) -> AIOKafkaConsumer:
        """Return a started consumer of one partition, from an offset on."""
        consumer = await self.idle_consumer()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, offset)
        return consumer

    async def idle_consumer(self, group: str | None = None, *, committed_only: bool = False) -> AIOKafkaConsumer:
        """Return a started consumer of nothing yet, in a group or in none; it may see the committed transactions of others only."""
        consumer = AIOKafkaConsumer(
            **self._arguments,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed" if committed_only else "read_uncommitted",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await self._start(consumer, "read records")
        return consumer

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Give an admin client for the length of a block."""
        admin = AIOKafkaAdminClient(**self._arguments)
        await self._start(admin, "look up topics")
        try:
            yield admin
        finally:
            await admin.close()

    async def _start(self, client: Any, what: str) -> None:
        """Start a client that is to do `what`.

        Raises:
            StateError: it is not allowed; or brokers that have let nobody in from here yet refuse the user or the connection.
            ConnectionError: no broker can be used. One that is just starting may refuse for a while whom it knows.
        """
        try:
            await client.start()
        except BaseException as e:
            await close(client)
            if isinstance(e, KafkaConnectionError):
                why = await self._why()
                raise (ConnectionError(str(why)) if self._let_in else why) from None
            if isinstance(e, KafkaError):
                raise failure(e, what) from None
            raise
        self._let_in = True

    async def _why(self) -> Exception:
        """Return why no broker can be used."""
        reasons = []
        for broker in self.address.brokers:
            host, _, port = broker.rpartition(":")
            try:
                connection = await create_conn(host.strip("[]"), int(port), **self._options.connection())
            except (AuthenticationFailedError, SaslAuthenticationFailed) as e:
                return StateError(
                    f"Authentication failed: the Kafka broker {broker} refuses user {self._options.sasl_username!r} or its password"
                    f" ({self._options.sasl_mechanism}: {e}); set kafka_sasl_username and kafka_sasl_password"
                )
            except UnsupportedSaslMechanismError as e:
                return StateError(f"the Kafka broker {broker} does not take the password this way; set kafka_sasl_mechanism: {e}")
            except ssl.SSLCertVerificationError as e:
                return StateError(
                    f"no TLS with the Kafka broker {broker}: {e}; set kafka_ssl_cafile to what signed its certificate"
                )
            except (OSError, KafkaError) as e:
                reasons.append(f"{broker}: {told(e)}")
            else:
                connection.close()
                reasons.append(f"{broker}: it answers now")
        return ConnectionError(
            f"no Kafka broker can be used ({'; '.join(reasons)}); are they running, and is kafka_security_protocol that of their"
            " listener?"
        )


async def close(client: Any) -> None:
    """Close a client of any kind. A producer gets some time to complete what it has, but no broker may hold it up for ever."""
    stop = client.close if isinstance(client, AIOKafkaAdminClient) else client.stop
    stopping = asyncio.ensure_future(stop())
    done, _ = await asyncio.wait([stopping], timeout=CLOSE_S)
    if not done:
        if isinstance(client, AIOKafkaProducer) and client._sender.sender_task is not None:
            # There is no other way to have it give up what waits for a broker.
            client._sender.sender_task.cancel()
            client._message_accumulator.fail_all(ProducerClosed())
        else:
            stopping.cancel()
    with suppress(KafkaError, OSError, asyncio.CancelledError):
        await stopping
