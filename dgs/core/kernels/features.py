"""Vertex records: last writer wins by (timestamp, position in the log)."""

from dgs.core.kernels.jit import kernel
from dgs.core.types import Bytes, Int32s, Int64s


@kernel
def offer_features(
    vertices: Int32s,
    new_timestamps: Int64s,
    new_payload: Bytes,
    known: Bytes,
    timestamps: Int64s,
    payload: Bytes,
    touch: Bytes,
    touched: Int32s,
) -> int:
    """Apply records in order; return how many vertices changed, which stand in `touched`.

    `known`, `timestamps`, `payload` and `touch` (all zero before and after) are by vertex row.
    """
    n_touched = 0
    for i in range(len(vertices)):
        v = vertices[i]
        t = new_timestamps[i]
        if known[v] != 0:
            if t < timestamps[v]:
                continue
            same = t == timestamps[v]
            if same:
                for b in range(payload.shape[1]):
                    if payload[v, b] != new_payload[i, b]:
                        same = False
                        break
            if same:
                continue
        known[v] = 1
        timestamps[v] = t
        for b in range(payload.shape[1]):
            payload[v, b] = new_payload[i, b]
        if touch[v] == 0:
            touch[v] = 1
            touched[n_touched] = v
            n_touched += 1
    for i in range(n_touched):
        touch[touched[i]] = 0
    return n_touched
