"""A serving partition's state out of a snapshot: arrays are read straight into slabs, and what follows from them is made again.

Called by `dgs.serving.snapshots` when a partition starts, in a thread; the counterpart of `dgs.serving.image`.
"""

import errno
import json
from typing import Any

import numpy as np

from dgs.codec.entries import read_control_json
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, StateError
from dgs.core.image import Part
from dgs.core.rows import USED
from dgs.core.types import PartitionIndex, Position
from dgs.serving.image import decode_texts
from dgs.serving.state import ServingState
from dgs.store.snapshots import SnapshotFile, SnapshotReader


def restore(file: SnapshotFile, deployment: Deployment, partition: PartitionIndex) -> tuple[ServingState, Position]:
    """Return the state that a snapshot holds, and the position of the log that it reflects.

    Raises:
        CodecError: the file is damaged, or the disk below it.
        StateError: it is not this partition's, of this deployment, or a newer program has written it.
        OSError: the system refuses to read it.
    """
    with SnapshotReader(file.path) as reader:
        try:
            meta = json.loads(reader.read())
            _check_owner(meta, file, deployment, partition)
            state = _restored(meta, reader, deployment, partition)
            reader.end()
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            raise CodecError(f"{file.path} cannot be read: {e.strerror}") from None
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as e:
            raise CodecError(f"{file.path} is damaged: {e!r}") from None
        return state, Position(int(meta["position"]))


def _check_owner(meta: dict[str, Any], file: SnapshotFile, deployment: Deployment, partition: PartitionIndex) -> None:
    for name, found in {**meta["deployment"], "partition": meta["partition"], "position": meta["position"]}.items():
        mine = {"partition": partition, "position": file.position}.get(name, getattr(deployment, name, None))
        if found != mine:
            raise StateError(
                f"the snapshot {file.path} belongs to another deployment, or another place in this one: its {name} is {found},"
                f" here it is {mine}; put it back where it comes from, or move it out of {file.path.parent}"
            )


def _restored(meta: dict[str, Any], reader: SnapshotReader, deployment: Deployment, partition: PartitionIndex) -> ServingState:
    state = ServingState(deployment, partition)
    for item in meta["control_items"]:
        state.take_control(read_control_json(json.dumps(item).encode()))
    state.control = int(meta["control"])
    state.applied = int(meta["applied"])
    state.received, state.sent, state.positions = meta["received"], meta["sent"], meta["positions"]
    state.watermarks = meta["watermarks"]
    state.marks = {(barrier, number): set(came) for barrier, number, came in meta["marks"]}
    state.barrier = int(meta["barrier"])
    for vtype, index in state.vertices.items():
        index.reserve(int(meta["vertices"][str(vtype)]))
    for number, rows in state.rows.items():
        if rows.table is not None:
            rows.table.cursors[USED] = int(meta["rows"][str(number)])
        rows.reserve(state.vertices[rows.operator.vtype].used, 0)
    _read_parts(meta["parts"], state.parts(), reader)
    left = int(meta["texts"]) - 1
    while left > 0:
        texts = decode_texts(reader.read())
        state.strings.restore(texts)
        left -= len(texts)
    for index in state.vertices.values():
        index.restored()
    for rows in state.rows.values():
        rows.restored()
    return state


def _read_parts(written: list[list[Any]], parts: dict[str, Part], reader: SnapshotReader) -> None:
    if [name for name, _, _ in written] != list(parts):
        raise ValueError("it has other parts than its control items lead to")
    for (name, units, unit_bytes), part in zip(written, parts.values(), strict=True):
        if unit_bytes != part.unit_bytes or not 0 <= units <= part.units:
            raise ValueError(f"{name} has {units} units of {unit_bytes} bytes where up to {part.units} of {part.unit_bytes} fit")
        memory = part.slab.array.reshape(-1).view(np.uint8)[: units * unit_bytes]
        reader.read_into(memory.data)
