"""Sampler and serving machines on logs that are lists: a world whose every step is chosen by a seeded random generator.

Steps: an entry comes in; a machine applies one entry; a channel sends some of what is waiting, packed as it happens; a sampler cuts
a commit; a commit whose emissions were sent becomes durable; a serving machine begins a snapshot, which is written piece by piece
between other steps, and counts once what was emitted is sent; a machine crashes, and goes on from what is durable; an append fails
while a later one goes out. What is written goes through the codec. At the end everything is compared with the oracle.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dgs.codec.entries import (
    BlockPack,
    Note,
    RequestPack,
    decode_entry,
    encode_blocks,
    encode_control,
    encode_records,
    encode_requests,
)
from dgs.core.blocks import Blocks
from dgs.core.control import BARRIER, DIMENSION, INSTALL, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.layout import Layouts
from dgs.core.operators import OperatorSet
from dgs.core.partition import partition_of
from dgs.core.query import read_query
from dgs.core.types import Int32s, PartitionIndex, Position
from dgs.sampler.machine import SamplerMachine
from dgs.serving.lookup import Lookup
from dgs.serving.machine import ServingMachine
from dgs.store.base import Batch
from dgs.store.memory import MemoryStore
from dgs.testing import graph
from dgs.testing.agreement import check_needs
from dgs.testing.graph import Raw
from dgs.testing.message import expected_of
from dgs.testing.oracle import Expected, Oracle
from dgs.testing.plain import plain
from dgs.wire.samples_pb2 import Samples
from tests.machines.snapshots import Snapshots

SEEDS = range(-3, 5)
FAILURES_MOST, CRASHES_MOST = 4, 8
"""A history; with no end to crashes a machine that replays its log might never get to its end."""


@dataclass
class Sampler:
    """A sampler machine with its durable store and what it has not sent yet."""

    machine: SamplerMachine
    store: MemoryStore
    waiting: list[deque[tuple[int, Blocks, Note]]]
    sent: list[int]
    cut: tuple[list[int], Batch] | None = None


@dataclass
class Serving:
    """A serving machine and what it has not sent yet."""

    machine: ServingMachine
    waiting: list[deque[tuple[int, Any]]]
    position: int = 0
    rounds: dict[int, int] = field(default_factory=dict)


class World:
    """A deployment in memory."""

    def __init__(self, rnd: random.Random, plan: dict[str, Any], partitions: int, serving_partitions: int, idle_items: int) -> None:
        self.random = rnd
        self.deployment = Deployment("log", 1, partitions, serving_partitions, graph.SCHEMA, idle_items)
        self.records: list[list[bytes]] = [[] for _ in range(partitions)]
        self.samples: list[list[bytes]] = [[] for _ in range(serving_partitions)]
        self.raws: list[list[tuple[int, Raw]]] = [[] for _ in range(partitions)]
        self.once: dict[Any, bytes] = {}
        self.crashes = self.failures = 0
        self.counts: int | None = None  # whose snapshot began to count in the last step
        self.barriers: dict[int, tuple[int, int]] = {}
        self.controls = 0
        self.samplers = [self._sampler(p, MemoryStore()) for p in range(partitions)]
        self.snapshots = [Snapshots(self.deployment, PartitionIndex(s)) for s in range(serving_partitions)]
        self.servings = [self._serving(s) for s in range(serving_partitions)]
        self.layouts = Layouts(graph.SCHEMA)
        self.control(INSTALL, {"id": 0, "name": "q", "plan": plan})
        operators = OperatorSet().install("q", read_query(plan, graph.SCHEMA), graph.SCHEMA)
        self.query, self.rounds = operators.queries[0], operators.rounds()

    def _sampler(self, p: int, store: MemoryStore) -> Sampler:
        machine = SamplerMachine(self.deployment, PartitionIndex(p), store)
        channels = self.deployment.serving_partitions
        return Sampler(machine, store, [deque() for _ in range(channels)], list(machine.state.sent))

    def _serving(self, s: int) -> Serving:
        machine, position, rounds = self.snapshots[s].start()
        return Serving(machine, [deque() for _ in range(self.deployment.partitions)], position, rounds)

    # Input ------------------------------------------------------------------------------------------------------------------

    def control(self, kind: str, body: dict[str, Any]) -> None:
        """Write a control item into every record partition, sometimes twice."""
        self.controls += 1
        for log in self.records:
            for _ in range(self.random.choice([1, 1, 2])):
                log.append(encode_control(ControlItem(self.controls, kind, body)))

    def barrier(self, number: int, rounds: int) -> None:
        """Write a barrier into every record partition."""
        self.control(BARRIER, {"id": number, "rounds": rounds})
        self.barriers[number] = rounds, self._loaded()

    def _loaded(self) -> int:
        return sum(map(len, self.raws))

    def load(self, raws: Sequence[Raw]) -> None:
        """Write records, one entry a partition; the dimension of a list is confirmed when one needs it."""
        d = graph.DIMENSION
        if not self.layouts.dims and any(raw.attributes().get("vec") for raw in raws):
            self.layouts = self.layouts.confirmed(d)
            self.control(DIMENSION, {"kind": d.kind, "type": d.type, "attribute": d.attribute, "dim": d.dim})
        for p, own in graph.by_partition(raws, self.deployment.partitions).items():
            self.records[p].append(encode_records(graph.batch_of(own, self.layouts)))
            self.raws[p] += [(len(self.records[p]), raw) for raw in own]

    # Steps ------------------------------------------------------------------------------------------------------------------

    def steps(self, crashes: bool) -> list[tuple[Callable[..., None], Any]]:
        """Return what can happen next."""
        counts, self.counts = self.counts, None
        found: list[tuple[Callable[..., None], Any]] = []
        for p, sampler in enumerate(self.samplers):
            state = sampler.machine.state
            if state.position < len(self.records[p]):
                found.append((self.step_sampler, p))
            found += [(self.send_blocks, (p, s)) for s, queue in enumerate(sampler.waiting) if queue]
            if sampler.cut is None and state.position > (sampler.store.committed() or (0,))[0]:
                found.append((self.cut, p))
            if sampler.cut is not None and all(a >= b for a, b in zip(sampler.sent, sampler.cut[0], strict=True)):
                found.append((self.commit, p))
        for s, serving in enumerate(self.servings):
            if serving.position < len(self.samples[s]):
                found.append((self.step_serving, s))
            found += [(self.send_requests, (s, p)) for p, queue in enumerate(serving.waiting) if queue]
            if self.snapshots[s].may_begin(serving.position):
                found.append((self.begin_snapshot, s))
            if self.snapshots[s].may_write([queue[0][0] if queue else None for queue in serving.waiting]):
                found.append((self.write_snapshot, s))
        if crashes and counts is not None and self.crashes < CRASHES_MOST and self.random.random() < 0.2:
            self.crashes += 1  # where one that counts too early has not had the time to become true
            return [(self.crash_serving, counts)]
        if crashes and found and self.crashes < CRASHES_MOST and self.random.random() < 0.05:
            self.crashes += 1
            if self.random.random() < 0.5:
                return [(self.crash_sampler, self.random.randrange(len(self.samplers)))]
            return [(self.crash_serving, self.random.randrange(len(self.servings)))]
        return found

    def step_sampler(self, p: int) -> None:
        """Apply one entry."""
        sampler = self.samplers[p]
        machine = sampler.machine
        entry = decode_entry(self.records[p][machine.state.position])
        position = Position(machine.state.position + 1)
        emissions = machine.apply(entry, position)
        for emission in emissions:
            self._same_again(("sampler", p, emission.destination), emission.first, emission.blocks)
        heard = {e.destination for e in emissions}
        for s in range(self.deployment.serving_partitions):
            note = Note(position, machine.state.sent[s], machine.state.watermark)
            for e in emissions:
                if e.destination == s:
                    sampler.waiting[s].append((e.first, e.blocks, note))
            if s not in heard and self.random.random() < 0.3:
                sampler.waiting[s].append((machine.state.sent[s] + 1, Blocks.concat([]), note))

    def _same_again(self, channel: Any, first: int, blocks: Blocks) -> None:
        """An item that is emitted again after a crash has the same bytes."""
        for i in range(len(blocks)):
            one = blocks.take(np.array([i]))
            data = one.heads.tobytes() + one.additions.tobytes() + one.removals.tobytes() + one.payload.tobytes()
            data += b"\0".join(one.strings)
            assert self.once.setdefault((channel, first + i), data) == data

    def send_blocks(self, channel: tuple[int, int]) -> None:
        """Send some of what waits on a channel as one entry."""
        p, s = channel
        queue = self.samplers[p].waiting[s]
        if self._append_fails(queue):  # the next one is written, but not this one; both are sent again, in order
            first, blocks, note = queue[1]
            self.samples[s].append(encode_blocks(BlockPack(1, p, first, blocks, note)))
            return
        first, blocks, note = queue.popleft()
        while queue and not blocks.strings and not queue[0][1].strings and self.random.random() < 0.5:
            _, more, note = queue.popleft()
            blocks = Blocks.concat([blocks, more])
        self.samplers[p].sent[s] = max(self.samplers[p].sent[s], first + len(blocks) - 1)
        self.samples[s].append(encode_blocks(BlockPack(1, p, first, blocks, note)))

    def _append_fails(self, queue: Sequence[object]) -> bool:
        if len(queue) < 2 or self.failures >= FAILURES_MOST or self.random.random() > 0.05:
            return False
        self.failures += 1
        return True

    def cut(self, p: int) -> None:
        """Begin a commit."""
        sampler = self.samplers[p]
        sampler.cut = list(sampler.machine.state.sent), sampler.machine.cut()

    def commit(self, p: int) -> None:
        """Finish a commit whose emissions are in the logs."""
        sampler = self.samplers[p]
        assert sampler.cut is not None
        sampler.store.write(sampler.cut[1])
        sampler.machine.committed()
        sampler.cut = None

    def crash_sampler(self, p: int) -> None:
        """Lose all but the store."""
        self.samplers[p] = self._sampler(p, self.samplers[p].store)

    def crash_serving(self, s: int) -> None:
        """Lose all but the snapshot that is durable; the log is replayed from there."""
        self.servings[s] = self._serving(s)

    def begin_snapshot(self, s: int) -> None:
        """Make the cut of a snapshot."""
        serving = self.servings[s]
        self.snapshots[s].begin(serving.machine, serving.position, serving.rounds)

    def write_snapshot(self, s: int) -> None:
        """Write some pieces of a snapshot, or let it count."""
        if self.snapshots[s].write(self.random.choice([1, 3, 1000])):
            self.counts = s

    def step_serving(self, s: int) -> None:
        """Apply an entry, or several at a time."""
        serving = self.servings[s]
        count = self.random.choice([1, 1, 2, 8])
        entries = [decode_entry(data) for data in self.samples[s][serving.position : serving.position + count]]
        serving.position += len(entries)
        effects = serving.machine.apply(entries)
        for emission in effects.emissions:
            for i in range(len(emission.requests)):
                data = emission.requests[i].tobytes()
                assert self.once.setdefault((("serving", s, emission.destination), emission.first + i), data) == data
            serving.waiting[emission.destination].append((emission.first, emission.requests))
        for done in effects.rounds_done:
            serving.rounds[done.barrier] = done.round
            if (done.round, self._loaded()) == self.barriers[done.barrier]:  # nothing followed it: the answers are final here
                self.check_answers([v for v in SEEDS if partition_of(v, self.deployment.serving_partitions) == s])
        state = serving.machine.state
        for entry in entries:
            assert isinstance(entry, BlockPack)
            if entry.note and state.positions[entry.sender] == entry.note.position:
                self._check_reflected(s, entry.sender, entry.note.position)

    def send_requests(self, channel: tuple[int, int]) -> None:
        """Send some of what waits on a channel as one entry."""
        s, p = channel
        queue = self.servings[s].waiting[p]
        if self._append_fails(queue):
            self.records[p].append(encode_requests(RequestPack(1, s, *queue[1])))
            return
        first, requests = queue.popleft()
        while queue and self.random.random() < 0.5:
            requests = np.concatenate([requests, queue.popleft()[1]])
        self.records[p].append(encode_requests(RequestPack(1, s, first, requests)))

    def run(self, *, crashes: bool = False) -> None:
        """Take steps until nothing is left to do."""
        while steps := self.steps(crashes):
            step, argument = self.random.choice(steps)
            step(argument)

    # Checks -----------------------------------------------------------------------------------------------------------------

    def oracle(self) -> Oracle:
        """Return an oracle over everything loaded."""
        oracle = Oracle(graph.SCHEMA)
        for own in self.raws:
            for _, raw in own:
                raw.tell(oracle)
        return oracle

    def answer(self, seed: int) -> Expected:
        """Return a seed's ego-graph as plain values."""
        machine = self.servings[partition_of(seed, self.deployment.serving_partitions)].machine
        query = machine.state.catalog.operators.query(0)
        assert query is not None
        return plain(Lookup(machine.state).ego_graph(query, seed), machine.state.catalog.layouts)

    def check_answers(self, seeds: Sequence[int], oracle: Oracle | None = None) -> None:
        """Every seed's answer is the oracle's."""
        oracle = oracle or self.oracle()
        for seed in seeds:
            got, want = self.answer(seed), oracle.ego_graph(self.query, seed)
            assert dict(got.rows) == dict(want.rows), f"rows of seed {seed}: {dict(got.rows)}, expected {dict(want.rows)}"
            assert got.vertices == want.vertices, f"vertices of seed {seed}"
        self._check_messages(seeds, oracle)

    def _check_messages(self, seeds: Sequence[int], oracle: Oracle) -> None:
        """The binary answers to all seeds at once say the same."""
        schema, count = graph.SCHEMA, self.deployment.serving_partitions
        for s, serving in enumerate(self.servings):
            own = [seed for seed in [*seeds, *seeds[:2]] if partition_of(seed, count) == s]  # some are asked for twice
            if not own:
                continue
            state = serving.machine.state
            query = state.catalog.operators.query(0)
            assert query is not None
            asked: Int32s = np.arange(len(own), dtype=np.int32)
            message, _ = Lookup(state).graph(query, np.array(own, np.int64), asked)
            answers = expected_of(Samples.FromString(bytes(message)), query, schema)
            assert sorted(answers) == list(range(len(own)))
            for place, seed in enumerate(own):
                got, want = answers[place], oracle.ego_graph(self.query, seed)
                assert got[0] == seed
                assert {n: r for n, r in got[1].rows.items() if r} == {n: r for n, r in want.rows.items() if r}
                assert got[1].vertices == want.vertices, f"vertices of seed {seed} in a message"

    def check_quiet(self) -> None:
        """Needs equal a recount, subscriptions on both sides agree, nothing waits."""
        for serving in self.servings:
            assert serving.machine.state.rows_pending == 0
            check_needs(serving.machine.state, [sampler.machine.state for sampler in self.samplers])

    def _check_reflected(self, s: int, p: int, position: int) -> None:
        """At this moment, rows that are fed show every record of partition p before the position."""
        oracle = Oracle(graph.SCHEMA)
        for at, raw in self.raws[p]:
            if at <= position:
                raw.tell(oracle)
        machine = self.servings[s].machine
        query = machine.state.catalog.operators.query(0)
        if query is None:
            return
        source = query.plan.source.id
        vertices = {raw.owner for _, raw in self.raws[p]}
        for v in vertices:
            if partition_of(v, self.deployment.serving_partitions) != s:
                continue
            got = plain(Lookup(machine.state).ego_graph(query, v), machine.state.catalog.layouts)
            for node in query.plan.nodes:
                if source in node.upstreams and node.etype is not None:
                    row, want = got.rows[node.id].get(v, []), oracle.row(node, v)
                    assert row == want, f"position {position} of {p} is not reflected at {v}: {row}, expected {want}"
