"""Checkpoints are created when they are due or asked for, one at a time, of what is new only, and one that fails costs nothing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.local import LocalBus
from dgs.coordinator.checkpoints import CheckpointCreator, CreationState
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state_file import StateFile
from dgs.coordinator.truncation import Truncation
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.checkpoints import SamplerPart
from dgs.serving.checkpoints import ServingPart
from dgs.serving.snapshots import Snapshots
from dgs.store.base import Batch
from dgs.store.checkpoints import Checkpoints
from dgs.store.destination import Destination
from dgs.store.manifest import SAMPLER, SERVING
from dgs.store.objects import check
from dgs.store.participation import Participation, Sending, SendingPartition
from dgs.store.rocks import RocksStore
from dgs.store.snapshots import SnapshotFolder
from dgs.store.uploads import Uploader
from tests.waiting import until

SEGMENT_BYTES = 4096
ENTRY = b"x" * 500


class World:
    """A coordinator on a bus in files, stores of samplers, and a folder of snapshots; entries mean nothing here."""

    def __init__(self, folder: Path, deployment: Deployment) -> None:
        self.folder = folder
        self.deployment = deployment
        self.bus = LocalBus(folder / "log", segment_bytes=SEGMENT_BYTES)
        self.coordinator = Coordinator(deployment, self.bus, StateFile(folder / "state.json", deployment), bus_url="")
        self.stores = [RocksStore(folder / "sampler" / str(p)) for p in range(deployment.partitions)]
        self.committed = [0] * deployment.partitions
        self.broken: set[int] = set()

    async def commit(self, partition: int) -> None:
        """Append to a partition's log and commit up to there."""
        end = await self.bus.append(RECORDS, PartitionIndex(partition), [ENTRY] * 20)
        meta = {"received": [1, 2], "sent": [3, 4], "log_id": "log"}
        self.stores[partition].write(Batch(end, json.dumps(meta).encode(), {b"k%d" % end: bytes(1000)}))
        self.committed[partition] = end

    def opened(self) -> Checkpoints:
        return Checkpoints(Destination(str(self.folder / "place")))

    def records_needed(self, partition: int) -> int | None:
        return self.committed[partition]

    def samples_needed(self, partition: int) -> int | None:
        return None

    def part(self, p: int) -> SamplerPart:
        store: RocksStore | Broken = Broken() if p in self.broken else self.stores[p]
        link = self.folder / "links" / f"sampler-{p}"
        return SamplerPart(self.deployment, PartitionIndex(p), store, link)

    def serving(self, s: PartitionIndex) -> ServingPart:
        folder = SnapshotFolder(self.folder / "serving" / str(s))
        snapshots = Snapshots(folder, self.deployment, s, self.bus, interval_s=0, clock=time.monotonic)
        return ServingPart(s, self.deployment.partitions, snapshots, self.folder / "links" / f"serving-{s}")

    def creator(self, *, interval_s: float = 0.0, kept: int = 2) -> CheckpointCreator:
        return CheckpointCreator(
            self.coordinator,
            self.folder / "log",
            self.opened,
            lambda: None,
            Truncation(self.bus, self.deployment, self),
            interval_s=interval_s,
            kept=kept,
            wall_clock=time.time,
        )

    @asynccontextmanager
    async def running(self, creator: CheckpointCreator) -> AsyncIterator[None]:
        """Run all that has to do with checkpoints for the length of a block."""
        sending = Sending(lambda: "", lambda _: self.opened())
        parts: list[SendingPartition] = [self.part(p) for p in range(self.deployment.partitions)]
        parts += [self.serving(PartitionIndex(s)) for s in range(self.deployment.serving_partitions)]
        runs = [Participation(part, lambda: creator.asked, sending).run() for part in parts]
        tasks = [asyncio.create_task(run) for run in (creator.run(), creator._truncation.run(), *runs)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Broken:
    """A store that cannot be copied."""

    flushing = False

    def begin_flush(self) -> None:
        pass

    def copy(self, folder: Path) -> None:
        raise OSError(f"no room for {folder}")


@pytest.fixture(autouse=True)
def truncated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgs.coordinator.truncation.START_S", 0.0)
    monkeypatch.setattr("dgs.coordinator.truncation.INTERVAL_S", 0.01)


@pytest_asyncio.fixture
async def world(tmp_path: Path, deployment: Deployment) -> AsyncIterator[World]:
    world = World(tmp_path, deployment)
    await world.coordinator.start()
    yield world
    await world.coordinator.close()
    await world.bus.close()
    for store in world.stores:
        store.close()


async def test_a_checkpoint_has_states_and_the_logs_behind_them(world: World) -> None:
    await world.commit(1)
    committed = world.committed[1]
    end = await world.bus.append(RECORDS, PartitionIndex(1), [ENTRY] * 30)
    await world.bus.append(SAMPLES, PartitionIndex(0), [ENTRY])
    await world.coordinator.set_barrier("loaded")
    creator = world.creator()
    async with world.running(creator):
        manifest = await creator.create()
    part, log = manifest.part(SAMPLER, 1), manifest.log(RECORDS, 1)
    assert (part.position, list(part.received), list(part.sent)) == (committed, [1, 2], [3, 4])
    assert log.begin == committed
    assert log.end == await world.bus.end(RECORDS, PartitionIndex(1)) > end
    assert [f.path for f in log.files] == sorted(f.path for f in log.files)
    assert int(log.files[0].path.split(".")[0]) <= committed
    assert (manifest.part(SAMPLER, 0).position, list(manifest.part(SAMPLER, 0).files)) == (0, [])
    assert (manifest.part(SERVING, 0).position, manifest.log(SAMPLES, 0).begin) == (0, 0)
    assert manifest.coordinator["barriers"]["loaded"]["count"] == 1
    for ref in manifest.files():
        check(world.opened().destination, ref)
    assert creator.newest == world.opened().manifest() == manifest
    assert not list((world.folder / "links").glob("sampler-*"))


async def test_only_what_is_new_is_sent(world: World) -> None:
    creator = world.creator()
    async with world.running(creator):
        for _ in range(3):
            await world.commit(0)
            await world.bus.append(RECORDS, PartitionIndex(0), [ENTRY] * 100)
        first = await creator.create()
        await world.commit(0)
        second = await creator.create()
    assert second.sent_bytes < first.sent_bytes / 2
    shared = {f.sha256 for f in first.files()} & {f.sha256 for f in second.files()}
    assert any(f.path.endswith(".sst") and f.sha256 in shared for f in second.part(SAMPLER, 0).files)


async def test_unchanged_files_are_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    real = Uploader.hash

    def watched(self: Uploader, source: Path, nbytes: int) -> str:
        hashed.append(source.name)
        return real(self, source, nbytes)

    creator = world.creator()
    async with world.running(creator):
        for p in range(world.deployment.partitions):
            await world.commit(p)
            await world.bus.append(RECORDS, PartitionIndex(p), [ENTRY] * 100)
        await creator.create()
        monkeypatch.setattr(Uploader, "hash", watched)
        await creator.create()
    segment = "00000000000000000000.log"
    assert not [name for name in hashed if name.endswith(".sst") or len(name) == len(segment)]


async def test_records_are_given_back_as_far_as_the_kept_checkpoints_do_not_need_them(world: World) -> None:
    creator = world.creator(kept=1)
    folder = world.folder / "log" / RECORDS / "0"
    async with world.running(creator):
        for _ in range(3):
            await world.commit(0)
            manifest = await creator.create()
        await until(lambda: len(world.opened().ids()) == 1)
        needed = manifest.part(SAMPLER, 0).position

        def kept() -> list[int]:
            return sorted(int(p.stem) for p in folder.glob("*.log"))

        await until(lambda: kept()[0] > 0 and all(base > needed for base in kept()[1:]))
        assert kept()[0] <= needed


async def test_requests_while_one_is_under_way_are_for_that_one(world: World) -> None:
    creator = world.creator()
    async with world.running(creator):
        begun = creator.begin()
        assert begun.state is CreationState.CREATING
        assert creator.begin().id == begun.id
        manifest = await creator.create()
        assert manifest.id == begun.id
        await until(lambda: creator.creation and creator.creation.state is CreationState.COMPLETE)
        assert creator.begin().id > begun.id
        await creator.create()


async def test_a_part_that_fails_fails_the_checkpoint_and_the_next_one_goes_well(world: World) -> None:
    await world.commit(1)
    world.broken.add(1)
    creator = world.creator()
    async with world.running(creator):
        with pytest.raises(StateError, match="sampler-1 has no part in the checkpoint: no room for"):
            await creator.create()
        assert creator.creation is not None
        assert creator.creation.state is CreationState.FAILED
        assert "no room for" in creator.creation.reason
        assert creator.asked is None
    assert world.opened().ids() == []
    world.broken.clear()
    creator = world.creator()
    async with world.running(creator):
        manifest = await creator.create()
    assert {n.partition("/")[0] for n in world.opened().destination.names("checkpoints")} == {manifest.id}


async def test_what_was_sent_in_vain_is_removed(world: World) -> None:
    for p in range(world.deployment.partitions):
        await world.commit(p)
    world.broken.add(2)
    creator = world.creator()
    async with world.running(creator):
        with pytest.raises(StateError, match="sampler-2 has no part"):
            await creator.create()
        assert world.opened().destination.names("") == []


async def test_a_destination_that_refuses_fails_the_checkpoint_and_nothing_else(world: World) -> None:
    (world.folder / "place").write_text("a file, not a folder")
    creator = world.creator(interval_s=0.01)
    async with world.running(creator):
        with pytest.raises(OSError, match="place"):
            await creator.create()
        assert creator.creation is not None
        assert creator.creation.state is CreationState.FAILED
        await world.coordinator.set_barrier("goes on")


async def test_checkpoints_come_by_themselves_and_only_so_many_stay(world: World) -> None:
    creator = world.creator(interval_s=0.05)
    async with world.running(creator):
        await until(lambda: creator.newest)
        first = creator.newest
        await until(lambda: creator.newest is not first)
        second = creator.newest
        await until(lambda: creator.newest is not second)
        await until(lambda: len(world.opened().ids()) <= 2)
    assert first is not None
    assert first.id not in world.opened().ids()


async def test_a_restarted_creator_knows_the_newest_and_waits_for_its_age(world: World) -> None:
    creator = world.creator()
    async with world.running(creator):
        manifest = await creator.create()
    again = world.creator(interval_s=3600)
    async with world.running(again):
        await until(lambda: again.newest)
        assert again.newest == manifest
        assert again.creation is None


async def test_ends_are_taken_while_no_order_is_under_way(world: World) -> None:
    """Every order that stands in the logs is in the state, however the two meet."""
    orders = [asyncio.create_task(world.coordinator.set_barrier(f"b{i}")) for i in range(20)]
    while not all(o.done() for o in orders):
        state, ends = await world.coordinator.at_one_moment()
        entries = await world.bus.read(RECORDS, PartitionIndex(0), Position(0), max_bytes=1 << 20, wait_s=0)
        assert len([e for e in entries if e.next <= ends[RECORDS][0]]) == state["written"] == state["last"]
    await asyncio.gather(*orders)
