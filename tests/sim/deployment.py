"""A simulated deployment: the production workers as processes on simulated logs, disks and clocks, and loaders that feed them."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.dead_letters import DeadEntry
from dgs.bus.topics import ensure_topics
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.rounds import Rounds
from dgs.core.errors import PositionError, UnreachableError
from dgs.core.types import PartitionIndex, Position
from dgs.insist import insist
from dgs.sampler.standby import Standby, Standing
from dgs.sampler.worker import SamplerWorker
from dgs.serving.snapshots import Snapshots
from dgs.serving.worker import ServingWorker
from dgs.store.manifest import Manifest
from dgs.store.snapshots import SnapshotFolder
from dgs.testing.bus import Place, SimBus, SimLogs
from dgs.testing.process import Life, SimProcess, running_life
from tests.sim.disks import Disks
from tests.sim.invariants import BEFORE_START, Invariants, Served, ViolationError
from tests.sim.loader import SimLoader
from tests.sim.workload import Workload

RESTART_S = 0.2
"""A process that died lives again within so much time."""
REQUESTS_S = 0.05
"""A request comes about so often."""
LOOK_SHARE = 0.5
"""How often answers are checked when a worker has applied something."""
SLICE_S = 0.001
TRUNCATE_S = 0.1
STANDBY_AFTER_S = 0.15

Main = Callable[[Life], Coroutine[Any, Any, None]]


def twin_of(name: str) -> str:
    """Return the name of the second copy of a process."""
    return f"{name}'"


class SimDeployment:
    """All processes of one history, and what outlives them.

    Attributes:
        logs: what stands in the logs.
        processes: all of them by name.
        serving: who answers, by the name of the partition or of its twin.
        samplers: the samplers that run, likewise.
        crashes: lives that a fault has ended.
        loaders: by name.
    """

    def __init__(self, workload: Workload, seed: int, folder: Path) -> None:
        self._seed = seed
        self._workload = workload
        self._random = random.Random(f"{seed}/deployment")
        self.invariants = Invariants(workload)
        self.logs = SimLogs(synced=workload.synced, on_entry=self.invariants.on_entry)
        if workload.before is not None:
            self.logs.ensure(RECORDS, workload.partitions)
            self.logs.ensure(SAMPLES, workload.serving_partitions)
            self._write(dict.fromkeys(range(workload.partitions), BEFORE_START))
        self._disks = Disks(workload, self.logs, seed, folder)
        self._write(self.invariants.sent_by_others(workload.before or ()))
        self._checkpoints = self._disks.checkpoints
        self.processes: dict[str, SimProcess] = {}
        self.serving: dict[str, Served] = {}
        self.samplers: dict[str, SamplerWorker] = {}
        self.crashes = 0
        self.loaders = {f"loader-{n}": self._loader(n) for n in workload.loaders}
        self._coordinator: tuple[Life, Coordinator] | None = None
        self._failure: BaseException | None = None
        self._calm = False

    @property
    def parts(self) -> dict[str, Main]:
        """Everything that runs for ever, by name."""
        parts: dict[str, Main] = {f"sampler-{p}": self._sampler(p, f"sampler-{p}") for p in range(self._workload.partitions)}
        serving = {f"serving-{s}": self._serving(s, f"serving-{s}") for s in range(self._workload.serving_partitions)}
        if self._workload.together:
            return {**parts, "frontend": _all_of([self._coordinates, *serving.values()])}
        return {**parts, "coordinator": self._coordinates, **serving}

    def _write(self, entries: dict[int, bytes]) -> None:
        """Have an entry stand in some record partitions that nobody of this deployment has written."""
        for p, entry in entries.items():
            self.logs.write((RECORDS, p), [entry])
            self.logs.sync((RECORDS, p))

    def _loader(self, number: int) -> SimLoader:
        steps = [step for step in self._workload.steps if step.loader == number]
        return SimLoader(steps, self._workload.partitions, self.logs, self._ask, self.invariants)

    async def run(self) -> None:
        """Run everything until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, main in self.parts.items():
                group.create_task(self._keep(name, main))
            for name, loader in self.loaders.items():
                group.create_task(self._keep(name, loader.run))
            group.create_task(self._requests())

    # Faults, see `tests.sim.faults.Victims` -------------------------------------------------------------------------------------

    def process(self, name: str) -> SimProcess:
        """Return a process."""
        if name not in self.processes:
            self.processes[name] = SimProcess(name, self._seed)
        return self.processes[name]

    def lose_power(self) -> None:
        """All processes die, and so does what was not synced."""
        for process in self.processes.values():
            process.kill()
        self.logs.lose_power(self._random)

    def deliver_again(self, place: Place, share: float, count: int) -> None:
        """Some entries of a log, from this share of it on, arrive there once more."""
        if entries := [entry.data for entry in self.logs.journal.get(place, []) if entry.data != BEFORE_START]:
            first = int(share * len(entries))
            self.logs.write(place, entries[first : first + count])
            self.logs.sync(place)

    def set_back(self, name: str, back: int) -> None:
        """A process dies, and lives again from a state so many commits or snapshots older."""
        self.process(name).kill()
        for part in self._disks.parts if name == "frontend" else [name]:
            self._disks.set_back(part, back)

    def begin_twin(self, name: str, back: int) -> None:
        """A second copy of a process begins, from a state so many commits older."""
        twin = self.process(twin_of(name))
        if twin.life is not None:
            return
        self._disks.copy(name, twin.name, back)
        main = self._sampler if name in self._disks.stores else self._serving
        twin.start(main(int(name.rpartition("-")[2]), twin.name)).ended.add_done_callback(self._twin_ended)

    def end_twin(self, name: str, promoted: bool) -> None:
        """The second copy dies, or the first one does and goes on from the second one's state."""
        twin = self.process(twin_of(name))
        if twin.life is None:
            return
        twin.kill()
        if promoted:
            self.process(name).kill()
        self._disks.end_copy(name, twin.name, promoted)

    def _twin_ended(self, ended: "asyncio.Future[None]") -> None:
        failure = ended.exception()
        if failure is not None and not isinstance(first_of(failure), PositionError):  # a stand-by that is slow begins anew
            self._failure = self._failure or failure

    def calm(self) -> None:
        """No more faults from now on."""
        self._calm = True
        for name in list(self.processes):
            self.end_twin(name, promoted=False)
        for process in self.processes.values():
            process.slowness, process.refusals, process.paused_until_s, process.appends_fail_until_s = 1.0, 0, 0.0, 0.0
            for points in process.crash_points.values():
                points.clear()

    def make_checkpoint(self) -> None:
        """A checkpoint is asked for."""
        if self._checkpoints is not None:
            self._checkpoints.begin()

    def restore_partition(self, name: str) -> None:
        """A partition loses its disk, and lives again from what the newest checkpoint has of it, with the log as it is."""
        if (manifest := self._newest()) is not None:
            self.process(name if name in self.parts else "frontend").kill()
            self._disks.restore_partition(manifest, name)

    def restore(self) -> None:
        """All processes die, and everything goes back to the newest checkpoint, under a new log id."""
        if (manifest := self._newest()) is None:
            return
        for process in self.processes.values():
            process.kill()
        state = self._disks.restore(manifest)
        self.invariants.go_back(self.logs.journal, state)
        standing = {entry.data for entries in self.logs.journal.values() for entry in entries}
        for loader in self.loaders.values():
            loader.go_back(standing, state)

    def _newest(self) -> Manifest | None:
        return None if self._checkpoints is None else self._checkpoints.newest(self._disks.deployment.log_id)

    # Processes ----------------------------------------------------------------------------------------------------------------

    async def _keep(self, name: str, main: Main) -> None:
        """Have a process live again and again."""
        process = self.process(name)
        while True:
            try:
                await asyncio.shield(process.start(main).ended)
            except Exception as e:
                raise ViolationError(f"{name} has failed: {first_of(e)!r}") from e
            self.crashes += 1
            self.invariants.digest.update(f"{name} dies at {asyncio.get_running_loop().time()}".encode())
            await asyncio.sleep(self._random.random() * RESTART_S)

    def _sampler(self, partition: int, name: str) -> Main:
        async def main(life: Life) -> None:
            bus, store = SimBus(self.logs, life), self._disks.stores[name].opened(life)
            await ensure_topics(bus, self._disks.deployment)
            worker = SamplerWorker(
                self._disks.deployment,
                PartitionIndex(partition),
                bus,
                store,
                clock=life.process.clock,
                commit_interval_s=self._workload.commit_interval_s,
                dead_letters=_no_dead_letters,
                standby=self._standby(partition) if name.endswith("'") and self._workload.standby else None,
            )
            self.samplers[name] = worker
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(worker.run())
                    if self._checkpoints is not None and not name.endswith("'"):
                        group.create_task(self._checkpoints.sampler(partition, store).run())
            finally:
                del self.samplers[name]

        return main

    def _standby(self, partition: int) -> Standby:
        """Return what makes a twin a stand-by; what stands in the logs it learns from serving partitions."""

        async def standing(serving: int) -> Standing:
            while (served := self.serving.get(f"serving-{serving}")) is None:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(RESTART_S)
            state = served.worker.machine.state
            return Standing(served.worker.position, state.received[partition], state.positions[partition])

        return Standby(STANDBY_AFTER_S, standing)

    def _serving(self, partition: int, name: str) -> Main:
        owner = not name.endswith("'")

        async def report(*round_done: int) -> None:
            # A twin may not report, so no snapshot of its counts behind a round: who takes its place has to tell of that one.
            await (self._ask("report", *round_done) if owner else asyncio.Event().wait())

        async def main(life: Life) -> None:
            bus = SimBus(self.logs, life, lambda place: self._look(name, place))
            await ensure_topics(bus, self._disks.deployment)
            rounds = Rounds(report)
            snapshots = Snapshots(
                SnapshotFolder(self._disks.folders[name]),
                self._disks.deployment,
                PartitionIndex(partition),
                bus,
                interval_s=self._workload.snapshot_interval_s,
                clock=life.process.clock,
            )
            worker = ServingWorker(
                self._disks.deployment,
                PartitionIndex(partition),
                bus,
                clock=life.process.clock,
                slice_s=SLICE_S,
                on_round=lambda s, done: rounds.done(s, done.barrier, done.round),
                rounds_reported=rounds.all_reported,
                dead_letters=_no_dead_letters,
                snapshots=snapshots,
            )
            self.serving[name] = Served(worker, owner)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(rounds.report_all())
                    group.create_task(worker.run())
                    if self._checkpoints is None:
                        group.create_task(_truncates(bus, PartitionIndex(partition), snapshots))
                    else:
                        group.create_task(self._checkpoints.serving(partition, snapshots, life).run())
            finally:
                del self.serving[name]

        return main

    async def _coordinates(self, life: Life) -> None:
        bus = SimBus(self.logs, life)
        coordinator = Coordinator(self._disks.deployment, bus, self._disks.file, bus_url="memory://")
        await coordinator.start()
        self._coordinator = life, coordinator
        for number, document in enumerate(self._workload.plans):
            await insist("install a query", coordinator.install, json.dumps(document), f"q{number}")
        coordinator.accept_loaders.set()
        if self._checkpoints is None:
            await asyncio.get_running_loop().create_future()
        else:
            assert self.logs.files is not None, "checkpoints without files"
            await self._checkpoints.run(life, coordinator, bus, self.logs.files, self._disks.committed)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        """Ask the coordinator for something, over a network that loses the answer when it dies."""
        asking = running_life()
        assert asking is not None, "nobody asks"
        await asking.point()
        if self._coordinator is None or not self._coordinator[0].alive:
            raise UnreachableError("the coordinator is down")
        life, coordinator = self._coordinator

        async def answered() -> Any:
            await life.point()
            return await getattr(coordinator, method)(*arguments)

        task = life.spawn(answered())
        await asyncio.wait([task])
        await asking.point()
        if task.cancelled():
            raise UnreachableError("the coordinator went down meanwhile")
        return task.result()

    # Looks ------------------------------------------------------------------------------------------------------------------

    async def _requests(self) -> None:
        """Ask for answers at any time, until all is calm."""
        while not self._calm:
            await asyncio.sleep(self._random.random() * 2 * REQUESTS_S)
            if self.serving:
                self.check(self._random.choice(sorted(self.serving)))

    def _look(self, name: str, place: Place) -> None:
        """A worker has applied what it has read, if anything."""
        served = self.serving.get(name)
        if place[0] == SAMPLES and served is not None and served.looked_at != served.worker.position:
            served.looked_at = served.worker.position
            if self._random.random() < LOOK_SHARE:
                self.check(name)

    def check(self, name: str) -> None:
        """Check some answers of a serving partition, or all answers of all when a barrier has become READY."""
        self._check_twins()
        life, coordinator = self._coordinator or (None, None)
        if life is not None and life.alive and coordinator is not None and self.invariants.look_at_barriers(coordinator):
            for served in self.serving.values():
                self.invariants.check(served, self.invariants.seeds(served))
            return
        if name in self.serving:
            served = self.serving[name]
            seeds = self.invariants.seeds(served)
            self.invariants.check(served, self._random.sample(seeds, min(1, len(seeds))))

    def _check_twins(self) -> None:
        if self._failure is not None:
            raise ViolationError(f"a twin has failed: {first_of(self._failure)!r}") from self._failure

    def check_rest(self) -> None:
        """Check everything, now that all is at rest."""
        self._check_twins()
        assert self._coordinator is not None, "there never was a coordinator"
        samplers = [self.samplers[f"sampler-{p}"] for p in range(self._workload.partitions)]
        serving = [self.serving[f"serving-{s}"] for s in range(self._workload.serving_partitions)]
        self.invariants.check_rest(serving, samplers, self.logs.journal)
        self.invariants.check_orders(self._coordinator[1])

    def moving(self) -> str:
        """Return what is not at rest; empty if nothing is."""
        if unfinished := [name for name, loader in self.loaders.items() if not loader.done]:
            return f"{unfinished} are not done"
        if not self.logs.journal:
            return "nobody has made the topics"
        ends = [self.logs.end((RECORDS, p)) for p in range(self._workload.partitions)]
        for p, end in enumerate(ends):
            sampler = self.samplers.get(f"sampler-{p}")
            if sampler is None or sampler.machine.state.position != end:
                return f"sampler partition {p} is not at the end of its log"
        for s in range(self._workload.serving_partitions):
            served = self.serving.get(f"serving-{s}")
            if served is None or not served.worker.caught_up or served.worker.position != self.logs.end((SAMPLES, s)):
                return f"serving partition {s} is not at the end of its log"
            if (positions := list(served.worker.reflected().positions)) != ends:
                return f"serving partition {s} reflects {positions}, the logs end at {ends}"
        return ""


def first_of(failure: BaseException) -> BaseException:
    """Return the first failure of a group of them."""
    return first_of(failure.exceptions[0]) if isinstance(failure, BaseExceptionGroup) else failure


def _all_of(mains: list[Main]) -> Main:
    async def main(life: Life) -> None:
        async with asyncio.TaskGroup() as group:
            for each in mains:
                group.create_task(each(life))

    return main


async def _truncates(bus: SimBus, partition: PartitionIndex, snapshots: Snapshots) -> None:
    """Truncate the log of a serving partition as far as its snapshots allow: the earliest that a coordinator could."""
    truncated = Position(0)
    while True:
        await asyncio.sleep(TRUNCATE_S)
        if (snapshots.needed or 0) > truncated:
            truncated = snapshots.needed or truncated
            await bus.truncate(SAMPLES, partition, truncated)


def _no_dead_letters(dead: DeadEntry) -> None:
    raise ViolationError(f"an entry was passed over: {dead.topic}/{dead.partition} at {dead.entry.position}: {dead.reason}")
