"""A state out of a snapshot is the state at the cut, whatever was applied while it was written."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgs.codec.entries import BlockPack, decode_entry
from dgs.core import slab
from dgs.core.errors import CodecError, StateError
from dgs.core.rows import FREE, USED
from dgs.core.types import PartitionIndex, Position
from dgs.serving import image
from dgs.serving.image import StateImage, decode_texts, encode_texts
from dgs.serving.machine import ServingMachine
from dgs.serving.restore import restore
from dgs.serving.state import ServingState
from dgs.store.snapshots import SnapshotFile, SnapshotFolder, SnapshotReader
from dgs.testing.graph import Edge, Raw, Vertex
from tests.machines.world import World


def plan() -> dict[str, Any]:
    """Two hops with texts and weights on edges, records with late lists and texts, of both types."""

    def node(number: int, links: list[int], **params: object) -> dict[str, Any]:
        pairs = [{"key": key, "value": value} for key, value in params.items()]
        kind = "EDGE_SAMPLER" if "etype" in params else "VERTEX_SAMPLER"
        return {"id": number, "kind": kind, "params": pairs, "links": [{"node": n, "src_output": 1} for n in links]}

    source = {"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": 0}], "links": [{"node": 1}, {"node": 4}]}
    nodes = [
        source,
        node(1, [2, 5], vtype=0, etype=0, strategy="topk_by_timestamp", fanout=3),
        node(2, [3], vtype=1, etype=1, strategy="edge_weight", fanout=2),
        node(3, [], vtype=0, versions=1),
        node(4, [], vtype=0, versions=1),
        node(5, [], vtype=1, versions=1),
    ]
    return {"query_plan": {"plan_nodes": nodes}}


def some(rnd: random.Random, n: int, value_most: int) -> list[Raw]:
    """Records; of values from 3 on, lists come with them."""
    raws: list[Raw] = []
    for _ in range(n):
        a, b, t = rnd.randrange(-6, 12), rnd.randrange(30), rnd.randrange(1000)
        raws += [
            Edge(0, 0, a, 1, b, t, rnd.choice([None, 0.5, 2.0]), f"e{t}"),
            Edge(1, 1, b, 0, a, t, rnd.choice([None, 0.25, 4.0])),
            Vertex(rnd.randrange(2), rnd.choice([a, b]), t, rnd.randint(0, value_most)),
        ]
    return raws


@pytest.fixture
def world() -> World:
    """A serving partition's log of some hundred entries, with dimensions that come late."""
    rnd = random.Random(7)
    world = World(rnd, plan(), 2, 1, 5)
    for turn in range(25):
        world.load(some(rnd, 3, 2 if turn < 9 else 6))
        for _ in range(12):
            step, argument = rnd.choice(world.steps(crashes=False) or [(lambda _: None, 0)])
            step(argument)
    world.run()
    return world


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slab, "_LEAST", 64)
    monkeypatch.setattr(image, "PIECE_BYTES", 100)
    monkeypatch.setattr(image, "TEXTS_A_PIECE", 3)


Apply = Callable[[ServingMachine, int, int], list[tuple[int, int, bytes]]]


@pytest.fixture
def apply(world: World) -> Apply:
    """Apply entries begin … end - 1 of the log; return what that emits."""
    entries = [decode_entry(data) for data in world.samples[0]]

    def applied(machine: ServingMachine, begin: int, end: int) -> list[tuple[int, int, bytes]]:
        emitted = []
        for data, entry in zip(world.samples[0][begin:end], entries[begin:end], strict=True):
            assert isinstance(entry, BlockPack)
            for e in machine.apply([decode_entry(data)]).emissions:  # applying writes into the entry
                emitted += [(e.destination, e.first + i, e.requests[i].tobytes()) for i in range(len(e.requests))]
        return emitted

    return applied


def contents(state: ServingState) -> dict[str, Any]:
    """All that a state says, with rows by vertex and texts for references."""
    found: dict[str, Any] = {
        name: getattr(state, name) for name in ("applied", "received", "sent", "positions", "watermarks", "control", "marks")
    }
    found["items"] = [json.dumps([i.number, i.kind, i.body]) for i in state.kept_control]
    for vtype, index in state.vertices.items():
        found[f"vertices {vtype}"] = index.ids[1 : index.used].tolist()
        assert index.find(index.ids[: index.used].copy())[1:].tolist() == list(range(1, index.used))
    for number, rows in state.rows.items():
        used = state.vertices[rows.operator.vtype].used
        rows.reserve(used, 0)
        for name in ("needs", "states", "numbers", "idle_since"):
            found[f"{name} {number}"] = getattr(rows, name)[:used].tolist()
        layout = state.catalog.layout(rows.operator)
        if rows.records is not None:
            found[f"known {number}"] = rows.records.known[:used].tolist()
            found[f"timestamps {number}"] = rows.records.timestamps[:used].tolist()
            payload = rows.records.payload[:used].copy()
        else:
            table = rows.table
            assert table is not None
            of, slots = table.row_of[:used], []
            for row in of.tolist():
                slots += list(range(row * table.fanout, row * table.fanout + int(table.counts[row])))
            found[f"counts {number}"] = table.counts[of].tolist()
            found[f"slots {number}"] = table.slots[slots].tolist()
            found[f"rows {number}"] = int(table.cursors[USED] - table.cursors[FREE])
            assert not table.counts[table.free[: table.cursors[FREE]]].any()
            payload = table.payload[slots]
        for at in layout.string_offsets:
            references = payload[:, at : at + 8].copy().view(np.uint64)[:, 0]
            found[f"texts {number} {at}"] = [state.strings[r] for r in references.tolist()]
            payload[:, at : at + 8] = 0
        found[f"payload {number}"] = payload.tolist()
    return found


def written(machine: ServingMachine, position: int, folder: Path, between: Callable[[], object] = lambda: None) -> SnapshotFile:
    """Write a snapshot; `between` is called after every piece."""
    taken = StateImage(machine.state, Position(position))
    snapshots = SnapshotFolder(folder)
    draft = snapshots.draft(taken.position)
    draft.add(taken.meta)
    while (piece := taken.take()) is not None:
        draft.add(piece)
        between()
    assert not taken.abandoned
    draft.finish()
    return snapshots.files()[0]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_a_restored_machine_is_the_one_at_the_cut_and_goes_on_as_that_would_have(
    world: World, apply: Apply, tmp_path: Path, share: float
) -> None:
    partition, log = PartitionIndex(0), world.samples[0]
    never_stopped, twin = (ServingMachine(world.deployment, partition) for _ in range(2))
    late = max(i for i, data in enumerate(log) if b'"kind"' in data) + 1
    cut = late + int((len(log) - late) * share)
    apply(never_stopped, 0, cut)
    apply(twin, 0, cut)
    position = cut

    def go_on() -> None:
        nonlocal position
        if position < len(log):
            apply(never_stopped, position, position + 1)
            position += 1

    file = written(never_stopped, cut, tmp_path, go_on)
    state, at = restore(file, world.deployment, partition)
    assert at == cut
    assert contents(state) == contents(twin.state)
    restored = ServingMachine(world.deployment, partition, state)
    assert apply(restored, cut, len(log)) == apply(twin, cut, len(log))
    apply(never_stopped, position, len(log))
    assert contents(restored.state) == contents(twin.state) == contents(never_stopped.state)
    world.servings[0].machine = restored
    world.check_answers(range(-6, 12))


def test_a_control_item_makes_an_image_useless(world: World, apply: Apply) -> None:
    machine, log = ServingMachine(world.deployment, PartitionIndex(0)), world.samples[0]
    control = max(i for i, data in enumerate(log) if b'"dimension"' in data)
    first = next(i for i, data in enumerate(log) if b'"dimension"' in data)
    assert 0 < first <= control
    apply(machine, 0, first)
    taken = StateImage(machine.state, Position(first))
    taken.take()
    apply(machine, first, first + 1)
    assert taken.abandoned
    assert taken.take() is None
    assert machine.state.image is None
    assert all(rows.image is None for rows in machine.state.rows.values())
    apply(machine, first + 1, len(log))


def test_an_image_keeps_texts_from_being_swept(world: World, apply: Apply, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = ServingMachine(world.deployment, PartitionIndex(0))
    apply(machine, 0, len(world.samples[0]))
    machine.state.strings._sweep_at = 0
    taken = StateImage(machine.state, Position(1))
    machine.state.sweep_strings()
    assert not machine.state.strings.sweeping
    taken.release()
    machine.state.sweep_strings()
    assert machine.state.strings.sweeping


# Refusals -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(world: World, apply: Apply, tmp_path: Path) -> SnapshotFile:
    machine = ServingMachine(world.deployment, PartitionIndex(0))
    apply(machine, 0, len(world.samples[0]))
    return written(machine, len(world.samples[0]), tmp_path)


def test_every_flipped_bit_is_noticed(world: World, file: SnapshotFile) -> None:
    whole = file.path.read_bytes()
    rnd = random.Random(1)
    for at in [0, 4, 8, 16, 20, 24, len(whole) - 1, *(rnd.randrange(16, len(whole)) for _ in range(60))]:
        data = bytearray(whole)
        data[at] ^= 1 << rnd.randrange(8)
        file.path.write_bytes(data)
        with pytest.raises(CodecError):
            restore(file, world.deployment, PartitionIndex(0))


@pytest.mark.parametrize("keep", [0, 10, 20, 0.5, 0.999, -1])
def test_a_file_that_was_cut_off_is_damaged(world: World, file: SnapshotFile, keep: float) -> None:
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[: int(len(whole) * keep) if 0 < keep < 1 else int(keep)])
    with pytest.raises(CodecError):
        restore(file, world.deployment, PartitionIndex(0))


def test_pieces_that_changed_places_or_were_added_are_noticed(world: World, file: SnapshotFile) -> None:
    pieces = []
    with SnapshotReader(file.path) as reader:
        while True:
            try:
                pieces.append(reader.read())
            except CodecError:
                break
    draft = SnapshotFolder(file.path.parent).draft(file.position)
    for piece in [*pieces, b"more"]:
        draft.add(piece)
    draft.finish()
    with pytest.raises(CodecError, match="goes on behind its end"):
        restore(file, world.deployment, PartitionIndex(0))
    whole = file.path.read_bytes()
    size = 8 + len(pieces[0])
    file.path.write_bytes(whole[:16] + whole[16 + size :])
    with pytest.raises(CodecError, match="checksum"):
        restore(file, world.deployment, PartitionIndex(0))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"log_id": "another"}, "its log_id is log, here it is another"),
        ({"generation": 2}, "its generation is 1, here it is 2"),
        ({"idle_items": 6}, "its idle_items is 5, here it is 6"),
        ({"emission_version": 99}, "its emission_version is"),
    ],
)
def test_a_snapshot_of_another_deployment_is_refused(world: World, file: SnapshotFile, other: dict[str, Any], said: str) -> None:
    with pytest.raises(StateError, match=f"belongs to another deployment.*{said}.*move it out of"):
        restore(file, replace(world.deployment, **other), PartitionIndex(0))


def test_a_snapshot_of_another_partition_or_under_another_name_is_refused(world: World, file: SnapshotFile) -> None:
    with pytest.raises(StateError, match="its partition is 0, here it is 1"):
        restore(file, world.deployment, PartitionIndex(1))
    with pytest.raises(StateError, match=r"its position is \d+, here it is 3"):
        restore(file._replace(position=Position(3)), world.deployment, PartitionIndex(0))


@pytest.mark.parametrize("texts", [[], [b"", None, b"a", None], [b"\x00" * 7, "é".encode()]])
def test_texts_come_back(texts: list[bytes | None]) -> None:
    assert decode_texts(encode_texts(texts)) == texts
    with pytest.raises(ValueError, match="fill their piece"):
        decode_texts(encode_texts(texts) + b"x")
