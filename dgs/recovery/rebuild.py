"""A new generation of a deployment, with other partition counts, made offline from what the samplers of the old one keep.

The new generation gets logs only: queries and dimensions as orders, then every vertex's newest record and every edge, then the
records of the old logs behind the last commits. The next `dgs up` samples it. The old data directory stays as it is.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.local import LocalBus
from dgs.bus.open import kafka_address, open_bus, open_logs
from dgs.bus.topics import ensure_topics
from dgs.codec.entries import encode_control
from dgs.coordinator.state import State, of_next_generation
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import InputError, NotFoundError, StateError
from dgs.core.layout import Layouts
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir, new_log_id
from dgs.recovery.fresh import fresh_directory
from dgs.recovery.history import Found, PartitionHistory
from dgs.recovery.routing import Router

Say = Callable[[str], None]


def rebuild(
    source: DataDir,
    root: Path,
    *,
    partitions: int | None,
    serving_partitions: int | None,
    bus: str | None,
    kafka: KafkaOptions,
    say: Say,
) -> Deployment:
    """Make a data directory of the next generation; return its deployment. What fails leaves nothing behind, but on another bus.

    Args:
        source: of the old one.
        root: of the new one: a folder that is empty or not there yet.
        partitions: P of the new one; None for as many as before.
        serving_partitions: S of the new one; None for as many as before.
        bus: URL of the new one's; None for logs in its data directory.
        kafka: how to talk to Kafka, where one of the two is there.
        say: told what is done, for people.

    Raises:
        NotFoundError: there is no deployment to rebuild.
        InputError: the new folder is not empty, or there is no bus for the new logs.
        StateError: a service runs on the old one, it cannot be read, or the new bus has something already.
        UnreachableError: Kafka is away.
        OSError: the disk refuses.
    """
    old = source.read()
    if old is None:
        raise NotFoundError(f"{source.root} holds no deployment")
    _check_bus(old, bus)
    new = dataclasses.replace(
        old,
        log_id=new_log_id(),
        generation=old.generation + 1,
        partitions=partitions or old.partitions,
        serving_partitions=serving_partitions or old.serving_partitions,
        bus=bus or "",
        beginning=None,
    )
    with fresh_directory(root, "a new generation needs a new folder") as target, source.lock("up", wait_s=0):
        state = of_next_generation(StateFile(source.coordinator_state, old).load(), new.serving_partitions)
        with (
            closing(open_logs(old, source.log, kafka)) as old_logs,
            asyncio.Runner() as runner,
            _opened(runner, new, target, kafka) as logs,
        ):
            _write_orders(logs, state)
            layouts = Layouts(new.schema, state.confirmed())
            for p in map(PartitionIndex, range(old.partitions)):
                history = PartitionHistory(old, p, source.sampler(p), old_logs, layouts)
                _write_history(logs, history, layouts, f"sampler/{p}", say)
        StateFile(target.coordinator_state, new).save(state)
        target.write(new)
    return new


def _check_bus(old: Deployment, bus: str | None) -> None:
    if bus is None and kafka_address(old.bus) is not None:
        raise InputError(
            f"the old generation is on {old.bus}: say where the new one's logs are to be, with --bus and another prefix of topic"
            " names (kafka://host:9092/PREFIX), or with --bus local:///path"
        )
    if bus is not None and bus == old.bus:
        raise InputError(f"{bus} is the bus of the old generation: give the new one another, or another prefix of topic names")


class _Logs:
    """The record logs of the new generation."""

    def __init__(self, runner: asyncio.Runner, bus: Bus, partitions: int) -> None:
        self._runner = runner
        self._bus = bus
        self.partitions = partitions

    def append(self, partition: PartitionIndex, entries: list[bytes]) -> None:
        self._runner.run(self._bus.append(RECORDS, partition, entries))


@contextmanager
def _opened(runner: asyncio.Runner, new: Deployment, target: DataDir, kafka: KafkaOptions) -> Iterator[_Logs]:
    """Give the logs of the new generation, which are empty."""
    bus = open_bus(new.bus, kafka=kafka) if new.bus else LocalBus(target.log)
    try:
        runner.run(ensure_topics(bus, new))
        for topic, ends in runner.run(bus.ends([RECORDS, SAMPLES])).items():
            if any(ends):
                raise StateError(f"{topic} on {new.bus} has entries already: give the new generation topics of its own")
        yield _Logs(runner, bus, new.partitions)
    finally:
        runner.run(bus.close())


def _write_orders(logs: _Logs, state: State) -> None:
    orders = [encode_control(item) for item in state.standing()]
    if orders:
        for p in range(logs.partitions):
            logs.append(PartitionIndex(p), orders)


def _write_history(logs: _Logs, history: PartitionHistory, layouts: Layouts, name: str, say: Say) -> None:
    stored = _append_all(logs, history.stored(), Router(layouts, logs.partitions))
    behind = _append_all(logs, history.tail(), Router(layouts, logs.partitions))
    say(f"{name}: {stored} records of its state, {behind} of the log behind position {history.committed}")
    if history.lost:
        say(f"{name}: the log behind that position is lost; load again what was loaded last")
    if history.passed_over:
        say(f"{name}: {history.passed_over} entries of the log were passed over, as the partition would have")


def _append_all(logs: _Logs, found: Iterator[Found], router: Router) -> int:
    """Append records to the partitions of the new generation; return how many there were."""
    count = 0
    for group, strings in found:
        router.put(group, strings)
        count += len(group.timestamps)
        if router.full:
            _append(logs, router)
    _append(logs, router)
    return count


def _append(logs: _Logs, router: Router) -> None:
    for partition, entry in router.take().items():
        logs.append(partition, [entry])
