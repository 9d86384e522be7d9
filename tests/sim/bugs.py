"""Faults of the program, planted one at a time to prove that the simulator can fail: each takes a rule of the protocol away.

They change the production classes while a block lasts, and nothing else; `BUGS` names them.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np

from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.bus.outbox import Outbox
from dgs.codec.entries import BlockPack, LogEntry, RequestPack, encode_blocks
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state import State
from dgs.coordinator.truncation import Truncation
from dgs.core.blocks import DELTA, WHOLE, Blocks
from dgs.core.deployment import Deployment
from dgs.core.kernels.replica import PENDING, SUBSCRIBED
from dgs.core.operators import OperatorSet
from dgs.core.partition import mix_array
from dgs.core.requests import UNSUBSCRIBE
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.history import History
from dgs.sampler.machine import Changed, Emission, SamplerMachine
from dgs.sampler.standby import StandbyOutbox
from dgs.sampler.worker import SamplerWorker
from dgs.serving import needs
from dgs.serving.effects import Effects
from dgs.serving.image import RowsImage
from dgs.serving.machine import ServingMachine
from dgs.serving.run import Run
from dgs.serving.worker import ServingWorker
from tests.sim.history import Script, script

Plant = Callable[[], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Bug:
    """A planted fault of the program.

    Attributes:
        plant: puts it in and takes it out again.
        kinds, victims: of the faults of the world that bring it to light; any where there are none.
        shape: of workloads that do.
    """

    plant: Plant
    kinds: Sequence[str] = ()
    victims: Sequence[str] = ()
    shape: Mapping[str, Any] = field(default_factory=dict)

    def script(self, seed: int) -> Script:
        """Draw a history in which it may show."""
        return script(seed, self.kinds, self.victims, **self.shape)


def _believes(machine: type, method: str, received: Callable[[int, Any], int]) -> Plant:
    """Have a machine believe that it has received something else than it has, before a method looks at a pack with items."""
    original = getattr(machine, method)

    def planted(self: Any, pack: RequestPack | BlockPack) -> Any:
        if not len(pack.requests if isinstance(pack, RequestPack) else pack.blocks):
            return original(self, pack)
        had = self.state.received[pack.sender]
        self.state.received[pack.sender] = received(had, pack)
        found = original(self, pack)
        self.state.received[pack.sender] = max(had, self.state.received[pack.sender])
        return found

    return _patched(machine, method, planted)


def _sampler_reads(received: Callable[[int, RequestPack], int]) -> Plant:
    """Have a sampler believe it of a pack of requests."""
    return _believes(SamplerMachine, "_requests", received)


def _serving_reads(received: Callable[[int, BlockPack], int]) -> Plant:
    """Have a serving partition believe it of a pack of blocks."""
    return _believes(ServingMachine, "_next_items", received)


def _patched(owner: Any, name: str, value: Any) -> Plant:
    def planted() -> Iterator[None]:
        with patch.object(owner, name, value):
            yield

    return planted


# Channels -------------------------------------------------------------------------------------------------------------------


async def _only_the_first_again(self: Outbox, destination: int, entries: list[bytes]) -> None:
    bus: Bus = self._bus
    try:
        await bus.append(self._topic, PartitionIndex(destination), entries)
    except OSError:
        await _append(self, destination, entries[:1])


async def _settled_samples_at_once(self: Outbox, numbers: Sequence[int]) -> None:
    if self._topic != SAMPLES:
        await _settled(self, numbers)


async def _settled_requests_at_once(self: Outbox, numbers: Sequence[int]) -> None:
    if self._topic != RECORDS:
        await _settled(self, numbers)


_append, _settled = Outbox._append, Outbox.settled


# Samplers -------------------------------------------------------------------------------------------------------------------


def _feed_subscribers_only(self: SamplerMachine, changes: list[Changed]) -> list[Emission]:
    named = {child for rows in self.state.rows.values() for child in rows.operator.children}
    operators = {c.rows.operator.id: c.rows.operator for c in changes}
    for c in changes:
        if c.rows.operator.id in named:
            c.rows.operator = replace(c.rows.operator, fed=False)
    try:
        return _route(self, changes)
    finally:
        for c in changes:
            c.rows.operator = operators[c.rows.operator.id]


def _emit_in_table_order(self: SamplerMachine, changes: list[Changed]) -> list[Emission]:
    """Emit in the order of a hash table that is another one in every life."""
    life = self.__dict__.setdefault("life", next(_lives))
    orders = [np.argsort(mix_array(c.vertices.astype(np.int64) + life)) for c in changes]
    return _route(self, [Changed(c.rows, c.vertices[o], c.blocks.take(o)) for c, o in zip(changes, orders, strict=True)])


_route = SamplerMachine._route
_lives = itertools.count()


def _note_before_items(self: SamplerWorker) -> None:
    """Say how far this partition is before what it has emitted has gone out."""
    for destination, pack in enumerate(self._packs):
        if pack:
            note = replace(self._note(destination), number=pack[0].first - 1)
            self._outbox.put(destination, note.number, encode_blocks(BlockPack(1, self._partition, note.number + 1, note=note)))
    _flush(self)


_flush = SamplerWorker._flush


def _forget_what_is_frozen(self: History) -> dict[bytes, bytes]:
    puts = _freeze(self)
    self._frozen = {}
    return puts


_freeze = History.freeze


def _commit_no_subscribers(self: SamplerMachine, rows: Any, *arguments: Any) -> Any:
    found = _subscriptions(self, rows, *arguments)
    rows.dirty.pop()
    return found


_subscriptions = SamplerMachine._subscriptions


# Serving partitions ---------------------------------------------------------------------------------------------------------


def _add_before_removing(self: ServingMachine, rows: Any, table: Any, own: Blocks, *arguments: Any) -> Any:
    """Take removals for places of the row with the additions in it."""
    removals, a, r = own.removals.copy(), 0, 0
    for head in own.heads:
        added, removed = int(head["added"]), int(head["removed"])
        for at in range(r, r + removed):
            removals[at] += np.count_nonzero(own.additions["place"][a : a + added] <= removals[at])
        a, r = a + added, r + removed
    return _edge_blocks(self, rows, table, replace(own, removals=removals), *arguments)


def _show_pending_rows(self: ServingMachine, rows: Any, table: Any, own: Blocks, items: Any, vertices: Any, fed: Any) -> Any:
    """Let a row take differences before the whole row has come."""
    pending = rows.states[vertices] == PENDING
    whole = (own.heads["kind"] == WHOLE) & (vertices > 0)
    rows.states[vertices[pending & (own.heads["kind"] == DELTA)]] = SUBSCRIBED
    rows.states[vertices[whole]] = PENDING
    rows.numbers[vertices[whole]] = own.heads["echo"][whole]
    return _edge_blocks(self, rows, table, own, items, vertices, fed)


def _take_any_answer(self: ServingMachine, rows: Any, table: Any, own: Blocks, items: Any, vertices: Any, fed: Any) -> Any:
    """Let the answer to an earlier subscribe end the wait for that to the present one."""
    whole = (own.heads["kind"] == WHOLE) & (vertices > 0)
    own.heads["echo"][whole] = rows.numbers[vertices[whole]]
    return _edge_blocks(self, rows, table, own, items, vertices, fed)


_edge_blocks = ServingMachine._edge_blocks


def _lose_unsubscribes(state: Any, kind: int, operators: Any, *arguments: Any) -> Any:
    if kind == UNSUBSCRIBE:
        return np.zeros(len(operators), np.int64)
    return _request(state, kind, operators, *arguments)


_request = needs._request


def _sweep_where_a_piece_ends(self: ServingMachine, run: Run, effects: Effects) -> None:
    _apply_items(self, run, effects)
    needs.sweep(self.state, effects)


_apply_items = ServingMachine._apply_items


def _positions_go_back(self: ServingMachine, entries: Sequence[LogEntry]) -> Effects:
    effects = _apply(self, entries)
    for entry in entries:
        assert isinstance(entry, BlockPack)
        if entry.note is not None and self.state.received[entry.sender] >= entry.note.number:
            self.state.positions[entry.sender] = entry.note.position
    return effects


_apply = ServingMachine.apply


async def _settle_without_rounds(self: ServingWorker, numbers: list[int]) -> None:
    await self._outbox.settled(numbers)


# Coordinator ----------------------------------------------------------------------------------------------------------------


async def _answer_before_saving(self: Coordinator, change: Callable[[State], State]) -> None:
    state = change(self._state)
    if state is not self._state:
        self._adopt(state)
        self._tasks.add(asyncio.ensure_future(_save_later(self, state)))


async def _save_later(self: Coordinator, state: State) -> None:
    await asyncio.sleep(0.1)
    await asyncio.to_thread(self._file.save, state)


class _OneShort:
    """A bus that takes an append to the last partition for done."""

    def __init__(self, bus: Bus, last: int) -> None:
        self._bus, self._last = bus, last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def append(self, topic: str, partition: PartitionIndex, entries: Sequence[bytes]) -> Position:
        return await self._bus.append(topic, partition, entries) if partition < self._last else Position(0)


async def _write_to_some(self: Coordinator) -> None:
    bus, self._bus = self._bus, _OneShort(self._bus, self.deployment.partitions - 1)
    try:
        await _write_pending(self)
    finally:
        self._bus = bus


_write_pending = Coordinator._write_pending
_rounds = OperatorSet.rounds


# Checkpoints ----------------------------------------------------------------------------------------------------------------


async def _ends_one_after_the_other(self: Coordinator) -> Any:
    sizes = {RECORDS: self.deployment.partitions, SAMPLES: self.deployment.serving_partitions}
    async with self._ordering:
        state = self._state.to_json()
        ends = {topic: [await self._bus.end(topic, PartitionIndex(p)) for p in range(size)] for topic, size in sizes.items()}
        await self._bus.ends([])  # the simulator's logs are in files from here on
        return state, ends


def _needed_by_partitions(self: Truncation, partition: int) -> int | None:
    return self._needs.samples_needed(partition)


SAMPLERS, SERVING = ("sampler",), ("serving", "frontend")
LONG: Mapping[str, Any] = {"loads": [50], "pauses": [[0.01]]}
"""Much happens, and takes its time, so that faults happen meanwhile."""
LARGE_PIECES: Mapping[str, Any] = {**LONG, "together": False, "piece_bytes": 10_000, "pack_bytes": 1500}
"""How much is applied at a time is as chance has it."""
STANDBYS: Mapping[str, Any] = {**LONG, "together": False, "standby": True}
LATE: Mapping[str, Any] = {"late_share": 1.0}
"""The logs have records before the deployment."""
CHECKPOINTS: Mapping[str, Any] = {**LONG, "together": True, "checkpoints": True}

BUGS: dict[str, Bug] = {
    "a sampler applies duplicates": Bug(
        _sampler_reads(lambda had, pack: min(had, pack.first - 1)), ["duplicates", "bus fails"], SERVING, {"loads": [50]}
    ),
    "a serving partition applies duplicates": Bug(
        _serving_reads(lambda had, pack: min(had, pack.first - 1)), ["duplicates", "crash", "bus fails"]
    ),
    "a sampler accepts gaps": Bug(_sampler_reads(lambda had, pack: max(had, pack.first - 1)), ["bus fails"], SERVING, LONG),
    "a serving partition accepts gaps": Bug(
        _serving_reads(lambda had, pack: max(had, pack.first - 1)), ["bus fails"], SAMPLERS, LONG
    ),
    "only the failed entry is sent again": Bug(_patched(Outbox, "_append", _only_the_first_again), ["bus fails"]),
    "a commit does not wait for what was emitted": Bug(
        _patched(Outbox, "settled", _settled_samples_at_once), ["bus fails", "crash", "kill"]
    ),
    "a snapshot does not wait for what was emitted": Bug(
        _patched(Outbox, "settled", _settled_requests_at_once),
        ["bus fails", "kill"],
        SERVING,
        {**LONG, "snapshot_interval_s": 0.03},
    ),
    "a snapshot does not wait for rounds that were told": Bug(
        _patched(ServingWorker, "_settled", _settle_without_rounds),
        ["coordinator"],
        shape={**LONG, "barriers": [8], "together": False, "serving_partitions": 1, "snapshot_interval_s": 0.03},
    ),
    "additions come before removals": Bug(_patched(ServingMachine, "_edge_blocks", _add_before_removing)),
    "only subscribers are fed": Bug(_patched(SamplerMachine, "_route", _feed_subscribers_only)),
    "blocks come in table order": Bug(
        _patched(SamplerMachine, "_route", _emit_in_table_order), ["kill"], SAMPLERS, {**LONG, "commit_interval_s": 0.1}
    ),
    "an unsubscribe is lost": Bug(_patched(needs, "_request", _lose_unsubscribes)),
    "rows are shown while pending": Bug(_patched(ServingMachine, "_edge_blocks", _show_pending_rows), ["slow"]),
    "an older answer ends the wait": Bug(
        _patched(ServingMachine, "_edge_blocks", _take_any_answer),
        ["slow", "pause"],
        ["sampler-0"],
        {"loads": [100], "pauses": [[0.0]], "sources": [3], "barriers": [0], "partitions": 2, "idle_items": 1, "gather_s": 0.0},
    ),
    "a barrier has one round less": Bug(_patched(OperatorSet, "rounds", lambda self: max(1, _rounds(self) - 1))),
    "notes run ahead": Bug(_patched(SamplerWorker, "_flush", _note_before_items)),
    "positions go back": Bug(_patched(ServingMachine, "apply", _positions_go_back)),
    "a snapshot is not of one cut": Bug(
        _patched(RowsImage, "preserve", lambda *_: None), ["kill"], SERVING, {**LONG, "snapshot_interval_s": 0.03}
    ),
    "a sweep depends on pieces": Bug(
        _patched(ServingMachine, "_apply_items", _sweep_where_a_piece_ends),
        ["twin"],
        SERVING,
        {**LARGE_PIECES, "idle_items": 4, "gather_s": 0.01},
    ),
    "a run goes on over the answer to what it asks for": Bug(
        _patched(Run, "early_answer", lambda *_: None),
        ["kill", "older state"],
        SERVING,
        {**LARGE_PIECES, "idle_items": 20, "gather_s": 0.0},
    ),
    "history forgets what a commit is writing": Bug(
        _patched(History, "freeze", _forget_what_is_frozen), ["bus fails"], SAMPLERS, {"loads": [50], "commit_interval_s": 0.03}
    ),
    "a subscription is not committed": Bug(
        _patched(SamplerMachine, "_subscriptions", _commit_no_subscribers), ["crash", "kill", "older state"]
    ),
    "the coordinator answers before it saves": Bug(_patched(Coordinator, "_change", _answer_before_saving), ["coordinator"]),
    "a checkpoint has the ends of the logs one after the other": Bug(
        _patched(Coordinator, "at_one_moment", _ends_one_after_the_other), ["checkpoint", "slow"], ["frontend"], CHECKPOINTS
    ),
    "what checkpoints need is truncated": Bug(
        _patched(Truncation, "_samples_needed", _needed_by_partitions),
        ["checkpoint"],
        shape={**CHECKPOINTS, "serving_partitions": 1, "snapshot_interval_s": 0.03},
    ),
    "a stand-by writes nothing": Bug(
        _patched(StandbyOutbox, "_stands", lambda *_: True), ["twin", "bus fails", "kill"], SAMPLERS, STANDBYS
    ),
    "a log is read from its first entry": Bug(_patched(Deployment, "begin", lambda *_: 0), shape=LATE),
    "the orders before a log are not taken": Bug(_patched(SamplerMachine, "begin", lambda *_: []), shape=LATE),
    "the coordinator leaves a partition out": Bug(_patched(Coordinator, "_write_pending", _write_to_some)),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug for the length of a block."""
    yield from BUGS[name].plant()
