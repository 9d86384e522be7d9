"""What outlives the processes of a simulated deployment: stores, snapshots, the coordinator's file; how they go back in time."""

import random
import shutil
from pathlib import Path

from dgs.bus.base import RECORDS, SAMPLES
from dgs.coordinator.queries import first_state
from dgs.coordinator.state import State, read_state
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Beginning, Deployment
from dgs.core.types import Position
from dgs.recovery.restore import deployment_of
from dgs.store.manifest import SAMPLER, Manifest, Part
from dgs.store.snapshots import SnapshotFolder
from dgs.testing.bus import Place, SimLogs
from dgs.testing.graph import SCHEMA
from dgs.testing.store import SimStore
from tests.sim.checkpoints import SimCheckpoints
from tests.sim.invariants import ViolationError
from tests.sim.workload import Workload


class Disks:
    """The disks of all processes, but for the logs, which it keeps in step.

    Whoever asks for a change has ended the process whose disk it is.

    Attributes:
        deployment: whose they are; a restore gives it another log id.
        stores: of sampler partitions and their twins, by name.
        folders: for snapshots of serving partitions and their twins, by name.
        file: of the coordinator.
        checkpoints: None where there can be none.
    """

    def __init__(self, workload: Workload, logs: SimLogs, seed: int, folder: Path) -> None:
        first = _first_state(workload)
        self.deployment = Deployment(
            "log",
            1,
            workload.partitions,
            workload.serving_partitions,
            SCHEMA,
            idle_items=workload.idle_items,
            beginning=None if first is None else Beginning("latest", tuple(logs.ends(RECORDS)), tuple(first.standing())),
        )
        self.stores = {f"sampler-{p}": SimStore() for p in range(workload.partitions)}
        self.folders = {f"serving-{s}": folder / f"serving-{s}" for s in range(workload.serving_partitions)}
        self.file = StateFile(folder / "state.json", self.deployment)
        if first is not None:
            self.file.save(first)
        self.checkpoints: SimCheckpoints | None = None
        if workload.checkpoints:
            self.checkpoints = SimCheckpoints(folder / "checkpoints", self.deployment)
            logs.files = folder / "log"
        self._logs = logs
        self._random = random.Random(f"{seed}/disks")
        self._folder = folder
        self._restores = 0
        self._gone_back: set[str] = set()

    @property
    def parts(self) -> list[str]:
        """The names of the serving partitions; a twin is none."""
        return [f"serving-{s}" for s in range(self.deployment.serving_partitions)]

    def committed(self, partition: int) -> int:
        """Return the position of a sampler partition's last commit."""
        return self.stores[f"sampler-{partition}"].position

    def set_back(self, name: str, back: int) -> None:
        """Have a partition's state be so many commits or snapshots older, as far as its log reaches back to that."""
        if name in self.stores:
            self.stores[name] = self._older(name, back)
        elif name in self.folders:
            self._lose_snapshots(name, back)

    def copy(self, name: str, copy: str, back: int) -> None:
        """Make a copy of a partition's state, a sampler's as it was so many commits before; the log stays as long as it is used."""
        self._logs.pinned.add(self._place(name))
        if name in self.stores:
            self.stores[copy] = self._older(name, back)
            return
        self.folders[copy] = self._folder / copy
        shutil.rmtree(self.folders[copy], ignore_errors=True)
        if self.folders[name].exists():
            shutil.copytree(self.folders[name], self.folders[copy])

    def end_copy(self, name: str, copy: str, promoted: bool) -> None:
        """Let go of a copy, or have it take the place of the first."""
        # Who is about to truncate may know the newer state only, so the log of one that has gone back stays for good.
        if promoted:
            self._gone_back.add(name)
        if name not in self._gone_back:
            self._logs.pinned.discard(self._place(name))
        if promoted and name in self.stores:
            self.stores[name] = self.stores[copy]
        elif promoted:
            shutil.rmtree(self.folders[name], ignore_errors=True)
            if self.folders[copy].exists():
                self.folders[copy].replace(self.folders[name])

    def restore_partition(self, manifest: Manifest, name: str) -> None:
        """Have a partition's state be that of a checkpoint."""
        kind, _, partition = name.partition("-")
        part, log = manifest.part(kind, int(partition)), self._logs.log(self._place(name))
        if not log.first <= part.position <= log.end:
            raise ViolationError(f"the log of {name} does not go on from position {part.position}, of a kept checkpoint")
        self._put(part, self._next_folder())

    def restore(self, manifest: Manifest) -> State:
        """Have everything be as in a checkpoint, as another deployment; return the coordinator's state."""
        assert self.checkpoints is not None, "a checkpoint of nowhere"
        folder = self._next_folder()
        self.deployment = deployment_of(manifest, folder.name)
        ranges: dict[Place, tuple[Position, Position]] = {}
        for log in manifest.logs:
            place = log.topic, log.partition
            journal = [entry for entry in self._logs.journal[place] if log.begin <= entry.position < log.end]
            if self.checkpoints.log_of(log, folder / log.topic / str(log.partition)) != journal:
                raise ViolationError(f"{manifest.id} does not have the log {log.topic}/{log.partition}")
            ranges[place] = Position(log.begin), Position(log.end)
        self._logs.go_back(ranges, folder / "log")
        for part in manifest.parts:
            self._put(part, folder)
        state = read_state(manifest.coordinator)
        self.file = StateFile(folder / "state.json", self.deployment)
        self.file.save(state)
        return state

    def _put(self, part: Part, folder: Path) -> None:
        assert self.checkpoints is not None, "a part of no checkpoint"
        path = self.checkpoints.restore(part, folder, self.deployment.log_id)
        if part.kind == SAMPLER:
            self.stores[part.name] = SimStore.restored(path, self.deployment.log_id)
        else:
            self.folders[part.name] = path

    def _next_folder(self) -> Path:
        self._restores += 1
        return self._folder / f"restored-{self._restores}"

    def _place(self, name: str) -> Place:
        return RECORDS if name in self.stores else SAMPLES, int(name.rpartition("-")[2])

    def _older(self, name: str, back: int) -> SimStore:
        place = self._place(name)
        first = self._logs.log(place).first if place in self._logs.journal else 0
        newest = self.stores[name]
        if newest.position < first:
            raise ViolationError(f"the log of {name} begins at {first}, behind its newest commit at {newest.position}")
        while (store := newest.older(back)).position < first:
            back = min(back, len(newest.commits)) - 1
        return store

    def _lose_snapshots(self, name: str, back: int) -> None:
        """Lose or damage the newest snapshots, as far as the log reaches back to those that are left."""
        files = SnapshotFolder(self.folders[name]).files()
        if not files:
            return
        first = self._logs.log(self._place(name)).first
        for file, older in zip(files[:back], [*(f.position for f in files[1:]), 0], strict=False):
            if older < first:
                return
            if self._random.random() < 0.5:
                file.path.unlink()
            else:
                raw = bytearray(file.path.read_bytes())
                raw[self._random.randrange(len(raw))] ^= 1 << self._random.randrange(8)
                file.path.write_bytes(raw)


def _first_state(workload: Workload) -> State | None:
    """Return what the coordinator begins with where the logs have entries before the deployment."""
    if workload.before is None:
        return None
    return first_state(((f"q{number}", plan) for number, plan in enumerate(workload.plans)), SCHEMA)
