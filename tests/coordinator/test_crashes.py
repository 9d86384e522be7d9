"""Whatever was acknowledged stands after a crash, and whatever was begun is completed, at whichever step the crash comes.

A story of orders is told to a coordinator whose file and bus fail at chosen points: before and after every save and every append.
After a crash a new coordinator starts on what is left and the whole story is told again, as impatient users do. In the end the
partitions hold the very orders, under the very numbers, that they hold when nothing ever fails.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgs.bus.memory import MemoryBus
from dgs.coordinator.barriers import BarrierState
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state import State
from dgs.coordinator.state_file import StateFile
from dgs.core.control import ControlItem
from dgs.core.deployment import Deployment
from dgs.core.errors import ConflictError, DgsError, NotReadyError, UnreachableError
from dgs.core.types import PartitionIndex, Position
from tests.coordinator.conftest import Document, Written

LATE = '{"query_plan": {"plan_nodes": [{"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": 0}]}]}, "query_id": 9}'
Step = Callable[[Coordinator], Awaitable[object]]


class Fate:
    """Counts the points at which something can fail, and fails at the chosen ones: once, or for good from there on (a crash)."""

    def __init__(self, faults: dict[int, bool]) -> None:
        self.faults = faults
        self.count = 0
        self.dead = False

    def point(self) -> None:
        if self.dead:
            raise OSError("a dead process does nothing")
        self.count += 1
        crash = self.faults.pop(self.count, None)
        if crash is not None:
            self.dead = crash
            raise OSError("chosen to fail")


class FaultyFile(StateFile):
    """A state file that fails before or after the saving."""

    def __init__(self, path: Path, deployment: Deployment, fate: Fate) -> None:
        super().__init__(path, deployment)
        self.fate = fate

    def save(self, state: State) -> None:
        self.fate.point()
        super().save(state)
        self.fate.point()


class FaultyBus:
    """A view of a bus that fails before or after an append."""

    def __init__(self, bus: MemoryBus, fate: Fate) -> None:
        self.inner = bus
        self.fate = fate
        self.ensure, self.read, self.end, self.ends = bus.ensure, bus.read, bus.end, bus.ends
        self.truncate, self.close, self.processed = bus.truncate, bus.close, bus.processed

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        self.fate.point()
        position = await self.inner.append(topic, partition, entries)
        self.fate.point()
        return position


@pytest.fixture
def story(document: Document) -> list[Step]:
    async def admit(c: Coordinator) -> None:
        c.accept_loaders.set()
        await c.init_info()

    async def ready(c: Coordinator) -> None:
        for partition in (0, 1):
            for round_number in (1, 2):
                await c.report(partition, 1, round_number)

    return [
        lambda c: c.install(document(), "clicks"),
        lambda c: c.install(document(query_id=1, fanout=3)),
        admit,
        lambda c: c.propose_dimension("vertex", 0, 2, 8),
        lambda c: c.set_barrier("loaded", 2, 0),
        lambda c: c.set_barrier("loaded", 2, 1),
        ready,
        lambda c: c.propose_dimension("edge", 2, 2, 4),
    ]


async def check_acknowledged(told: int, c: Coordinator, items: list[ControlItem]) -> None:
    """What the first `told` steps of the story promise, of a coordinator that has just started, and of every partition."""
    orders = [i.number for i in items]
    assert c.pending == 0, "pending after a start on a bus that works"
    assert orders == list(range(1, len(orders) + 1))
    promised = [1, 2, 2, 3, 3, 4, 4, 5]
    assert told == 0 or len(orders) >= promised[told - 1]
    assert [q.name for q in c.operators.queries][: min(told, 2)] == ["clicks", "q1"][:told]
    if told >= 3:
        with pytest.raises(ConflictError):
            await c.install(LATE)
    assert len(c.layouts.dims) >= (told >= 4) + (told >= 8)
    if told >= 5:
        assert 0 in c.barrier("loaded").loaders
    if told >= 6:
        assert c.barrier("loaded").state.includes(BarrierState.PRODUCED)
    if told >= 7:
        assert c.barrier("loaded").state is BarrierState.READY


async def live(
    story: list[Step], deployment: Deployment, written: Written, faults: list[dict[int, bool]]
) -> tuple[list[ControlItem], int]:
    """Tell the story through one life per element of `faults`, then one without; return the orders, and the first life's points."""
    bus = MemoryBus()
    points = 0
    with TemporaryDirectory() as folder:
        told = 0
        for number, fate in enumerate([*map(Fate, faults), Fate({})]):
            file = FaultyFile(Path(folder) / "state.json", deployment, fate)
            c = Coordinator(deployment, FaultyBus(bus, fate), file, bus_url="memory://")
            flawless = not fate.faults
            await c.start()
            if flawless:
                await check_acknowledged(told, c, (await written(bus))[0])
            for index, step in enumerate(story):
                try:
                    while True:
                        try:
                            await step(c)
                            break
                        except (NotReadyError, UnreachableError):
                            if fate.dead:
                                raise
                except DgsError:
                    assert fate.dead
                    break
                told = max(told, index + 1)
            points = points if number else fate.count
            await c.close()
        partitions = await written(bus)
        assert all(items == partitions[0] for items in partitions)
        assert told == len(story)
        return partitions[0], points


async def test_a_crash_at_every_point(story: list[Step], deployment: Deployment, written: Written) -> None:
    expected, points = await live(story, deployment, written, [{}])
    assert [i.number for i in expected] == [1, 2, 3, 4, 5]
    assert points == 2 * (5 * 2 + 1 + 1 + 4) + 2 * 3 * 5
    for k in range(1, points + 1):
        assert (await live(story, deployment, written, [{k: True}]))[0] == expected, f"after a crash at point {k}"


async def test_a_failure_at_every_point(story: list[Step], deployment: Deployment, written: Written) -> None:
    expected, points = await live(story, deployment, written, [{}])
    for k in range(1, points + 1):
        assert (await live(story, deployment, written, [{k: False}]))[0] == expected, f"after a failure at point {k}"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.dictionaries(st.integers(1, 40), st.booleans(), max_size=4), max_size=4))
async def test_many_crashes_and_failures(
    story: list[Step], deployment: Deployment, written: Written, faults: list[dict[int, bool]]
) -> None:
    assert [i.number for i in (await live(story, deployment, written, faults))[0]] == [1, 2, 3, 4, 5]
