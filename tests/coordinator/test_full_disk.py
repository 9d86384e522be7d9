"""A coordinator whose disk takes nothing: orders are refused, not lost, and what was begun is completed once there is room."""

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dgs.bus.limits import AppendLimits
from dgs.bus.memory import MemoryBus
from dgs.coordinator import coordinator as module
from dgs.coordinator.barriers import BarrierState
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state import State
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import NotReadyError
from dgs.core.types import PartitionIndex, Position
from dgs.troubles import Troubles
from tests.coordinator.conftest import Document, P, Written


class FullFile(StateFile):
    """Refuses to save while told to."""

    full = False

    def save(self, state: State) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().save(state)


async def test_orders_are_refused_while_the_disk_is_full_and_taken_afterwards(
    deployment: Deployment, document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.01)
    file, troubles = FullFile(tmp_path / "state.json", deployment), Troubles()
    limits = AppendLimits(5000, 700)
    c = Coordinator(deployment, MemoryBus(), file, bus_url="memory://", limits=limits, troubles=troubles)
    await c.start()
    try:
        await c.install(document())
        file.full = True
        with pytest.raises(NotReadyError, match=r"cannot be written \(No space left on device\); make room"):
            await c.set_barrier("b")
        assert troubles.found == ["no room for the coordinator's state (No space left on device): free some; it is tried again"]
        assert c.barriers() == [], "what is not saved does not show"
        file.full = False
        await c.set_barrier("b")
        assert troubles.found == []
        assert c.barrier("b").state is BarrierState.PRODUCED
        c.accept_loaders.set()
        info = await c.init_info()
        assert (info["log_bytes_max"], info["disk_free_min_bytes"]) == (5000, 700)
    finally:
        await c.close()


async def test_an_order_that_is_written_but_not_saved_as_such_is_written_again(
    deployment: Deployment, document: Document, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.01)
    file, troubles = FullFile(tmp_path / "state.json", deployment), Troubles()

    class FillingBus(MemoryBus):
        """Fills the disk with what is appended, while told to."""

        filling = True
        appends = 0

        async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
            file.full = self.filling
            self.appends += 1
            return await super().append(topic, partition, entries)

    bus = FillingBus()
    c = Coordinator(deployment, bus, file, bus_url="memory://", troubles=troubles)
    await c.start()
    try:
        with pytest.raises(NotReadyError):
            await c.install(document())
        assert c.pending == 1
        assert not c.is_active(0)
        assert troubles.found
        bus.filling = False  # the next append is the retry's
        async with asyncio.timeout(20):
            while c.pending:  # noqa: ASYNC110  # as users see it
                await asyncio.sleep(0.01)
        assert c.is_active(0)
        assert troubles.found == []
        assert bus.appends == 2 * P
        for items in await written(bus):
            assert {i.number for i in items} == {1}
    finally:
        await c.close()
