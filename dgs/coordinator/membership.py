"""Who runs which partition and how it fares, as the members of the deployment tell: see `dgs.membership`.

It is kept in memory only. After a restart members have told everything again within seconds; until they have, a partition counts
as one that nobody runs, and `dgs.coordinator.truncation` waits for so long.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dgs.core.deployment import Deployment
from dgs.core.egograph import Reflected
from dgs.core.errors import ConflictError, InputError
from dgs.membership.heartbeat import Heartbeat, SamplerReport, ServingReport, StandingReport
from dgs.store.manifest import SAMPLER, SERVING
from dgs.telemetry.figures import ServingFigures
from dgs.telemetry.freshness import FreshnessSummary

STALE_AFTER_S = 6.0
"""A member that has said nothing for so long is shown as down."""
FORGOTTEN_AFTER_S = 3600.0
"""One that has said nothing for so long is not shown, and no log is kept for it."""


class SamplerSeen(NamedTuple):
    """A copy of a sampler partition.

    Attributes:
        report: the last one.
        member: the heartbeat that it came with.
        age_s: how long ago.
        records_per_second: applied, between the last two reports.
    """

    report: SamplerReport
    member: Heartbeat
    age_s: float
    records_per_second: float

    @property
    def up(self) -> bool:
        """Whether it has reported lately, and runs on."""
        return self.age_s < STALE_AFTER_S and not self.member.leaving


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """A member.

    Attributes:
        heartbeat: its last.
        age_s: how long ago.
    """

    heartbeat: Heartbeat
    age_s: float

    @property
    def up(self) -> bool:
        """Whether it has been heard lately, and runs on."""
        return self.age_s < STALE_AFTER_S and not self.heartbeat.leaving


class _Member(NamedTuple):
    """A member, and by partition what its log is needed from, of its partitions that do not run at present, too."""

    heartbeat: Heartbeat
    heard_at: float
    rates: dict[int, float]
    records_needed: dict[int, int]
    samples_needed: dict[int, int | None]


class Membership:
    """The members of one deployment.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, deployment: Deployment, *, clock: Callable[[], float]) -> None:
        self._deployment = deployment
        self._clock = clock
        self._members: dict[str, _Member] = {}

    def hear(self, heartbeat: Heartbeat) -> None:
        """Take a heartbeat.

        Raises:
            ConflictError: the member belongs to another deployment.
            InputError: it has partitions that there are not.
        """
        d = self._deployment
        if heartbeat.log_id != d.log_id:
            raise ConflictError(
                f"{heartbeat.member} belongs to the deployment {heartbeat.log_id}, this coordinator to {d.log_id}: give it this"
                " one's address, or an empty --data-dir"
            )
        wrong = [f"there is no sampler partition {r.partition}" for r in heartbeat.samplers if r.partition >= d.partitions]
        wrong += [f"there is no serving partition {r.partition}" for r in heartbeat.serving if r.partition >= d.serving_partitions]
        lengths = {len(r.positions) for r in heartbeat.serving} | {len(r.received) for r in heartbeat.serving if r.received}
        if lengths - {d.partitions}:
            wrong.append(f"there are {d.partitions} record partitions, and serving partitions tell of {sorted(lengths)}")
        if wrong:
            raise InputError(wrong)
        # A directory that was copied to another host has a member of the same name there.
        name = f"{heartbeat.member}/{heartbeat.host}"
        now, before = self._clock(), self._members.get(name)
        rates = {r.partition: _rate(r, before, now) for r in heartbeat.samplers}
        records = {} if before is None else dict(before.records_needed)
        samples = {} if before is None else dict(before.samples_needed)
        records |= {r.partition: r.figures.committed for r in heartbeat.samplers}
        samples |= {r.partition: r.needed for r in heartbeat.serving}
        self._members[name] = _Member(heartbeat, now, rates, records, samples)
        for old in [n for n, m in self._members.items() if now - m.heard_at > FORGOTTEN_AFTER_S]:
            del self._members[old]

    def members(self) -> list[MemberSeen]:
        """Return all members, by name."""
        now = self._clock()
        return [MemberSeen(m.heartbeat, now - m.heard_at) for _, m in sorted(self._members.items())]

    def samplers(self, partition: int) -> list[SamplerSeen]:
        """Return the copies of a sampler partition: first those that write, then stand-bys, at last those that are down."""
        now = self._clock()
        copies = [
            SamplerSeen(report, m.heartbeat, now - m.heard_at, m.rates[partition])
            for m in self._members.values()
            for report in m.heartbeat.samplers
            if report.partition == partition
        ]
        return sorted(copies, key=lambda c: (not c.up, c.report.stands_by, -c.report.figures.position))

    def serving(self, partition: int) -> "ServingCopies":
        """Return all copies of a serving partition as one; what they tell is that of the moment when it is asked for."""
        return ServingCopies(self, partition)

    def reports(self, partition: int, *, up: bool) -> list[tuple[MemberSeen, ServingReport]]:
        """Return what copies of a serving partition have reported, those that are behind last: all copies, or those that are up."""
        found = [
            (member, report)
            for member in self.members()
            if member.up or not up
            for report in member.heartbeat.serving
            if report.partition == partition
        ]
        return sorted(found, key=lambda f: (not f[0].up, not f[1].answers, not f[1].caught_up, -f[1].figures.position))

    def owners(self) -> dict[int, Sequence[str]]:
        """Return by serving partition where members that are up answer for it: those that have caught up, if there are any."""
        return {s: self._owners(s) for s in range(self._deployment.serving_partitions)}

    def _owners(self, partition: int) -> list[str]:
        asked = [(m.heartbeat.url, r.caught_up) for m, r in self.reports(partition, up=True) if r.answers and m.heartbeat.url]
        return [url for url, caught_up in asked if caught_up] or [url for url, _ in asked]

    def records_needed(self, partition: int) -> int | None:
        """Return from where on sampler partitions need their log; None while nobody has told."""
        return min((m.records_needed[partition] for m in self._members.values() if partition in m.records_needed), default=None)

    def samples_needed(self, partition: int) -> int | None:
        """Return from where on serving partitions need their log; None for all of it, or while nobody has told."""
        return _least(m.samples_needed[partition] for m in self._members.values() if partition in m.samples_needed)

    def standing(self, sampler: int, serving: int) -> StandingReport | None:
        """Return what a serving partition's log holds of a sampler partition's channel, as far as any copy has read it."""
        # One that has just started and has not restored its state yet knows nothing.
        reports = [r for _, r in self.reports(serving, up=False) if r.received and (r.answers or r.figures.position)]
        best = max(reports, key=lambda r: r.figures.position, default=None)
        return None if best is None else StandingReport(best.figures.position, best.received[sampler], best.positions[sampler])

    def dead_letters(self) -> int | None:
        """Return how many entries were passed over, as far as is known; None where a member cannot tell.

        Copies of a partition pass over the same ones.
        """
        counts: dict[tuple[str, int], list[int | None]] = {}
        for member in self._members.values():
            for sampler in member.heartbeat.samplers:
                counts.setdefault((SAMPLER, sampler.partition), []).append(sampler.dead_letters)
            for serving in member.heartbeat.serving:
                counts.setdefault((SERVING, serving.partition), []).append(serving.dead_letters)
        told = [[n for n in copies if n is not None] for copies in counts.values()]
        return sum(map(max, told)) if all(told) else None

    def freshness(self) -> FreshnessSummary | None:
        """Return the quantiles of the last minute, of the slowest member that is up; None if none has measured any."""
        told = [m.heartbeat.freshness for m in self.members() if m.up and m.heartbeat.freshness is not None]
        if not told:
            return None
        return FreshnessSummary(max(f.p50 for f in told), max(f.p99 for f in told), sum(f.samples for f in told))

    def troubles(self) -> list[str]:
        """Return what storage refuses to members that are up, each of it once."""
        return list(dict.fromkeys(text for m in self.members() if m.up for text in m.heartbeat.troubles))


class ServingCopies:
    """The copies of a serving partition that are up and may be asked, as one: it is as far as the one that is least far."""

    def __init__(self, membership: Membership, partition: int) -> None:
        self._membership = membership
        self._partition = partition

    @property
    def answers(self) -> bool:
        """Whether one may be asked."""
        return bool(self._asked())

    @property
    def caught_up(self) -> bool:
        """Whether there are any, and all have applied what stood in their log when they started."""
        asked = self._asked()
        return bool(asked) and all(r.caught_up for r in asked)

    @property
    def behind_bytes(self) -> int:
        """How much of that they have not applied yet."""
        return max((r.behind_bytes for r in self._asked()), default=0)

    @property
    def barrier(self) -> int:
        """The newest barrier that all of them have passed; 0 before the first, or while there are none."""
        return min((r.barrier for r in self._asked()), default=0)

    def reflected(self) -> Reflected:
        """Return what all answers reflect; of copies that are down, what was known last."""
        known = self._asked() or self._known()
        positions = [min(column) for column in zip(*(r.positions for r in known), strict=True)]
        watermarks = [r.watermark for r in known if r.watermark is not None]
        return Reflected(positions or self._membership._deployment.begins, min(watermarks, default=None))

    def figures(self) -> ServingFigures:
        """Return the figures of the one that is furthest, or was."""
        known = self._known()
        return known[0].figures if known else ServingFigures(0)

    def _asked(self) -> list[ServingReport]:
        return [r for _, r in self._membership.reports(self._partition, up=True) if r.answers]

    def _known(self) -> list[ServingReport]:
        return [r for _, r in self._membership.reports(self._partition, up=False)]


def _rate(report: SamplerReport, before: _Member | None, now: float) -> float:
    last = () if before is None else before.heartbeat.samplers
    for r in last:
        if before is not None and r.partition == report.partition:
            # A partition that fell back to its last commit counts from 0 again.
            applied = max(0, report.figures.records_applied - r.figures.records_applied)
            return round(applied / max(now - before.heard_at, 1e-3), 1)
    return 0.0


def _least(positions: Iterable[int | None]) -> int | None:
    known = list(positions)
    return min((p for p in known if p is not None), default=None) if None not in known else None
