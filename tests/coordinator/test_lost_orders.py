"""A log that has lost an order is refused at the start, whatever else stands in it; one that has lost nothing is not."""

import os
from pathlib import Path
from typing import Literal

import pytest

from dgs.bus.base import RECORDS
from dgs.bus.local import LocalBus
from dgs.bus.memory import MemoryBus
from dgs.coordinator.state import read_state
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.core.types import PartitionIndex, Position
from tests.coordinator.conftest import Document, P, Start

LOST = r"record-batches/{p} ends at position \d+, .*state\.json .*entries are lost .*`dgs checkpoint restore --data-dir NEW"
RECORD = b"a record"
ENTRY_BYTES = 8 + len(RECORD)
Fsync = Literal["never", "batch"]


@pytest.fixture(autouse=True)
def believed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgs.coordinator.coordinator.LOST_AFTER_S", 0.2)


def cut(folder: Path, nbytes: int) -> None:
    """Lose so many bytes from the end of a partition's only segment, and what is said of where it ends."""
    (segment,) = folder.glob("*.log")
    os.truncate(segment, segment.stat().st_size - nbytes)
    (folder / "end").unlink()


async def written(start: Start, document: Document, root: Path, fsync: Fsync) -> None:
    """Have a coordinator write an order, and a loader some entries behind it."""
    bus = LocalBus(root, fsync=fsync)
    coordinator = await start(on_bus=bus)
    await coordinator.install(document())
    for p in range(P):
        await bus.append(RECORDS, PartitionIndex(p), [RECORD] * 3)
    await coordinator.close()
    await bus.close()


@pytest.mark.parametrize("partition", range(P))
async def test_a_log_without_an_order(start: Start, document: Document, tmp_path: Path, partition: int) -> None:
    root = tmp_path / "log"
    await written(start, document, root, "never")
    cut(root / RECORDS / str(partition), 3 * ENTRY_BYTES + 1)
    bus = LocalBus(root)
    with pytest.raises(StateError, match=LOST.format(p=partition)):
        await start(on_bus=bus)
    await bus.close()


@pytest.mark.parametrize("fsync", ["never", "batch"])
async def test_a_log_that_has_its_orders(start: Start, document: Document, tmp_path: Path, fsync: Fsync) -> None:
    root = tmp_path / "log"
    await written(start, document, root, fsync)
    for p in range(P):
        cut(root / RECORDS / str(p), p * ENTRY_BYTES + p)
    bus = LocalBus(root, fsync=fsync)
    coordinator = await start(on_bus=bus)
    assert coordinator.pending == 0
    await coordinator.close()
    await bus.close()


async def test_another_log(start: Start, document: Document) -> None:
    await (await start()).install(document())
    with pytest.raises(StateError, match=LOST.format(p=0)):
        await start(on_bus=MemoryBus())


async def test_a_state_that_does_not_tell(start: Start, document: Document, tmp_path: Path, deployment: Deployment) -> None:
    await (await start()).install(document())
    file = StateFile(tmp_path / "state.json", deployment)
    state = file.load()
    assert len(state.ends) == P
    told = state.to_json()
    del told["ends"]
    file.save(read_state(told))
    assert (await start(file=file)).pending == 0


async def test_an_end_that_is_told_too_low_for_a_moment_is_not_believed(
    start: Start, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = MemoryBus()
    coordinator = await start(on_bus=bus)
    await coordinator.install(document())
    await coordinator.close()
    real = bus.end
    answers: list[OSError | Position] = [OSError("away"), Position(0), Position(0)]

    async def end(topic: str, partition: PartitionIndex) -> Position:
        if answers:
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer
        return await real(topic, partition)

    monkeypatch.setattr(bus, "end", end)
    monkeypatch.setattr("dgs.coordinator.coordinator.LOST_AFTER_S", 30.0)
    again = await start(on_bus=bus)
    assert again.pending == 0
    await again.close()
