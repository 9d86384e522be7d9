"""Damaged entries in the logs of machines: whatever can be decoded is applied, or refused with a documented error.

An entry that was refused with CodecError has changed nothing; then, and after it was applied, the rest of the log is read.
StateError (of which DivergedError is one) ends a machine. A serving machine that lives goes on answering.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st

from dgs.codec.answers import AnswerHeader, answer_json
from dgs.codec.entries import BlockPack, decode_entry, encode_blocks, encode_control, encode_records
from dgs.core.blocks import Blocks
from dgs.core.control import ControlItem
from dgs.core.errors import CodecError, StateError
from dgs.core.records import RecordBatch
from dgs.core.types import Position
from dgs.serving.lookup import Lookup
from dgs.serving.machine import ServingMachine
from dgs.wire.samples_pb2 import Samples
from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.logs import P, S, logs, sampler_before, sampler_state, serving_before, serving_state
from tests.fuzz.mutations import damaged, damaged_documents, with_frame_checksum

T = TypeVar("T")

SEEDS = np.arange(-3, 4)


def one_of(draw: st.DrawFn, entries: Sequence[T]) -> T:
    """Draw one; Hypothesis writes out what `sampled_from` is given, and entries are long."""
    return entries[draw(st.integers(0, len(entries) - 1))]


def all_entries() -> list[bytes]:
    found = logs()
    return [data for log in (*found.records, *found.samples) for data in log]


def at_samplers() -> st.SearchStrategy[tuple[int, int, bytes]]:
    anything = damaged(all_entries(), with_frame_checksum)
    return st.tuples(st.integers(0, P - 1), st.integers(0, 60), anything | control_items() | record_batches())


@st.composite
def control_items(draw: st.DrawFn) -> bytes:
    """A control item of another body, or of another number; the number is often the next one, or nobody would look at the rest."""
    decoded = [decode_entry(data) for log in logs().records for data in log]
    items = [item for item in decoded if isinstance(item, ControlItem)]
    item = one_of(draw, items)
    body = draw(damaged_documents([i.body for i in items]))
    number = draw(st.sampled_from([item.number, item.number, 1, 2, 3, 4]))
    return encode_control(ControlItem(number, draw(st.sampled_from([item.kind, item.kind, "unheard-of"])), body))


@st.composite
def record_batches(draw: st.DrawFn) -> bytes:
    """A record batch whose payloads have another width, or whose columns hold other numbers."""
    decoded = [decode_entry(data) for log in logs().records for data in log]
    batch = one_of(draw, [entry for entry in decoded if isinstance(entry, RecordBatch)])
    groups = []
    for group in batch.groups:
        width = draw(st.integers(1, group.payload.shape[1] + 9) | st.just(group.payload.shape[1]))
        payload = np.zeros((len(group.payload), width), np.uint8)
        payload[:, : group.payload.shape[1]] = group.payload[:, :width]
        if draw(st.booleans()):
            at = draw(st.integers(0, width - 1))
            payload[:, at : at + 4] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xC0, 0xFF]))
        groups.append(replace(group, payload=payload))
    return encode_records(replace(batch, groups=tuple(groups)))


def at_servings() -> st.SearchStrategy[tuple[int, int, bytes]]:
    corpus = [data for log in logs().samples for data in log]
    return st.tuples(st.integers(0, S - 1), st.integers(0, 60), damaged(corpus, with_frame_checksum) | block_packs())


@st.composite
def block_packs(draw: st.DrawFn) -> bytes:
    """A pack with other numbers in some fields of its heads, additions and removals, or with elements too many or too few."""
    decoded = [decode_entry(data) for log in logs().samples for data in log]
    pack = one_of(draw, [entry for entry in decoded if isinstance(entry, BlockPack) and len(entry.blocks)])
    columns = {name: getattr(pack.blocks, name).copy() for name in ("heads", "additions", "removals", "payload")}
    for _ in range(draw(st.integers(1, 3))):
        left = [name for name, column in columns.items() if len(column)]
        if not left:
            break
        name = draw(st.sampled_from(left))
        column = columns[name]
        at = draw(st.integers(0, len(column) - 1))
        field = draw(st.sampled_from(column.dtype.names or [None]))
        target = column if field is None else column[field]
        least, most = int(np.iinfo(target.dtype).min), int(np.iinfo(target.dtype).max)
        target[at] = draw(st.integers(max(-2, least), 6) | st.sampled_from([least, most]))
        columns[name] = column[: draw(st.sampled_from([len(column), len(column), at]))]
    return encode_blocks(replace(pack, blocks=Blocks(**columns, strings=pack.blocks.strings)))


def test_sampler(fuzzer: Fuzzer) -> None:
    fuzzer.run(check_sampler, at_samplers(), count=150)


def check_sampler(example: tuple[int, int, bytes]) -> None:
    partition, read, data = example
    log = logs().records[partition]
    read %= len(log) + 1
    try:
        entry = decode_entry(data)
    except CodecError:
        return
    machine = sampler_before(partition, read)
    try:
        machine.apply(entry, Position(read + 1))
    except StateError as e:
        assert str(e)
        return
    except CodecError as e:
        assert str(e)
        machine.pass_over(Position(read + 1))
        assert sampler_state(machine) == sampler_state(sampler_before(partition, read)), "a refused entry has left something behind"
        machine = sampler_before(partition, read)
    for at, following in enumerate(log[read:], read + 2):
        try:
            machine.apply(decode_entry(following), Position(at))
        except CodecError:  # for example, as a dimension that it needs was not confirmed
            machine.pass_over(Position(at))
        except StateError:  # for example, as a dimension that it confirms is already
            return
    machine.cut()


def test_serving(fuzzer: Fuzzer) -> None:
    fuzzer.run(check_serving, at_servings(), count=150)


def check_serving(example: tuple[int, int, bytes]) -> None:
    partition, read, data = example
    log = logs().samples[partition]
    read %= len(log) + 1
    try:
        entry = decode_entry(data)
    except CodecError:
        return
    machine = serving_before(partition, read)
    try:
        machine.apply([entry])
        for following in log[read:]:
            machine.apply([decode_entry(following)])
    except StateError as e:
        assert str(e)
        return
    except CodecError as e:
        assert str(e)
        assert serving_state(machine) == serving_state(serving_before(partition, read)), "a refused entry has left something behind"
    answers(machine)


def answers(machine: ServingMachine) -> None:
    """Look every seed up, in both forms."""
    state = machine.state
    query = state.catalog.operators.query(0)
    if query is None:
        return
    lookup = Lookup(state)
    header = AnswerHeader(1, state.positions, state.watermark, True)
    for seed in SEEDS.tolist():
        assert answer_json(lookup.ego_graph(query, seed), query, state.catalog.layouts, header, scores=True)
    message, _ = lookup.graph(query, SEEDS, np.arange(len(SEEDS), dtype=np.int32), scores=True)
    Samples.FromString(bytes(message))
