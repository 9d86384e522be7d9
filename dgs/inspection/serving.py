"""The snapshots of one serving partition, and what the newest one that can be read holds. None is set aside or deleted here."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from dgs.core.errors import CodecError, NotFoundError
from dgs.core.kernels.replica import NONE, PENDING
from dgs.core.rows import USED
from dgs.core.types import PartitionIndex
from dgs.inspection.operator import operator_about
from dgs.inspection.subject import Subject
from dgs.serving.restore import restore
from dgs.serving.state import Rows, ServingState
from dgs.store.snapshots import SnapshotFile, SnapshotFolder


def describe_serving(subject: Subject, partition: int) -> dict[str, Any]:
    """Return the snapshots and a summary of the newest, as JSON values. It loads that into memory, as a restart does.

    Raises:
        NotFoundError: no such partition, or it has no snapshot that can be read; names those that are damaged.
        StateError: a snapshot belongs elsewhere, or a newer program has written it.
        OSError: it cannot be read.
    """
    folder = SnapshotFolder(subject.serving(partition))
    snapshots, summary = [], None
    for file in folder.files():
        about = _about(file)
        if summary is None:
            try:
                state, position = restore(file, subject.deployment, PartitionIndex(partition))
            except CodecError as e:
                snapshots.append(about | {"damage": str(e)})
                continue
            except FileNotFoundError:  # it is an old one, and has just been deleted
                continue
            summary = {"position": int(position)} | _summary(state)
        snapshots.append(about)
    if summary is None:
        damaged = [str(path) for path in folder.damaged()] + [s["damage"] for s in snapshots]
        what = f"; damaged: {', '.join(damaged)}" if damaged else " yet: it starts from its log"
        raise NotFoundError(f"serving partition {partition} has no snapshot{what}")
    return summary | {"snapshots": snapshots, "damaged": [str(path) for path in folder.damaged()]}


def _about(file: SnapshotFile) -> dict[str, Any]:
    when = datetime.fromtimestamp(file.written_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"position": int(file.position), "written_at": when, "bytes": file.nbytes}


def _summary(state: ServingState) -> dict[str, Any]:
    schema = state.deployment.schema
    channels = zip(state.received, state.sent, state.positions, state.watermarks, strict=True)
    return {
        "watermark": state.watermark,
        "control": state.control,
        "applied": state.applied,
        "channels": [
            {"record_partition": p, "received": received, "sent": sent, "reflected": reflected, "watermark": watermark}
            for p, (received, sent, reflected, watermark) in enumerate(channels)
        ],
        "queries": [{"id": q.id, "name": q.name} for q in state.catalog.operators.queries],
        "operators": [operator_about(rows.operator, state.catalog) | _rows(rows) for rows in state.rows.values()],
        "vertices": {schema.vertex_types[vtype].name: int(index.used) - 1 for vtype, index in state.vertices.items()},
        "state_bytes": state.nbytes,
    }


def _rows(rows: Rows) -> dict[str, int]:
    found = {
        "subscribed_rows": int(np.count_nonzero(rows.states != NONE)),
        "pending_rows": int(np.count_nonzero(rows.states == PENDING)),
        "needed_rows": int(np.count_nonzero(rows.needs > 0)),
    }
    if rows.table is not None:
        used = int(rows.table.cursors[USED])
        counts = rows.table.counts[1:used]
        found |= {"rows": int(np.count_nonzero(counts)), "slots": int(counts.sum())}
    if rows.records is not None:
        found["rows"] = int(np.count_nonzero(rows.records.known))
    return found
