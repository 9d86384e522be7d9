"""Orders as callers see them: queries, dimensions, what loaders are told."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgs.bus.limits import NO_LIMITS
from dgs.bus.memory import MemoryBus
from dgs.coordinator import coordinator as module
from dgs.coordinator.loader_info import loader_info
from dgs.coordinator.state_file import StateFile
from dgs.core.control import DIMENSION, INSTALL
from dgs.core.deployment import Deployment
from dgs.core.errors import ConflictError, InputError, NotReadyError, PlanError, StateError, UnreachableError
from dgs.core.types import PartitionIndex, Position
from tests.coordinator.conftest import SCHEMA, Document, P, Start, Written


async def test_an_install_stands_in_every_partition(start: Start, document: Document, bus: MemoryBus, written: Written) -> None:
    c = await start()
    installed = await c.install(document(), "clicks")
    assert (installed.id, installed.name) == (0, "clicks")
    for items in await written(bus):
        assert [(i.kind, i.body["id"], i.body["name"]) for i in items] == [(INSTALL, 0, "clicks")]
        assert items[0].body["plan"] == json.loads(document())
    assert c.is_active(0)
    assert not c.is_active(1)
    assert c.pending == 0


async def test_the_same_query_again_is_fine(start: Start, document: Document, bus: MemoryBus, written: Written) -> None:
    c = await start()
    await c.install(document(), "clicks")
    assert (await c.install(document(priority=5), "clicks")).name == "clicks"
    assert (await c.install(document())).name == "clicks"
    assert (await c.install(document(kind=2))).name == "clicks"  # the kind by number
    assert [len(items) for items in await written(bus)] == [1] * P


async def test_names_default_to_the_id(start: Start, document: Document) -> None:
    c = await start()
    assert (await c.install(document(query_id=7))).name == "q7"


async def test_another_plan_or_name_is_a_conflict(start: Start, document: Document) -> None:
    c = await start()
    await c.install(document(), "clicks")
    with pytest.raises(ConflictError, match="has another plan"):
        await c.install(document(fanout=5), "clicks")
    with pytest.raises(ConflictError, match="is used by query 0"):
        await c.install(document(query_id=1, fanout=5), "clicks")
    with pytest.raises(ConflictError, match="under the name 'clicks'"):
        await c.install(document(), "other")
    assert c.operators.queries[0].plan.nodes[0].fanout == 10
    assert len(c.operators.queries) == 1


@pytest.mark.parametrize("name", ["", "7", "a\nb", "\x7f", "\ud800", "n" * 201])
async def test_wrong_names_are_refused(start: Start, document: Document, name: str) -> None:
    c = await start()
    with pytest.raises(InputError):
        await c.install(document(), name)
    with pytest.raises(InputError):
        await c.set_barrier(name if name != "7" else "")


async def test_a_wrong_plan_touches_nothing(start: Start, document: Document, tmp_path: Path) -> None:
    c = await start()
    with pytest.raises(PlanError):
        await c.install("nonsense")
    with pytest.raises(PlanError, match="fanout"):
        await c.install(document(fanout=0))
    with pytest.raises(PlanError, match="surrogate"):
        await c.install(document(note="\ud800"))
    with pytest.raises(PlanError, match="NaN"):
        await c.install(document(note=float("nan")))
    assert not (tmp_path / "state.json").exists()


async def test_no_install_after_the_first_loader(start: Start, document: Document) -> None:
    c = await start(accepting=True)
    await c.install(document(), "clicks")
    await c.init_info()
    for again in (c, await start()):
        assert (await again.install(document(), "clicks")).id == 0
        with pytest.raises(ConflictError, match="a loader has begun"):
            await again.install(document(query_id=1, fanout=3))


async def test_loaders_wait_until_they_are_accepted(start: Start, document: Document) -> None:
    c = await start()
    with pytest.raises(NotReadyError, match="first queries"):
        await c.init_info()
    await c.install(document())  # a refused loader changes nothing
    c.accept_loaders.set()
    assert await c.init_info() == {
        "downstream": {
            "kafka": {"brokers": [], "topic": "record-batches", "partitions": P},
            "partition": {"data_partition_num": P, "kafka_router": [0, 1, 2]},
        },
        "schema": SCHEMA,
        "bus": "memory://",
        "log_id": c.deployment.log_id,
        "fsync": "never",
        "log_bytes_max": 0,
        "disk_free_min_bytes": 0,
        "generation": 1,
        "partitions": P,
        "dimensions": [],
    }


async def test_loaders_are_told_where_kafka_is_but_no_secret(start: Start) -> None:
    c = await start()
    told = loader_info(c.deployment, c.layouts, bus_url="kafka://b1:9092,b2:9093/shop", fsync="never", limits=NO_LIMITS)
    assert told["downstream"]["kafka"] == {"brokers": ["b1:9092", "b2:9093"], "topic": "shop.record-batches", "partitions": P}
    assert told["bus"] == "kafka://b1:9092,b2:9093/shop"
    assert not [key for key in told if "sasl" in key]


async def test_no_loader_begins_before_there_is_a_query(start: Start, document: Document) -> None:
    c = await start(accepting=True)
    with pytest.raises(NotReadyError, match="dgs query install"):
        await c.init_info()
    await c.install(document())  # and the refused loader has shut nothing
    assert await c.init_info()


async def test_the_first_dimension_wins(start: Start, bus: MemoryBus, written: Written) -> None:
    c = await start(accepting=True)
    first = {"kind": "vertex", "type": 0, "attribute": 2, "dim": 8}
    second = {"kind": "edge", "type": 2, "attribute": 2, "dim": 3}
    assert await c.propose_dimension("vertex", 0, 2, 8) == [first]
    assert await c.propose_dimension("vertex", 0, 2, 9) == [first]
    assert await c.propose_dimension("edge", 2, 2, 3) == [first, second]
    assert loader_info(c.deployment, c.layouts, bus_url="", fsync="never", limits=NO_LIMITS)["dimensions"] == [first, second]
    assert (await start()).layouts.to_json() == [first, second]
    for items in await written(bus):
        assert [(i.kind, i.body) for i in items] == [(DIMENSION, first), (DIMENSION, second)]


@pytest.mark.parametrize(
    ("kind", "type_id", "attribute", "dim", "why"),
    [
        ("vertices", 0, 2, 8, "kind"),
        ("vertex", 2, 2, 8, "no vertex type"),
        ("edge", 0, 2, 8, "no edge type"),
        ("vertex", 1, 3, 8, "no attribute"),
        ("vertex", 0, 0, 8, "INT64: it has no dimension"),
        ("vertex", 0, 3, 4, "fixes the dimension"),
        ("vertex", 0, 2, 0, "from 1 to 65536"),
        ("vertex", 0, 2, 65537, "from 1 to 65536"),
    ],
)
async def test_impossible_dimensions(start: Start, kind: str, type_id: int, attribute: int, dim: int, why: str) -> None:
    c = await start()
    with pytest.raises(InputError, match=why):
        await c.propose_dimension(kind, type_id, attribute, dim)


class RefusingBus(MemoryBus):
    """Refuses appends to one partition while told to."""

    refusing = True

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        if self.refusing and partition == 1:
            raise OSError("no space left")
        return await super().append(topic, partition, entries)


async def test_a_refusing_bus_leaves_the_order_pending(
    start: Start, document: Document, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.01)
    bus = RefusingBus()
    c = await start(on_bus=bus, accepting=True)
    with pytest.raises(UnreachableError, match="no space left"):
        await c.install(document())
    assert c.pending == 1
    assert not c.is_active(0)
    with pytest.raises(UnreachableError):  # the same again is no acknowledgement either
        await c.install(document())
    with pytest.raises(UnreachableError):  # and no loader may write before it
        await c.init_info()
    with pytest.raises(UnreachableError):
        await c.set_barrier("b")
    assert c.barriers() == []
    bus.refusing = False
    async with asyncio.timeout(5):
        while c.pending:  # noqa: ASYNC110  # as users see it
            await asyncio.sleep(0.01)
    assert c.is_active(0)
    assert [[i.kind for i in items] for items in await written(bus)] == [[INSTALL]] * P


async def test_a_refusing_bus_at_the_start_is_tried_again(
    start: Start, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.01)
    bus = RefusingBus()
    c = await start(on_bus=bus)
    with pytest.raises(UnreachableError):
        await c.install(document())
    await c.close()
    c = await start(on_bus=bus)
    assert c.pending == 1
    bus.refusing = False
    assert (await c.install(document())).id == 0
    assert c.pending == 0


async def test_a_bus_that_hangs_counts_as_refusing(start: Start, document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "APPEND_WAIT_S", 0.01)

    class HangingBus(MemoryBus):
        async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
            await asyncio.sleep(3600)
            return Position(0)

    c = await start(on_bus=HangingBus())
    with pytest.raises(UnreachableError, match="does not answer"):
        await c.install(document())


async def test_an_order_outlives_its_caller(start: Start, document: Document, written: Written) -> None:
    class SlowBus(MemoryBus):
        reached, open = asyncio.Event(), asyncio.Event()

        async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
            if partition == 1:
                self.reached.set()
                await self.open.wait()
            return await super().append(topic, partition, entries)

    bus = SlowBus()
    c = await start(on_bus=bus)
    caller = asyncio.create_task(c.install(document()))
    await bus.reached.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    bus.open.set()
    await c.close()
    assert c.pending == 0
    assert [len(items) for items in await written(bus)] == [1] * P


async def test_no_orders_before_start_and_after_close(start: Start, document: Document) -> None:
    c = await start()
    await c.close()
    with pytest.raises(NotReadyError):
        await c.install(document())


async def test_many_callers_at_once(start: Start, document: Document, bus: MemoryBus, written: Written) -> None:
    c = await start(accepting=True)
    calls: list[Any] = [c.install(document(query_id=i % 4, fanout=1 + i % 4)) for i in range(12)]
    calls += [c.propose_dimension("vertex", 0, 2, 1 + i) for i in range(3)]
    calls += [c.set_barrier("b", 3, i) for i in range(3)]
    await asyncio.gather(*calls)
    partitions = await written(bus)
    assert partitions[0] == partitions[1] == partitions[2]
    assert len(partitions[0]) == 4 + 1 + 1
    assert len(c.operators.queries) == 4


async def test_a_file_that_cannot_be_written(start: Start, document: Document, deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    c = await start(file=StateFile(tmp_path / "gone" / "state.json", deployment))
    (tmp_path / "gone").rmdir()
    with pytest.raises(NotReadyError, match=r"state\.json cannot be written"):
        await c.install(document())
    assert c.operators.queries == ()
    (tmp_path / "gone").mkdir()
    await c.install(document())


async def test_a_state_file_of_another_deployment(start: Start, document: Document, deployment: Deployment) -> None:
    await (await start()).install(document())
    for other in (replace(deployment, log_id="other"), replace(deployment, generation=2)):
        with pytest.raises(StateError, match="belongs to the deployment"):
            await start(of=other)


async def test_a_bus_of_other_partition_counts(start: Start, deployment: Deployment) -> None:
    await start()
    with pytest.raises(StateError, match="partitions"):
        await start(of=replace(deployment, partitions=P + 1))
