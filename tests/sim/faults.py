"""What goes wrong in a simulated deployment: a list of faults, drawn up front, each at a time or at a count of its process."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from dgs.bus.base import RECORDS, SAMPLES
from dgs.testing.bus import Place
from dgs.testing.process import ANY, APPEND, COMMIT, SYNC, SimProcess
from tests.sim.workload import Workload

WITHIN_S = (0.4, 1.0, 2.0)
"""Faults of a history begin within one of these."""
POINTS = {ANY: (50, 200, 600), APPEND: (10, 40), COMMIT: (3, 20), SYNC: (3, 12, 40)}
"""Of a process, by kind, within which it crashes at one."""


class Victims(Protocol):
    """What faults can be done to."""

    def process(self, name: str) -> SimProcess:
        """Return a process."""

    def lose_power(self) -> None:
        """All processes die, and so does what was not synced."""

    def deliver_again(self, place: Place, share: float, count: int) -> None:
        """Some entries of a log, from this share of it on, arrive there once more."""

    def set_back(self, name: str, back: int) -> None:
        """A process dies, and lives again from a state so many commits or snapshots older."""

    def begin_twin(self, name: str, back: int) -> None:
        """A second copy of a process begins, from a state so many commits older."""

    def end_twin(self, name: str, promoted: bool) -> None:
        """The second copy dies, or the first one does and goes on from the second one's state."""

    def make_checkpoint(self) -> None:
        """A checkpoint is asked for."""

    def restore(self) -> None:
        """All processes die, and everything goes back to the newest checkpoint, under a new log id."""

    def restore_partition(self, name: str) -> None:
        """A partition loses its disk, and lives again from what the newest checkpoint has of it, with the log as it is."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A process dies at a point of its work, of a kind, counted over all its lives; see `dgs.testing.process`.

    It may take another one along, that dies a little later.
    """

    process: str
    kind: str
    point: int
    along: tuple[float, str] | None = None

    async def do(self, at: Victims) -> None:
        """Have it die there."""
        along = None if self.along is None else (self.along[0], at.process(self.along[1]))
        at.process(self.process).crash_points[self.kind][self.point] = along


@dataclass(frozen=True, slots=True)
class Timed:
    """What happens at a time."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Kill(Timed):
    """A process dies, whatever it is at."""

    process: str

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.process(self.process).kill()


@dataclass(frozen=True, slots=True)
class PowerLoss(Timed):
    """Everything dies at once, and logs lose what was not synced."""

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.lose_power()


@dataclass(frozen=True, slots=True)
class BusFails(Timed):
    """Appends of a process fail for a while, most of them, with nothing, all, or parts of their entries in the log."""

    process: str
    for_s: float

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.process(self.process).appends_fail_until_s = self.at_s + self.for_s


@dataclass(frozen=True, slots=True)
class DuplicateDelivery(Timed):
    """Some entries, the first of them from this share of the log on, arrive once more."""

    topic: str
    partition: int
    share: float
    count: int

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.deliver_again((self.topic, self.partition), self.share, self.count)


@dataclass(frozen=True, slots=True)
class Pause(Timed):
    """A process stands still, as under SIGSTOP."""

    process: str
    for_s: float

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.process(self.process).paused_until_s = self.at_s + self.for_s


@dataclass(frozen=True, slots=True)
class Slow(Timed):
    """A process is slow from now on."""

    process: str
    factor: float

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.process(self.process).slowness = self.factor


@dataclass(frozen=True, slots=True)
class ClockJump(Timed):
    """The clock of a process jumps, forwards or back."""

    process: str
    by_s: float

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.process(self.process).skew_s += self.by_s


@dataclass(frozen=True, slots=True)
class DiskRefuses(Timed):
    """The disk of a process refuses some writes."""

    process: str
    writes: int

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.process(self.process).refusals += self.writes


@dataclass(frozen=True, slots=True)
class OlderState(Timed):
    """A sampler or serving partition is restored from an older state."""

    process: str
    back: int

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.set_back(self.process, self.back)


@dataclass(frozen=True, slots=True)
class TwinBegins(Timed):
    """A second copy of a partition's process begins to run, from an older state."""

    process: str
    back: int

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.begin_twin(self.process, self.back)


@dataclass(frozen=True, slots=True)
class TwinEnds(Timed):
    """The copy ends, or takes the place of the first."""

    process: str
    promoted: bool

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.end_twin(self.process, self.promoted)


@dataclass(frozen=True, slots=True)
class CheckpointBegins(Timed):
    """A checkpoint is asked for: no fault, but what others need."""

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.make_checkpoint()


@dataclass(frozen=True, slots=True)
class Restored(Timed):
    """Everything is lost, and the newest checkpoint is restored."""

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.restore()


@dataclass(frozen=True, slots=True)
class PartitionRestored(Timed):
    """A partition loses its disk, and is restored from the newest checkpoint."""

    partition: str

    async def do(self, at: Victims) -> None:
        """Do it."""
        at.restore_partition(self.partition)


Fault = (
    Crash
    | Kill
    | PowerLoss
    | BusFails
    | DuplicateDelivery
    | Pause
    | Slow
    | ClockJump
    | DiskRefuses
    | OlderState
    | TwinBegins
    | TwinEnds
    | CheckpointBegins
    | Restored
    | PartitionRestored
)


def draw(rnd: random.Random, workload: Workload, kinds: Sequence[str] = (), victims: Sequence[str] = ()) -> tuple[Fault, ...]:
    """Return any faults: none, a few, or many, of a few kinds at a few processes, so that what goes together badly meets often.

    Args:
        rnd: draws.
        workload: what they happen to.
        kinds: where there are any, many faults of these kinds.
        victims: where there are any, only processes whose names begin so.
    """
    drawing = _Drawing(rnd, workload, kinds, tuple(victims))
    return tuple(fault for _ in range(16 if kinds else rnd.choice([0, 4, 8, 12, 16])) for fault in drawing.one())


class _Drawing:
    """Kinds and victims of the faults of one history."""

    def __init__(self, rnd: random.Random, workload: Workload, kinds: Sequence[str], victims: tuple[str, ...]) -> None:
        self._random = rnd
        self._workload = workload
        self._samplers = [f"sampler-{p}" for p in range(workload.partitions)]
        self._serving = [f"serving-{s}" for s in range(workload.serving_partitions)]
        twinned = self._samplers if workload.together else [*self._samplers, *self._serving]
        self._twinned = [name for name in twinned if name.startswith(victims)] if victims else twinned
        workers = [*self._samplers, *(["frontend"] if workload.together else ["coordinator", *self._serving])]
        if victims:
            self._workers = self._everyone = [name for name in workers if name.startswith(victims)]
        else:
            self._workers = rnd.sample(workers, rnd.randint(1, min(3, len(workers))))
            self._everyone = [*self._workers, *self._workers, *(f"loader-{i}" for i in workload.loaders[:1])]
        self._most_s = rnd.choice(WITHIN_S)
        self._kinds = kinds or rnd.sample(list(self._KINDS), rnd.randint(2, 5))

    def one(self) -> list[Fault]:
        """Return one fault, or those that belong together."""
        return self._KINDS[self._random.choice(self._kinds)](self, self._random, self._random.random() * self._most_s)

    def _crash(self, rnd: random.Random, at_s: float) -> list[Fault]:
        name = rnd.choice(self._everyone)
        kinds = [ANY, APPEND] if name.startswith("loader") else [ANY, APPEND, COMMIT if name in self._samplers else SYNC]
        kind = rnd.choice(kinds)
        return [Crash(name, kind, rnd.randint(1, rnd.choice(POINTS[kind])))]

    def _crash_at_disk(self, rnd: random.Random, at_s: float) -> list[Fault]:
        """Around a write that decides what is durable."""
        name = rnd.choice(self._workers)
        kind = COMMIT if name in self._samplers else SYNC
        return [Crash(name, kind, rnd.randint(1, rnd.choice(POINTS[kind])))]

    def _kill(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [Kill(at_s, rnd.choice(self._everyone))]

    def _coordinator(self, rnd: random.Random, at_s: float) -> list[Fault]:
        """It is away for a while, or dies while it writes, and a serving partition may die meanwhile."""
        name, together = ("frontend", True) if self._workload.together else ("coordinator", False)
        away_s, other = rnd.choice([0.3, 1.5]), rnd.choice(self._serving)
        if rnd.random() < 0.5:
            away: list[Fault] = [Pause(at_s, name, away_s)]
            return away if together else [*away, Kill(at_s + rnd.random() * away_s, other)]
        kind = rnd.choice([APPEND, SYNC])
        along = None if together or rnd.random() < 0.5 else (rnd.random() * 0.3, other)
        return [Crash(name, kind, rnd.randint(1, rnd.choice(POINTS[kind])), along)]

    def _bus_fails(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [BusFails(at_s, rnd.choice(self._everyone), rnd.choice([0.1, 0.4, 1.0]))]

    def _power_loss(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [PowerLoss(at_s)] if rnd.random() < 0.3 else []

    def _duplicates(self, rnd: random.Random, at_s: float) -> list[Fault]:
        topic = rnd.choice([RECORDS, RECORDS, SAMPLES])
        count = self._workload.partitions if topic == RECORDS else self._workload.serving_partitions
        return [DuplicateDelivery(at_s, topic, rnd.randrange(count), rnd.random(), rnd.randint(1, 12))]

    def _pause(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [Pause(at_s, rnd.choice(self._everyone), rnd.choice([0.05, 0.2, 0.5, 3.0]))]

    def _slow(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [Slow(at_s, rnd.choice(self._everyone), rnd.choice([1.0, 3.0, 20.0]))]

    def _clock_jump(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [ClockJump(at_s, rnd.choice(self._workers), rnd.choice([-1.0, -0.05, 0.05, 1.0, 100.0]))]

    def _disk_refuses(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [DiskRefuses(at_s, rnd.choice(self._workers), rnd.randint(1, 3))]

    def _older_state(self, rnd: random.Random, at_s: float) -> list[Fault]:
        return [OlderState(at_s, rnd.choice(self._workers), rnd.choice([1, 1, 2, 5, 1000]))]

    def _twin(self, rnd: random.Random, at_s: float) -> list[Fault]:
        name = rnd.choice(self._twinned)
        end_s = at_s + rnd.choice([0.05, 0.2, 0.5])
        return [TwinBegins(at_s, name, rnd.choice([0, 1, 3, 1000])), TwinEnds(end_s, name, rnd.random() < 0.5)]

    def _checkpoint(self, rnd: random.Random, at_s: float) -> list[Fault]:
        """One is created, and maybe needed a while later."""
        if not self._workload.checkpoints:
            return []
        begun, needed_s, use = CheckpointBegins(at_s), at_s + 0.3 + rnd.random() * self._most_s, rnd.random()
        if use < 0.3:
            return [begun]
        return [
            begun,
            Restored(needed_s) if use < 0.65 else PartitionRestored(needed_s, rnd.choice(self._samplers + self._serving)),
        ]

    _KINDS: ClassVar[dict[str, Callable[["_Drawing", random.Random, float], list[Fault]]]] = {
        "crash": _crash,
        "crash at disk": _crash_at_disk,
        "kill": _kill,
        "coordinator": _coordinator,
        "bus fails": _bus_fails,
        "power loss": _power_loss,
        "duplicates": _duplicates,
        "pause": _pause,
        "slow": _slow,
        "clock jump": _clock_jump,
        "disk refuses": _disk_refuses,
        "older state": _older_state,
        "twin": _twin,
        "checkpoint": _checkpoint,
    }
