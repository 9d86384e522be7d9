"""From a URL to a bus, or to its files: the one place that knows which implementations there are. The composition root calls it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import unquote, urlsplit

from dgs.bus.archive import LogFiles
from dgs.bus.base import RECORDS, Bus
from dgs.bus.kafka.address import FORM, KafkaAddress
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.limits import NO_LIMITS, AppendLimits
from dgs.bus.local import Fsync, LocalBus
from dgs.bus.log import Logs
from dgs.bus.memory import MemoryBus
from dgs.bus.topics import ensure_topics
from dgs.core.deployment import Deployment
from dgs.core.errors import InputError, StateError, UnreachableError
from dgs.core.types import Position

if TYPE_CHECKING:
    from dgs.bus.kafka.bus import KafkaBus
    from dgs.bus.kafka.offsets import Moment

_FORMS = f"local:///absolute/path (files that the processes of this host share), {FORM}, or memory:// (one process, for tests)"


def local_path(url: str) -> Path | None:
    """Return the directory of a bus in files, None for any other."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "local" else None


def kafka_address(url: str) -> KafkaAddress | None:
    """Return where a bus on Kafka is, None for any other.

    Raises:
        InputError: it is on Kafka, but its URL is not understood.
    """
    return KafkaAddress.parse(url) if urlsplit(url).scheme == "kafka" else None


def open_bus(
    url: str,
    *,
    fsync: Fsync = "never",
    limits: AppendLimits = NO_LIMITS,
    kafka: KafkaOptions | None = None,
) -> Bus:
    """Return the bus that a URL names. Every `memory://` is a bus of its own.

    Args:
        url: of the bus.
        fsync: what an acknowledged append survives, where logs are files.
        limits: beyond which appends are refused, where logs are files.
        kafka: how to talk to Kafka; None for the defaults.

    Raises:
        InputError: the URL is none that this version knows, `fsync` has no such value, or what Kafka needs is not installed.
    """
    if fsync not in get_args(Fsync):
        raise InputError(f"fsync is {' or '.join(get_args(Fsync))}, not {fsync!r}")
    if (address := kafka_address(url)) is not None:
        return _kafka_bus(address, kafka or KafkaOptions())
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.netloc:
        raise InputError(f"bus URL {url!r} is not understood; it is {_FORMS}")
    if parts.scheme == "memory" and not parts.path:
        return MemoryBus()
    if parts.scheme == "local" and parts.path.startswith("/"):
        return LocalBus(Path(unquote(parts.path)), fsync=fsync, limits=limits)
    raise InputError(f"bus URL {url!r} is not understood; it is {_FORMS}")


def _kafka_bus(address: KafkaAddress, options: KafkaOptions) -> "KafkaBus":
    with _needs_kafka():
        from dgs.bus.kafka.bus import KafkaBus
    return KafkaBus(address, options)


async def records_since(deployment: Deployment, moment: "Moment", kafka: KafkaOptions | None = None) -> list[Position]:
    """Return where each record partition of a deployment has the first entry since a moment; its topics are made if need be.

    Args:
        deployment: one on Kafka.
        moment: "earliest", "latest", or milliseconds since 1970.
        kafka: how to talk to Kafka; None for the defaults.

    Raises:
        InputError: it is not on Kafka: others keep no times.
        StateError: a topic is another deployment's or has other partitions, or this is not allowed.
        UnreachableError: Kafka stays away.
    """
    if (address := kafka_address(deployment.bus)) is None:
        raise InputError(f"only logs on Kafka know when entries came to stand there: {deployment.bus!r} is not on Kafka")
    bus = _kafka_bus(address, kafka or KafkaOptions())
    try:
        await ensure_topics(bus, deployment)
        return await bus.since(RECORDS, moment)
    except OSError as e:
        raise UnreachableError(str(e)) from None
    finally:
        await bus.close()


@contextmanager
def _needs_kafka() -> Iterator[None]:
    try:
        yield
    except ImportError as e:
        raise InputError(f"a bus on Kafka needs more than is installed ({e}): pip install 'dgs[kafka]'") from None


def log_directory(bus: str, own: Path) -> Path:
    """Return the directory that has a deployment's logs: its own in its data directory, unless it is on another bus.

    Raises:
        StateError: that bus is not in files of this host.
    """
    path = local_path(bus) if bus else own
    if path is None:
        raise StateError(f"the logs of {own.parent} are on {bus}, not in files of this host")
    return path


def open_logs(deployment: Deployment, own: Path, kafka: KafkaOptions | None = None) -> Logs:
    """Return the logs of a deployment as they stand, for who only looks.

    Args:
        deployment: whose they are.
        own: where its data directory has the logs, unless they are on another bus.
        kafka: how to talk to Kafka; None for the defaults.

    Raises:
        InputError: they are on Kafka, and what that needs is not installed.
        StateError: they are neither in files of this host nor on Kafka.
    """
    if (address := kafka_address(deployment.bus)) is not None:
        with _needs_kafka():
            from dgs.bus.kafka.log import KafkaLogs
        return KafkaLogs(address, kafka or KafkaOptions(), deployment.log_id)
    return LogFiles(log_directory(deployment.bus, own))
