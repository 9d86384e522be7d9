"""The committed state of one sampler partition: how far it is, and how much of everything it holds."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from dgs.codec.entries import read_control_json
from dgs.codec.keys import FEATURES, HISTORY, ROWS, read_element_key, read_history_head
from dgs.codec.values import decode_row
from dgs.core.catalog import Catalog
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.core.types import UInt64s
from dgs.inspection.operator import operator_about
from dgs.store.view import StoreView


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit says besides rows, records and edges.

    Attributes:
        position: in the log of the partition; everything before it is in the state.
        received: per serving partition, the last number of its channel that was applied.
        sent: per serving partition, the last number sent to it.
        control: number of the last order that was applied.
        watermark: largest event time seen.
        catalog: queries and dimensions of the orders so far.
    """

    position: int
    received: list[int]
    sent: list[int]
    control: int
    watermark: int | None
    catalog: Catalog


def read_commit(view: StoreView, deployment: Deployment) -> Committed:
    """Return the newest commit.

    Raises:
        StateError: there is none yet, or it belongs to another deployment.
    """
    found = view.committed()
    if found is None:
        raise StateError("this sampler partition has not committed anything yet")
    position, raw = found
    meta = json.loads(raw)
    if (meta["log_id"], meta["generation"]) != (deployment.log_id, deployment.generation):
        raise StateError(
            f"the state belongs to the deployment {meta['log_id']} in generation {meta['generation']}, the directory to"
            f" {deployment.log_id} in {deployment.generation}: it was copied here from another one"
        )
    catalog = Catalog.of(deployment.schema, (read_control_json(text.encode()) for text in meta["kept_control"]))
    return Committed(position, meta["received"], meta["sent"], meta["control"], meta["watermark"], catalog)


def describe_sampler(view: StoreView, deployment: Deployment) -> dict[str, Any]:
    """Return a summary as JSON values. It reads every key once, so it takes a while where there are many edges.

    Raises:
        StateError: see `read_commit`.
        CodecError: a value is damaged.
    """
    commit, schema = read_commit(view, deployment), deployment.schema
    records = Counter(read_element_key(key)[0] for key, _ in view.scan(FEATURES))
    edges = Counter(read_history_head(key) for key, _ in view.scan(HISTORY))
    return {
        "position": commit.position,
        "watermark": commit.watermark,
        "control": commit.control,
        "channels": [
            {"serving_partition": s, "received": received, "sent": sent}
            for s, (received, sent) in enumerate(zip(commit.received, commit.sent, strict=True))
        ],
        "queries": [{"id": q.id, "name": q.name} for q in commit.catalog.operators.queries],
        "dimensions": commit.catalog.layouts.to_json(),
        "operators": _operators(view, commit),
        "records": {schema.vertex_types[vtype].name: count for vtype, count in sorted(records.items())},
        "history": [
            {"edges": schema.edge_types[etype].name, "from": schema.vertex_types[source].name, "count": count}
            for (etype, source), count in sorted(edges.items())
        ],
        "store_bytes": view.bytes,
    }


def subscribers(words: UInt64s) -> list[int]:
    """Return the serving partitions whose bits are set: uint64 [words]."""
    return np.flatnonzero(np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")).tolist()


def _operators(view: StoreView, commit: Committed) -> list[dict[str, Any]]:
    rows: Counter[int] = Counter()
    slots: Counter[int] = Counter()
    subscribed: Counter[int] = Counter()
    subscriptions: Counter[int] = Counter()
    for key, value in view.scan(ROWS):
        operator, _ = read_element_key(key)
        stored = decode_row(value)
        number = len(subscribers(stored.subscribers))
        rows[operator] += 1
        slots[operator] += len(stored.slots)
        subscribed[operator] += number > 0
        subscriptions[operator] += number
    return [
        operator_about(o, commit.catalog)
        | {"rows": rows[o.id], "subscribed_rows": subscribed[o.id], "subscriptions": subscriptions[o.id]}
        | ({} if o.etype is None else {"slots": slots[o.id]})
        for o in commit.catalog.operators.operators
    ]
