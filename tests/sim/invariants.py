"""What must hold in a simulated deployment, whatever goes wrong: at every entry, at every answer, and once all is at rest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dgs.bus.base import RECORDS, Entry
from dgs.codec.entries import BlockPack, RequestPack, decode_entry, encode_records
from dgs.coordinator.barriers import BarrierState
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state import State
from dgs.core.catalog import Catalog
from dgs.core.control import BARRIER, ControlItem
from dgs.core.kernels.replica import PENDING
from dgs.core.layout import Layouts
from dgs.core.operators import InstalledQuery, Operator, OperatorSet
from dgs.core.partition import partition_of
from dgs.core.query import NodeKind, read_query
from dgs.core.records import RecordBatch
from dgs.sampler.worker import SamplerWorker
from dgs.serving.worker import ServingWorker
from dgs.testing.agreement import check_needs
from dgs.testing.bus import Place
from dgs.testing.draws import IDS
from dgs.testing.graph import DIMENSION, SCHEMA, Raw, batch_of, by_partition
from dgs.testing.items import items_of
from dgs.testing.message import expected_of
from dgs.testing.oracle import Expected
from dgs.testing.plain import plain
from dgs.testing.versions import RowVersions
from dgs.wire.samples_pb2 import Samples
from tests.sim.workload import Workload

BEFORE_START = b"before the deployment"
"""An entry that stands in the logs where nobody is to read; whoever does cannot decode it."""


class ViolationError(AssertionError):
    """Something does not hold that must."""


@dataclass
class Served:
    """A serving partition that answers.

    Attributes:
        owner: whether it is the one whose barrier rounds count; a twin is not.
        positions: what its answers reflected when it was looked at last.
        looked_at: how far it was in its log then.
        moment: what its state was at when answers were checked last.
        checked: the seeds whose answers at that moment are right.
    """

    worker: ServingWorker
    owner: bool
    looked_at: int = -1
    positions: list[int] = field(default_factory=list)
    moment: object = None
    checked: set[int] = field(default_factory=set)


class Invariants:
    """Watches one deployment.

    Attributes:
        sent: by the bytes of an entry, the raw records that a loader has put into it.
        acknowledged: entries whose append a loader knows to have succeeded.
        barriers_set: by name and loader, what a loader knows to have set.
        ends: where each log ends.
        ready: per record partition, where the newest barrier stands that has been READY; None before the first.
        answers: how many have been checked.
        digest: of all that has been seen, in order.
    """

    def __init__(self, workload: Workload) -> None:
        operators = OperatorSet()
        for number, document in enumerate(workload.plans):
            operators = operators.install(f"q{number}", read_query(document, SCHEMA), SCHEMA)
        self._partitions = workload.partitions
        self._first_orders = 0 if workload.before is None else len(workload.plans)
        self._queries = operators.queries
        self._owner = {v: partition_of(v, workload.partitions) for v in IDS}
        self._server = {v: partition_of(v, workload.serving_partitions) for v in IDS}
        self._operators = {o.id: o for o in operators.operators}
        self._catalog = Catalog(SCHEMA, Layouts(SCHEMA, [DIMENSION]), operators)
        self.sent: dict[bytes, list[Raw]] = {}
        self.acknowledged: list[tuple[Place, bytes]] = []
        self.barriers_set: set[tuple[str, int]] = set()
        self.answers = 0
        self.digest = hashlib.blake2b(digest_size=16)
        self._begin()

    def _begin(self) -> None:
        self.rows = RowVersions(SCHEMA, self._queries)
        self.ends: dict[Place, int] = {}
        self.ready: list[int] | None = None
        self._items: dict[tuple[str, int, int, int], bytes] = {}
        self._control = [self._first_orders] * self._partitions
        self._barriers: list[dict[int, int]] = [{} for _ in range(self._partitions)]
        self._ready_count = 0

    def go_back(self, journal: dict[Place, list[Entry]], state: State) -> None:
        """All logs and the coordinator's state are those of a checkpoint; what came later never was."""
        standing = {place: {entry.data for entry in entries} for place, entries in journal.items()}
        self.acknowledged = [(place, data) for place, data in self.acknowledged if data in standing[place]]
        self.barriers_set = {
            (name, n) for name, n in self.barriers_set if name in state.barriers and n in state.barriers[name].loaders
        }
        self._begin()
        for place in sorted(journal):
            for entry in journal[place]:
                self.on_entry(place, entry)

    def sent_by_others(self, raws: Sequence[Raw]) -> dict[int, bytes]:
        """Return the entry for each partition by which somebody puts records into the logs; they count as a loader's."""
        entries = {}
        for p, own in by_partition(raws, self._partitions).items():
            entries[p] = encode_records(batch_of(own, Layouts(SCHEMA)))
            self.sent[entries[p]] = own
            self.acknowledged.append(((RECORDS, p), entries[p]))
        return entries

    # Entries ----------------------------------------------------------------------------------------------------------------

    def on_entry(self, place: Place, entry: Entry) -> None:
        """Look at an entry that has just come to stand in a log."""
        topic, partition = place
        self.digest.update(f"{topic}/{partition}/{entry.position}".encode() + entry.data)
        self.ends[place] = entry.next
        if entry.data == BEFORE_START:
            return
        raws = self.sent.get(entry.data)
        if raws is not None:
            self.rows.take(raws, entry.next)
            return
        decoded = decode_entry(entry.data)
        assert not isinstance(decoded, RecordBatch), "records that no loader has sent"
        if isinstance(decoded, ControlItem):
            self._take_control(partition, decoded, entry)
            return
        self._take_items(place, decoded)

    def _take_control(self, partition: int, item: ControlItem, entry: Entry) -> None:
        if item.number == self._control[partition] + 1:
            self._control[partition] = item.number
            if item.kind == BARRIER:
                self._barriers[partition][item.body["id"]] = entry.position

    def _take_items(self, place: Place, decoded: BlockPack | RequestPack) -> None:
        for sender, number, content in items_of(decoded, self._catalog):
            first = self._items.setdefault((*place, sender, number), content)
            if first != content:
                raise ViolationError(f"item {number} from {sender} in {place} was emitted again with other bytes")
        if isinstance(decoded, BlockPack) and decoded.note is not None:
            end = self.ends.get((RECORDS, decoded.sender), 0)
            if decoded.note.position > end:
                raise ViolationError(f"a note of {decoded.sender} says {decoded.note.position}, its log ends at {end}")

    # Barriers ---------------------------------------------------------------------------------------------------------------

    def look_at_barriers(self, coordinator: Coordinator) -> bool:
        """Take note of barriers that have become READY; return whether there are any."""
        ready = sum(view.state is BarrierState.READY for view in coordinator.barriers())
        if ready <= self._ready_count:
            return False
        # Barriers get their ids in the order of the log, and become READY in that order.
        self._ready_count = ready
        missing = [p for p, own in enumerate(self._barriers) if ready not in own]
        if missing:
            raise ViolationError(f"barrier {ready} is READY, and does not stand in record partitions {missing}")
        self.ready = [own[ready] for own in self._barriers]
        return True

    # Answers ----------------------------------------------------------------------------------------------------------------

    def seeds(self, served: Served) -> list[int]:
        """Return the seeds of a serving partition."""
        return [v for v, partition in self._server.items() if partition == served.worker.machine.state.partition]

    def check(self, served: Served, seeds: Sequence[int], *, at_rest: bool = False) -> None:
        """Check the answers of a serving partition to these seeds, unless they were just so when they were checked last."""
        worker = served.worker
        if not worker.caught_up:
            return
        self._check_positions(served)
        moment = worker.position, worker.machine.state.applied, self._ready_count, at_rest
        if moment != served.moment:
            served.moment, served.checked = moment, set()
        seeds = [seed for seed in seeds if seed not in served.checked]
        served.checked.update(seeds)
        for query in worker.queries.queries:
            if not seeds:
                continue
            asked = np.arange(len(seeds), dtype=np.int32)
            message, _ = worker.graph(query, np.array(seeds, np.int64), asked)
            for seed, expected in expected_of(Samples.FromString(bytes(message)), query, SCHEMA).values():
                self.answers += 1
                self.digest.update(repr(sorted(expected.rows.items())).encode())
                _Walk(self, served, query, expected, at_rest).check(seed)

    def _check_positions(self, served: Served) -> None:
        now = [int(position) for position in served.worker.reflected().positions]
        for p, (before, position) in enumerate(zip(served.positions or now, now, strict=True)):
            if position < before:
                raise ViolationError(f"the position of record partition {p} goes back from {before} to {position}")
            if position > self.ends.get((RECORDS, p), 0):
                raise ViolationError(f"answers reflect position {position} of record partition {p}, beyond its end")
        served.positions = now

    # At rest ----------------------------------------------------------------------------------------------------------------

    def check_rest(self, serving: Sequence[Served], samplers: Sequence[SamplerWorker], journal: dict[Place, list[Entry]]) -> None:
        """Check a deployment in which nothing moves any more."""
        standing = {place: {entry.data for entry in entries} for place, entries in journal.items()}
        for place, data in self.acknowledged:
            if data not in standing[place]:
                raise ViolationError(f"an entry that was acknowledged does not stand in {place}")
        for served in serving:
            self.check(served, self.seeds(served), at_rest=True)
            for query in served.worker.queries.queries:
                for seed in self.seeds(served):
                    got = plain(served.worker.ego_graph(query, seed), served.worker.layouts)
                    want = self.rows.oracle.ego_graph(query, seed)
                    if (dict(got.rows), got.vertices) != (dict(want.rows), want.vertices):
                        raise ViolationError(f"query {query.id}, seed {seed}: the answer is {got}, expected {want}")
            check_needs(served.worker.machine.state, [sampler.machine.state for sampler in samplers])

    def check_orders(self, coordinator: Coordinator) -> None:
        """Check that all barriers stand that a loader has set, and are READY if all their loaders have."""
        for name, loader in sorted(self.barriers_set):
            view = coordinator.barrier(name)
            if loader not in view.loaders:
                raise ViolationError(f"barrier {name} was set by loader {loader}, and the coordinator knows nothing of it")
            if len(view.loaders) == view.count and view.state is not BarrierState.READY:
                raise ViolationError(f"barrier {name} is {view.state} at rest")


class _Walk:
    """One answer, looked at row by row as its plan leads from the seed."""

    def __init__(self, invariants: Invariants, served: Served, query: InstalledQuery, expected: Expected, at_rest: bool) -> None:
        self._invariants = invariants
        self._state = served.worker.machine.state
        self._positions = served.positions
        self._ready = invariants.ready if served.owner else None
        self._query = query
        self._expected = expected
        self._at_rest = at_rest

    def check(self, seed: int) -> None:
        """Check all rows. A row is settled while each row above it has named it without a break since the newest READY barrier."""
        plan = self._query.plan
        reached: dict[int, dict[tuple[int, int], bool]] = {plan.source.id: {(plan.seed_type, seed): self._ready is not None}}
        for node in plan.nodes:
            operator = self._invariants._operators[self._query.operator_of[node.id]]
            below = reached.setdefault(node.id, {})
            sources: dict[int, bool] = {}
            for upstream in node.upstreams:
                for (vtype, v), settled in reached[upstream].items():
                    if vtype == node.vtype:
                        sources[v] = sources.get(v, False) or settled
            for v, settled in sources.items():
                if node.kind is NodeKind.VERTEX_SAMPLER:
                    self._row(operator, v, self._expected.vertices[node.vtype, v], settled)
                    continue
                shown = self._expected.rows[node.id].get(v, [])
                stays = self._row(operator, v, shown, settled)
                for slot in shown:
                    end = slot.dst_type, slot.dst
                    below[end] = below.get(end, False) or end in stays

    def _row(self, operator: Operator, vertex: int, shown: Any, settled: bool) -> set[tuple[int, int]]:
        """Check one row; return which destinations it has named without a break since the barrier, if it is settled itself."""
        rows, p = self._invariants.rows, self._invariants._owner[vertex]
        where = f"query {self._query.id}, operator {operator.id}, vertex {vertex}"
        if not shown and self._pending(operator, vertex):
            if self._at_rest or settled:
                raise ViolationError(f"{where}: pending {'at rest' if self._at_rest else 'behind a READY barrier'}")
            return set()
        since = self._ready[p] if self._ready is not None else 0
        if operator.fed and self._invariants._server[vertex] == self._state.partition:
            since = max(since, self._positions[p])
        if self._at_rest:
            since = self._invariants.ends.get((RECORDS, p), 0)
        contents = rows.since(operator.id, vertex, since)
        if shown not in contents:
            ever = "once was" if shown in rows.since(operator.id, vertex, 0) else "never was"
            raise ViolationError(f"{where}: shows what the row {ever}: {shown}; from position {since} of {p} on it was {contents}")
        if not settled or operator.etype is None:
            return set()
        assert self._ready is not None
        since_barrier = rows.since(operator.id, vertex, self._ready[p])
        return set.intersection(*({(slot.dst_type, slot.dst) for slot in row} for row in since_barrier))

    def _pending(self, operator: Operator, vertex: int) -> bool:
        rows = self._state.rows[operator.id]
        at = int(self._state.vertices[operator.vtype].find(np.array([vertex], np.int64))[0])
        return at > 0 and at < len(rows.states) and int(rows.states[at]) == PENDING
