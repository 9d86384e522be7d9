"""A deployment that begins in logs with records: its first orders come before them, and none of them is written anywhere."""

import dataclasses
import json
from pathlib import Path

import pytest

from dgs.bus.base import RECORDS
from dgs.bus.memory import MemoryBus
from dgs.codec.entries import decode_entry
from dgs.coordinator.queries import first_state
from dgs.coordinator.state import State
from dgs.coordinator.state_file import StateFile
from dgs.core.control import BARRIER, ControlItem
from dgs.core.deployment import Beginning, Deployment
from dgs.core.errors import ConflictError, StateError
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex
from tests.coordinator.conftest import Document, P, Start

RECORD = b"a record"


@pytest.fixture
def first(document: Document, schema: Schema) -> State:
    return first_state(((f"q{number}", json.loads(document(query_id=number))) for number in (0, 4)), schema)


@pytest.fixture
def begun(deployment: Deployment, first: State) -> Deployment:
    return dataclasses.replace(deployment, beginning=Beginning("latest", (1,) * P, tuple(first.standing())))


@pytest.fixture
def file(tmp_path: Path, begun: Deployment, first: State) -> StateFile:
    """The file that is made with the deployment."""
    file = StateFile(tmp_path / "state.json", begun)
    file.save(first)
    return file


@pytest.fixture
async def filled(bus: MemoryBus) -> MemoryBus:
    await bus.ensure(RECORDS, P)
    for p in range(P):
        await bus.append(RECORDS, PartitionIndex(p), [RECORD])
    return bus


@pytest.mark.usefixtures("file")
async def test_they_stand_from_the_beginning_and_others_follow_them(
    start: Start, document: Document, begun: Deployment, filled: MemoryBus
) -> None:
    c = await start(of=begun)
    ends = await c.record_ends()
    assert [(q.id, c.is_active(q.id), c.pending) for q in c.operators.queries] == [(0, True, 0), (4, True, 0)]
    await c.install(document(), "q0")  # as every start does
    assert await c.record_ends() == ends
    with pytest.raises(ConflictError, match="already there"):
        await c.install(document(query_id=9))
    await c.set_barrier("b")
    for p in range(P):
        [entry] = await filled.read(RECORDS, PartitionIndex(p), ends[p], max_bytes=1 << 20, wait_s=0)
        item = decode_entry(entry.data)
        assert isinstance(item, ControlItem)
        assert (item.number, item.kind) == (3, BARRIER)
    barrier = c.barrier("b")
    await c.close()
    again = await start(of=begun)
    assert again.barrier("b") == barrier
    assert [q.id for q in again.operators.queries] == [0, 4]


async def test_a_coordinator_that_has_lost_its_file_does_not_begin_again(start: Start, begun: Deployment, file: StateFile) -> None:
    c = await start(of=begun)
    await c.set_barrier("b")
    await c.close()
    file.path.unlink()
    with pytest.raises(StateError, match=r"state\.json is gone, .*`dgs checkpoint restore --data-dir NEW`"):
        await start(of=begun)


@pytest.mark.usefixtures("filled")
async def test_without_them_records_that_are_there_are_refused(start: Start) -> None:
    with pytest.raises(StateError, match=r"record-batches has entries, and .*state\.json knows of no order before them"):
        await start()
