"""A new generation of a deployment, with other partition counts, made offline from what the samplers of the old one keep.

The new data directory gets logs only: queries and dimensions as orders, then every vertex's newest record and every edge, then the
records of the old logs behind the last commits. The next `dgs up` samples it. The old data directory stays as it is.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from dgs.bus.base import RECORDS
from dgs.bus.local import LocalBus
from dgs.bus.open import local_path
from dgs.bus.topics import ensure_topics
from dgs.codec.entries import encode_control
from dgs.coordinator.state import State, of_next_generation
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import NotFoundError
from dgs.core.layout import Layouts
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir
from dgs.recovery.fresh import fresh_directory
from dgs.recovery.history import Found, PartitionHistory
from dgs.recovery.routing import Router

Say = Callable[[str], None]


def rebuild(source: DataDir, root: Path, *, partitions: int | None, serving_partitions: int | None, say: Say) -> Deployment:
    """Make a data directory of the next generation; return its deployment. What fails leaves nothing behind.

    Args:
        root: of the new one: a folder that is empty or not there yet.
        partitions: P of the new one; None for as many as before.
        serving_partitions: S of the new one; None for as many as before.
        say: told what is done, for people.

    Raises:
        NotFoundError: there is no deployment to rebuild.
        InputError: the new folder is not empty.
        StateError: a service runs on the old one, or it cannot be read.
        OSError: the disk refuses.
    """
    old = source.read()
    if old is None:
        raise NotFoundError(f"{source.root} holds no deployment")
    new = dataclasses.replace(
        old,
        log_id=secrets.token_hex(8),
        generation=old.generation + 1,
        partitions=partitions or old.partitions,
        serving_partitions=serving_partitions or old.serving_partitions,
        bus="",
    )
    with fresh_directory(root, "a new generation needs a new folder") as target, source.lock("up", wait_s=0):
        state = of_next_generation(StateFile(source.coordinator_state, old).load(), new.serving_partitions)
        asyncio.run(_write_logs(source, target, old, new, state, say))
        StateFile(target.coordinator_state, new).save(state)
        target.write(new)
    return new


async def _write_logs(source: DataDir, target: DataDir, old: Deployment, new: Deployment, state: State, say: Say) -> None:
    bus = LocalBus(target.log)
    try:
        await ensure_topics(bus, new)
        everything = dataclasses.replace(state, written=0)
        orders = [encode_control(item) for item in everything.pending() if item.number <= state.written]
        if orders:
            for p in range(new.partitions):
                await bus.append(RECORDS, PartitionIndex(p), orders)
        layouts = Layouts(new.schema, state.confirmed())
        log = local_path(old.bus) or source.log  # of any other bus the records behind the commits are lost
        for p in map(PartitionIndex, range(old.partitions)):
            history = PartitionHistory(old, p, source.sampler(p), log, layouts)
            stored = await _append_all(bus, history.stored(), Router(layouts, new.partitions))
            behind = await _append_all(bus, history.tail(), Router(layouts, new.partitions))
            say(f"sampler/{p}: {stored} records of its state, {behind} of the log behind position {history.committed}")
            if history.lost:
                say(f"sampler/{p}: the log behind that position is lost; load again what was loaded last")
            if history.passed_over:
                say(f"sampler/{p}: {history.passed_over} entries of the log were passed over, as the partition would have")
    finally:
        await bus.close()


async def _append_all(bus: LocalBus, found: Iterator[Found], router: Router) -> int:
    """Append records to the partitions of the new generation; return how many there were."""
    count = 0
    for group, strings in found:
        router.put(group, strings)
        count += len(group.timestamps)
        if router.full:
            await _append(bus, router)
    await _append(bus, router)
    return count


async def _append(bus: LocalBus, router: Router) -> None:
    for partition, entry in router.take().items():
        await bus.append(RECORDS, partition, [entry])
