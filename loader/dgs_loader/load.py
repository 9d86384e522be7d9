"""One load: the loader's parts put together for it, over a file or over a stream of events; and what became of it, in one line.

The command opens the input and decides what an error or a signal means; here the bus is opened, used and closed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dgs_client.connection import Connection

from dgs.bus import open_bus
from dgs.bus.base import RECORDS, Bus
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.open import kafka_address, local_path
from dgs.config import load
from dgs.core.errors import DgsError, InputError
from dgs_loader.back_pressure import BackPressure
from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.mapping import EventMapping
from dgs_loader.offset_info import OffsetInfo
from dgs_loader.parser import Parser
from dgs_loader.partitioning import Partitioner
from dgs_loader.pipeline import Pipeline
from dgs_loader.progress import Progress
from dgs_loader.reader import Reader
from dgs_loader.sender import Sender
from dgs_loader.service import LoaderInit, Service
from dgs_loader.source_topic import SourceTopic
from dgs_loader.stream import Stream

LAG_TIMEOUT_S = 5.0
"""How long the service may take to say how far it is behind."""


@dataclass(slots=True, kw_only=True)
class Load:
    """What a load needs, whatever it reads.

    Attributes:
        connection, service: the coordinator, and the way to it.
        init: what the service says of itself.
        parser, partitioner: of the lines and of their records.
        letters: for what cannot be loaded.
        retry_timeout_s: how long a bus, or a source, that is away is tried for.
        say: writes a line to the user.
        positions: behind what was sent, by partition, afterwards.
    """

    connection: Connection
    service: Service
    init: LoaderInit
    parser: Parser
    partitioner: Partitioner
    letters: DeadLetterFile
    retry_timeout_s: float
    say: Callable[[str], None]
    positions: dict[int, int] = field(default_factory=dict)

    async def file(self, reader: Reader) -> None:
        """Load everything that a reader gives."""
        async with self._pipeline(reader.total_bytes, "lines") as (pipeline, _, _):
            await pipeline.load(reader)

    async def events(
        self, where: SourceTopic, mapping: EventMapping, begin: OffsetInfo, *, until_end: bool
    ) -> signal.Signals | None:
        """Load what a topic has, and will have until a signal comes; return the signal, None where the end came before."""
        try:
            from dgs_loader.kafka_source import KafkaSource
        except ImportError as e:
            raise InputError(f"a source on Kafka needs more than is installed ({e}): pip install 'dgs[kafka]'") from None
        stopped, caught = asyncio.Event(), list[signal.Signals]()
        loop = asyncio.get_running_loop()

        def stop(which: signal.Signals) -> None:
            caught.append(which)
            stopped.set()
            for one in (signal.SIGINT, signal.SIGTERM):  # a second one ends it at once
                loop.remove_signal_handler(one)

        options = _kafka_options()
        where = where.with_group(options.group_prefix, self.init.log_id)
        async with self._pipeline(None, "events") as (pipeline, progress, tell):
            source = await KafkaSource.opened(where, options, begin, retry_timeout_s=self.retry_timeout_s, tell=tell)
            try:
                for which in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(which, stop, which)
                stream = Stream(source, mapping, pipeline, self.letters, progress, tell)
                await stream.load(stopped, until_end=until_end)
                if stream.passed:
                    tell(f"{stream.passed} events are none of the mapping's records")
            finally:
                await source.close()
        return caught[0] if caught else None

    @asynccontextmanager
    async def _pipeline(
        self, total_bytes: int | None, unit: str
    ) -> AsyncIterator[tuple[Pipeline, Progress, Callable[[str], None]]]:
        """Give a pipeline, its progress, and what tells the user something meanwhile; say at the end what became of it."""
        bus = _open_bus(self.init)
        try:
            await bus.ensure(RECORDS, self.init.log_partitions, self.init.log_id)
            progress = Progress(sys.stderr, total_bytes, unit=unit)

            def tell(text: str) -> None:
                progress.clear()
                self.say(f"dgs-loader: {text}")

            # Asked while the other may be in use.
            lags = Connection(self.connection.server, retry_timeout_s=0, timeout_s=LAG_TIMEOUT_S)
            pressure = BackPressure(Service(lags).lag, waiting=progress.wait, tell=tell)
            sender = Sender(bus, self.partitioner, back_pressure=pressure, retry_timeout_s=self.retry_timeout_s, tell=tell)
            try:
                yield Pipeline(self.parser, self.service, sender, self.letters, progress, self.connection.close), progress, tell
            finally:
                lags.close()
                await pressure.close()
                progress.clear()
                self.positions |= {int(partition): int(position) for partition, position in sender.positions.items()}
                seconds = max(progress.elapsed_s, 1e-3)
                where = f" in {self.letters.path}" if self.letters.count else ""
                paused = f", {pressure.waited_s:.1f} s of it waiting for the service" if pressure.waited_s else ""
                self.say(
                    f"{progress.count} {unit}, {sender.records} records in {seconds:.1f} s"
                    f" ({sender.records / seconds:.0f} records/s), {self.letters.count} dead letters{where}{paused}"
                )
        finally:
            with suppress(OSError):
                await bus.close()


def _kafka_options() -> KafkaOptions:
    """Return how the environment says that Kafka is to be talked to: the bus and the source alike."""
    return KafkaOptions.of(load({}, os.environ))


def _open_bus(init: LoaderInit) -> Bus:
    if urlsplit(init.bus).scheme == "memory":
        raise DgsError("the service keeps its bus in its own memory, where no other process can write")
    if (path := local_path(init.bus)) is not None and not path.is_dir():
        raise DgsError(
            f"the service keeps its bus in {path}, which does not exist here: run dgs-loader on the host of the"
            " service, or give the service a bus that other hosts can reach"
        )
    if kafka_address(init.bus) is not None:
        return open_bus(init.bus, kafka=_kafka_options())
    try:
        return open_bus(init.bus, fsync=init.fsync, limits=init.limits)
    except InputError as e:
        raise DgsError(f"{e}; is the service newer than this loader?") from None
