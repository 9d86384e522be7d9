"""Files that were damaged: the frames of a log, values of a sampler's store, the coordinator's state, snapshots.

Whatever is read is what was written, or the documented error says that it is not.
"""

import json
import os
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from dgs.bus.frames import diagnose, encode, parse, read_frames
from dgs.codec.keys import ROWS, element_key, element_keys, read_element_key
from dgs.codec.values import decode_feature, decode_payload, decode_payloads, decode_row
from dgs.coordinator.state_file import FORMAT, StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, StateError
from dgs.core.types import PartitionIndex, Position
from dgs.serving.image import StateImage
from dgs.serving.restore import restore
from dgs.store.snapshots import SnapshotFolder
from dgs.testing.graph import SCHEMA
from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.logs import logs, sampler_before, serving_before, serving_state
from tests.fuzz.mutations import damaged, damaged_documents

# The log --------------------------------------------------------------------------------------------------------------------------

ENTRIES = [b"", b"x", b"entry" * 9, bytes(64), b"\xff" * 7]


def test_frames(fuzzer: Fuzzer) -> None:
    fuzzer.run(
        check_frames, st.tuples(damaged([b"".join(encode(ENTRIES))]), st.integers(1, 200), st.integers(0, 1 << 40)), count=300
    )


def check_frames(example: tuple[bytes, int, int]) -> None:
    data, max_bytes, start = example
    entries = parse(data, Position(start))
    assert b"".join(encode([e.data for e in entries])) == data[: entries[-1].next - start if entries else 0]
    file = os.memfd_create("log")
    try:
        os.write(file, data)
        at, read = 0, []
        while at < len(data) and (found := read_frames(file, at, len(data), Position(start + at), max_bytes)):
            read += found
            at = found[-1].next - start
        assert read == entries, "in pieces as at once"
        if at < len(data):
            assert diagnose(file, at, len(data)).reason
    finally:
        os.close(file)


# The store of a sampler -----------------------------------------------------------------------------------------------------------


@cache
def stored() -> dict[bytes, list[bytes]]:
    """What a sampler has committed, by the first byte of its key."""
    found: dict[bytes, list[bytes]] = {}
    for partition, log in enumerate(logs().records):
        for key, value in sampler_before(partition, len(log)).cut().puts.items():
            found.setdefault(key[:1], []).append(value)
    return found


def test_stored_values(fuzzer: Fuzzer) -> None:
    values = stored()
    examples = st.sampled_from(sorted(values)).flatmap(lambda table: st.tuples(st.just(table), damaged(values[table])))
    fuzzer.run(check_value, examples, count=300)


def check_value(example: tuple[bytes, bytes]) -> None:
    _, value = example
    for read in (decode_row, decode_feature, decode_payload):
        try:
            read(value)
        except CodecError as e:
            assert str(e)
    try:
        assert decode_payloads([value, value]).shape == (2, len(value) - 4)
    except CodecError as e:
        assert str(e)


def test_keys_sort_as_what_they_name(fuzzer: Fuzzer) -> None:
    int64, owners = st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, (1 << 32) - 1)
    fuzzer.run(check_keys, st.lists(st.tuples(owners, int64), max_size=5), count=100)


def check_keys(elements: list[tuple[int, int]]) -> None:
    keys = [element_key(ROWS, owner, vertex) for owner, vertex in elements]
    assert [read_element_key(key) for key in keys] == elements
    assert [read_element_key(key) for key in sorted(keys)] == sorted(elements)
    for owner, vertex in elements:
        assert element_keys(ROWS, owner, np.array([vertex], np.int64)) == [element_key(ROWS, owner, vertex)]


# The coordinator's state ----------------------------------------------------------------------------------------------------------

DEPLOYMENT = Deployment("log", 1, 2, 2, SCHEMA)
STATE: dict[str, Any] = {
    "last": 3,
    "written": 2,
    "loaders_admitted": True,
    "queries": [{"number": 1, "id": 0, "name": "q", "document": {"query_plan": {"plan_nodes": []}}}],
    "dimensions": [{"number": 2, "kind": "vertex", "type": 0, "attribute": 2, "dim": 2}],
    "barriers": {"b": {"count": 1, "loaders": [0], "number": 3, "id": 1, "rounds": 2, "completed": [1, 0]}},
}


def state_text(state: Any) -> bytes:
    checksum = zlib.crc32(json.dumps(state, sort_keys=True, separators=(",", ":")).encode())
    belongs = {"log_id": "log", "generation": 1}
    return json.dumps({"format": FORMAT, "deployment": belongs, "crc32": checksum, "state": state}).encode()


def state_texts() -> st.SearchStrategy[bytes]:
    """Texts with changes below the checksum, above it, and of bytes."""
    right = json.loads(state_text(STATE))
    whole = damaged_documents([right]).map(lambda d: json.dumps(d).encode())
    return st.one_of(damaged_documents([STATE]).filter(sortable).map(state_text), whole, damaged([state_text(STATE)]))


def sortable(state: Any) -> bool:
    """Whether the checksum of a state can be told."""
    try:
        state_text(state)
    except (TypeError, ValueError):
        return False
    return True


@pytest.fixture
def state_file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state.json", DEPLOYMENT)


def test_the_coordinators_state(fuzzer: Fuzzer, state_file: StateFile) -> None:
    def check(text: bytes) -> None:
        state_file.path.write_bytes(text)
        try:
            state = state_file.load()
        except StateError as e:
            assert str(state_file.path) in str(e)
            return
        assert state.pending() is not None
        state_file.path.write_bytes(state_text(state.to_json()))
        assert state_file.load() == state

    fuzzer.run(check, state_texts(), count=300)


# Snapshots ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[SnapshotFolder, bytes]:
    """A folder, and the bytes of the snapshot that stands in it."""
    folder = SnapshotFolder(tmp_path_factory.mktemp("snapshots"))
    machine = serving_before(0, len(logs().samples[0]))
    draft = folder.draft(Position(9))
    image = StateImage(machine.state, Position(9))
    draft.add(image.meta)
    while (piece := image.take()) is not None:
        draft.add(piece)
    draft.finish()
    return folder, folder.files()[0].path.read_bytes()


def test_snapshots(fuzzer: Fuzzer, snapshot: tuple[SnapshotFolder, bytes]) -> None:
    folder, right = snapshot
    file = folder.files()[0]
    machine = serving_before(0, len(logs().samples[0]))
    before = serving_state(machine)

    def check(data: bytes) -> None:
        file.path.write_bytes(data)
        try:
            state, position = restore(file, logs().deployment, PartitionIndex(0))
        except (CodecError, StateError) as e:
            assert str(e)
            return
        machine.state = state
        assert (position, serving_state(machine)) == (9, before), "what is read is what was written"

    fuzzer.run(check, damaged([right]), count=200)
