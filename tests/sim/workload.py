"""What users do to a simulated deployment: its shape, the queries, and the lists of what each loader sends, all drawn up front."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dgs.testing.draws import IDS, edge, plan, record, vertex
from dgs.testing.graph import JOINS, Raw, Vertex

LOADERS_MOST, RECORDS_MOST = 3, 10


@dataclass(frozen=True, slots=True)
class Load:
    """A loader appends records, after a pause; it goes on when they are acknowledged."""

    loader: int
    raws: tuple[Raw, ...]
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SetBarrier:
    """A loader sets a barrier; the last of `count` loaders completes it. It may wait until that is READY before it goes on."""

    loader: int
    name: str
    count: int
    wait: bool


Step = Load | SetBarrier


@dataclass(frozen=True, slots=True)
class Workload:
    """A deployment and what is done to it.

    Attributes:
        together: coordinator and serving partitions are one process, as in `dgs up`; else each is one of its own.
        synced: `fsync: batch`; else `never`.
        pack_bytes: an entry of blocks is no larger, unless one block is.
        piece_bytes: as much is applied at a time: part of an entry, or several.
        gather_s: so long a serving partition lets entries gather.
        standby: a twin of a sampler is a stand-by; else it writes as the first does.
        checkpoints: whether it can make some.
        before: records that stand in the logs where the deployment begins, behind others that it is not to read; None where it
            begins with empty logs.
        steps: of all loaders; each takes its own in this order.
    """

    partitions: int
    serving_partitions: int
    idle_items: int
    together: bool
    synced: bool
    pack_bytes: int
    piece_bytes: int
    gather_s: float
    commit_interval_s: float
    snapshot_interval_s: float
    standby: bool
    checkpoints: bool
    plans: tuple[dict[str, Any], ...] = field(repr=False)
    steps: tuple[Step, ...]
    before: tuple[Raw, ...] | None = None

    @property
    def loaders(self) -> list[int]:
        """The loaders that have something to do."""
        return sorted({step.loader for step in self.steps})


def draw(
    rnd: random.Random,
    *,
    loads: Sequence[int] = (6, 30, 50),
    pauses: Sequence[Sequence[float]] = ((0.0,), (0.0, 0.0, 0.03), (0.0, 0.01)),
    sources: Sequence[int] = (1, 2, 3, len(IDS)),
    barriers: Sequence[int] = (0, 1, 2, 4),
    **shape: Any,
) -> Workload:
    """Return any workload.

    Args:
        rnd: draws, from all that follow one each.
        loads: of all loaders together, at most.
        pauses: that loaders make, in seconds.
        sources: how many vertices have edges, mostly.
        barriers: how many.
        shape: what is not left to chance: fields of a workload.
    """
    plans = tuple(_deep_plan(rnd, number) for number in range(rnd.choice([1, 1, 1, 2])))
    loaders = rnd.choice([1, 1, 2, LOADERS_MOST])
    source = _Records(rnd, plans, sources)
    most, own_pauses = rnd.choice(loads), rnd.choice(pauses)
    steps: list[Step] = [source.load(rnd.randrange(loaders), rnd.choice(own_pauses)) for _ in range(rnd.randint(most // 2, most))]
    for number in range(rnd.choice(barriers)):
        at = rnd.randrange(len(steps) + 1)
        count = rnd.choice([1, loaders])
        for loader in rnd.sample(range(loaders), count):
            steps.insert(rnd.randint(at, len(steps)), SetBarrier(loader, f"b{number}", count, rnd.random() < 0.3))
    drawn = Workload(
        partitions=rnd.choice([1, 1, 2, 2, 3]),
        serving_partitions=rnd.choice([1, 1, 2, 2, 3]),
        idle_items=rnd.choice([1, 1, 2, 4, 20]),
        together=rnd.random() < 0.4,
        synced=rnd.random() < 0.5,
        pack_bytes=rnd.choice([150, 1500]),
        piece_bytes=rnd.choice([300, 1000, 10_000]),
        gather_s=rnd.choice([0.0, 0.0, 0.01]),
        commit_interval_s=rnd.choice([0.005, 0.03, 0.1, 0.5]),
        snapshot_interval_s=rnd.choice([0.0, 0.08, 0.25]),
        standby=rnd.random() < 0.5,
        checkpoints=False,
        plans=plans,
        steps=tuple(steps),
    )
    drawn = replace(drawn, checkpoints=drawn.together and rnd.random() < 0.7)
    return replace(drawn, **shape)


def begun_late(workload: Workload, rnd: random.Random) -> Workload:
    """Return the workload with some of its first records in the logs before the deployment; they are loaded again later."""
    raws = [raw for step in workload.steps if isinstance(step, Load) for raw in step.raws if not raw.attributes().get("vec")]
    return replace(workload, before=tuple(raws[: rnd.choice([0, 5, 20])]))


def _deep_plan(rnd: random.Random, query_id: int) -> dict[str, Any]:
    """Return a plan in which a node hangs under an edge node, mostly."""
    while True:
        document = plan(rnd, query_id)
        links = [len(node["links"]) for node in document["query_plan"]["plan_nodes"][1:]]
        if any(links) or rnd.random() < 0.1:
            return document


class _Records:
    """Records that mostly are of types that plans sample, and about few sources, so that rows change all the time.

    Time goes on, and some are late.
    """

    def __init__(self, rnd: random.Random, plans: Sequence[dict[str, Any]], sources: Sequence[int]) -> None:
        self._random = rnd
        self._kept: list[Raw] = []
        self._joins: list[tuple[int, int, int]] = []
        self._vtypes: list[int] = []
        for node in (n for document in plans for n in document["query_plan"]["plan_nodes"][1:]):
            params = {p["key"]: p["value"] for p in node["params"]}
            if "etype" not in params:
                self._vtypes.append(params["vtype"])
                continue
            weight = 4 if node["links"] else 1  # what other rows hang on
            self._joins += weight * [join for join in JOINS if join[:2] == (params["etype"], params["vtype"])]
        self._sources = rnd.sample(IDS, rnd.choice(sources))

    def load(self, loader: int, pause_s: float) -> Load:
        """Return a batch of new records and of earlier ones, some of them with another weight or other attributes."""
        rnd, raws = self._random, []
        for _ in range(rnd.randint(1, RECORDS_MOST)):
            raw = _again(rnd, rnd.choice(self._kept)) if self._kept and rnd.random() < 0.2 else self._new()
            self._kept.append(raw)
            raws.append(raw)
        return Load(loader, tuple(raws), pause_s)

    def _new(self) -> Raw:
        rnd = self._random
        if rnd.random() < 0.1:
            return record(rnd)
        now = len(self._kept) // 4
        times = range(now - 4, now + 2)
        if self._vtypes and rnd.random() < 0.2:
            return vertex(rnd, rnd.choice(self._vtypes), IDS, times)
        return edge(rnd, rnd.choice(self._joins), self._sources, times)


def _again(rnd: random.Random, raw: Raw) -> Raw:
    """Return a record of the same vertex or edge with other content; of the vertex it may be an older one."""
    if isinstance(raw, Vertex):
        return Vertex(raw.vtype, raw.id, raw.timestamp - rnd.randint(0, 1), rnd.randint(0, 5))
    return replace(raw, weight=edge(rnd, JOINS[0]).weight)
