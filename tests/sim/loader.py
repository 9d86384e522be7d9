"""A loader of a simulated deployment: appends what the workload says, and again what failed, and sets barriers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dgs.backoff import Backoff
from dgs.bus.base import RECORDS
from dgs.codec.entries import encode_records
from dgs.coordinator.barriers import BarrierState
from dgs.coordinator.state import State
from dgs.core.layout import Layouts
from dgs.core.types import PartitionIndex
from dgs.insist import insist
from dgs.testing.bus import SimBus, SimLogs
from dgs.testing.graph import DIMENSION, SCHEMA, batch_of, by_partition
from dgs.testing.process import Life
from tests.sim.invariants import Invariants
from tests.sim.workload import Load, SetBarrier, Step

WAIT_S = 3.0
"""So long it waits for a barrier."""
AGAIN = 3
"""It sends fewer steps than that again after it died."""


class SimLoader:
    """One loader, over all its lives.

    Args:
        steps: what it has to do.
        partitions: of `record-batches`.
        logs: where it appends.
        ask: asks the coordinator for something: a method and its arguments.
        invariants: told what it sends, and what it knows to stand.
    """

    def __init__(
        self, steps: list[Step], partitions: int, logs: SimLogs, ask: Callable[..., Awaitable[Any]], invariants: Invariants
    ) -> None:
        self._steps = steps
        self._partitions = partitions
        self._logs = logs
        self._ask = ask
        self._invariants = invariants
        self._completed = 0
        self._entries: dict[int, list[bytes]] = {}

    @property
    def done(self) -> bool:
        """Whether it has done all its steps."""
        return self._completed == len(self._steps)

    def go_back(self, standing: set[bytes], state: State) -> None:
        """Take for undone the first step of which something is not in a checkpoint, and all that follow."""
        for number in range(self._completed):
            step = self._steps[number]
            if isinstance(step, SetBarrier):
                barrier = state.barriers.get(step.name)
                stands = barrier is not None and step.loader in barrier.loaders
            else:
                stands = standing.issuperset(self._entries[number])
            if not stands:
                self._completed = number
                break

    async def run(self, life: Life) -> None:
        """Do the steps that are left, and some of those before."""
        bus = SimBus(self._logs, life)
        info: dict[str, Any] = {}

        async def begin() -> None:
            info.update(await self._ask("init_info"))

        await insist("begin", begin)
        layouts = Layouts.from_json(SCHEMA, info["dimensions"])
        for number in range(max(0, self._completed - life.process.random.randrange(AGAIN)), len(self._steps)):
            step = self._steps[number]
            if isinstance(step, SetBarrier):
                await self._set_barrier(step)
            else:
                layouts = await self._load(number, step, bus, layouts)
            self._completed = max(self._completed, number + 1)
        await asyncio.get_running_loop().create_future()  # a restore may take back what was done

    async def _set_barrier(self, step: SetBarrier) -> None:
        await insist("set a barrier", self._ask, "set_barrier", step.name, step.count, step.loader)
        self._invariants.barriers_set.add((step.name, step.loader))
        if step.wait:
            await insist("wait for a barrier", self._ask, "wait_barrier", step.name, BarrierState.READY, WAIT_S)

    async def _load(self, number: int, step: Load, bus: SimBus, layouts: Layouts) -> Layouts:
        """Append records until that goes well; return the layouts, which may have grown for them."""
        await asyncio.sleep(step.pause_s)
        if not layouts.dims and any(raw.attributes().get("vec") for raw in step.raws):
            d = DIMENSION
            await insist("propose a dimension", self._ask, "propose_dimension", d.kind, d.type, d.attribute, d.dim)
            layouts = layouts.confirmed(d)
        entries = {}
        for p, raws in by_partition(step.raws, self._partitions).items():
            entries[p] = encode_records(batch_of(raws, layouts))
            self._invariants.sent[entries[p]] = raws
        self._entries[number] = list(entries.values())
        for p, entry in entries.items():
            await self._append(bus, p, entry)
        return layouts

    async def _append(self, bus: SimBus, partition: int, entry: bytes) -> None:
        backoff = Backoff(0.05, 2.0)
        while True:
            try:
                await bus.append(RECORDS, PartitionIndex(partition), [entry])
                break
            except OSError:
                await asyncio.sleep(backoff.next())
        self._invariants.acknowledged.append(((RECORDS, partition), entry))
