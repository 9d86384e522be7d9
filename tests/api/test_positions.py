"""Read your writes: requests that name positions wait until those are reflected, rows that follow from them included."""

import asyncio

import httpx
import pytest

from dgs.bus.base import RECORDS
from dgs.bus.memory import MemoryBus
from dgs.core.operators import InstalledQuery
from dgs.core.partition import partition_of
from dgs.core.types import PartitionIndex
from tests.api.conftest import FakePartition, ProblemCheck, S

Client = httpx.AsyncClient
BINARY = {"accept": "application/x-protobuf"}


@pytest.fixture
async def written(bus: MemoryBus, installed: InstalledQuery) -> int:
    """The end of record partition 2, after something was written there."""
    return int(await bus.append(RECORDS, PartitionIndex(2), [b"record"] * 5))


@pytest.fixture
def owner(partitions: list[FakePartition]) -> FakePartition:
    return partitions[partition_of(7, S)]


def moved(partition: FakePartition) -> None:
    partition.moves.ring()


async def several_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("headers", [{}, BINARY], ids=["json", "protobuf"])
async def test_what_is_reflected_is_answered_at_once(
    client: Client, written: int, owner: FakePartition, headers: dict[str, str]
) -> None:
    owner.positions[2] = written
    response = await client.get(f"/samples?vid=7&min_position=1:2:{written},1:0:0&timeout_ms=0", headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("headers", [{}, BINARY], ids=["json", "protobuf"])
async def test_a_request_waits_for_its_position_and_then_for_pending_rows(
    client: Client, written: int, owner: FakePartition, headers: dict[str, str]
) -> None:
    request = {"vids": [7], "min_position": [f"1:2:{written}"]}
    waiting = asyncio.create_task(client.post("/samples", json=request, headers=headers))
    await several_turns()
    assert not owner.asked, "nothing is looked up before the position is reflected"
    owner.pending = 3
    owner.positions[2] = written
    moved(owner)
    await several_turns()
    assert owner.asked, "the position is reflected"
    assert not waiting.done(), "rows are pending"
    owner.pending = 0
    moved(owner)
    assert (await waiting).status_code == 200


async def test_pending_rows_do_not_hold_up_who_names_no_position(client: Client, written: int, owner: FakePartition) -> None:
    owner.pending = 3
    assert (await client.get("/samples?vid=7")).json()["pending"] == 3


@pytest.mark.parametrize("headers", [{}, BINARY], ids=["json", "protobuf"])
async def test_too_late(client: Client, written: int, is_problem: ProblemCheck, headers: dict[str, str]) -> None:
    response = await client.get(f"/samples?vid=7&min_position=1:2:{written}&timeout_ms=20", headers=headers)
    is_problem(response, 504, "have not arrived in time")


@pytest.mark.parametrize("headers", [{}, BINARY], ids=["json", "protobuf"])
async def test_a_position_beyond_the_end_is_never_waited_for(
    client: Client, written: int, is_problem: ProblemCheck, headers: dict[str, str]
) -> None:
    response = await client.get(f"/samples?vid=7&min_position=1:2:{written + 1}", headers=headers)
    is_problem(response, 409, f"beyond the end of record partition 2 ({written})")


async def test_a_position_of_another_generation(client: Client, written: int, is_problem: ProblemCheck) -> None:
    is_problem(await client.get("/samples?vid=7&min_position=2:0:0"), 409, "of generation 2, this deployment of 1")


async def test_a_deadline_holds_between_the_seeds_of_a_request(
    client: Client, installed: InstalledQuery, is_problem: ProblemCheck
) -> None:
    is_problem(await client.post("/samples", json={"vids": list(range(40)), "timeout_ms": 0}), 504, "ask for fewer at a time")


async def test_one_that_gives_up_leaves_the_others_waiting(client: Client, written: int, owner: FakePartition) -> None:
    url = f"/samples?vid=7&min_position=1:2:{written}"
    patient = asyncio.create_task(client.get(url))
    hasty = asyncio.create_task(client.get(f"{url}&timeout_ms=10"))
    assert (await hasty).status_code == 504
    owner.positions[2] = written
    moved(owner)
    assert (await patient).status_code == 200
