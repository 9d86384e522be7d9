"""Everything that is kept about one vertex: its record, its rows with their slots and subscribers, and its edges in the history."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dgs.codec.keys import FEATURES, ROWS, element_key, history_prefix, read_history_keys
from dgs.codec.values import decode_feature, decode_payload, decode_row
from dgs.core.layout import Layout
from dgs.core.operators import Operator
from dgs.core.schema import TIMESTAMP, ElementType, ValueType
from dgs.core.strategies import score_of_order
from dgs.core.types import Bytes
from dgs.inspection.operator import operator_about
from dgs.inspection.sampler import Committed, read_commit, subscribers
from dgs.inspection.subject import Subject
from dgs.store.view import StoreView


def describe_vertex(subject: Subject, element: ElementType, vertex: int, edges_most: int) -> dict[str, Any]:
    """Return what the vertex's sampler partition has committed about it, as JSON values.

    Args:
        subject: the data directory.
        element: the vertex's type.
        vertex: its id.
        edges_most: of the history, the newest so many are listed; 0 for all.

    Raises:
        NotFoundError: its sampler partition has no state yet.
        StateError, CodecError: the state cannot be used.
    """
    record_partition, serving_partition = subject.places(vertex)
    with StoreView(subject.sampler(record_partition)) as view:
        commit = read_commit(view, subject.deployment)
        history = _history(view, commit, element, vertex)
        rows = [_row(view, commit, o, vertex) for o in commit.catalog.operators.operators if o.vtype == element.id]
        return {
            "type": element.name,
            "id": vertex,
            "record_partition": record_partition,
            "serving_partition": serving_partition,
            "position": commit.position,
            "record": _record(view, commit, element, vertex),
            "rows": [row for row in rows if row is not None],
            "history": {"count": len(history), "edges": history[: edges_most or len(history)]},
        }


def _record(view: StoreView, commit: Committed, element: ElementType, vertex: int) -> dict[str, Any] | None:
    value = _value(view, element_key(FEATURES, element.id, vertex))
    if value is None:
        return None
    timestamp, payload, strings = decode_feature(value)
    layout = commit.catalog.layouts.vertex[element.id]
    present = bool(layout.present(layout.widen(payload[None, :]), TIMESTAMP)[0]) if TIMESTAMP in layout.bits else False
    return {"timestamp": timestamp if present else None, "attrs": _attributes(payload, layout, strings)}


def _row(view: StoreView, commit: Committed, operator: Operator, vertex: int) -> dict[str, Any] | None:
    value = _value(view, element_key(ROWS, operator.id, vertex))
    if value is None:
        return None
    stored = decode_row(value)
    about = operator_about(operator, commit.catalog) | {"subscribers": subscribers(stored.subscribers)}
    if operator.etype is None:
        return about
    layout, types = commit.catalog.layout(operator), commit.catalog.schema.vertex_types
    slots = [
        {
            "dst_type": types[int(slot["dst_type"])].name,
            "dst": int(slot["dst"]),
            "timestamp": int(slot["timestamp"]),
            "score": score_of_order(operator.strategy, int(slot["score"])),
            "attrs": _attributes(payload, layout, stored.strings),
        }
        for slot, payload in zip(stored.slots, stored.payload, strict=True)
    ]
    return about | {"slots": slots}


def _history(view: StoreView, commit: Committed, element: ElementType, vertex: int) -> list[dict[str, Any]]:
    """Return the edges of a source, newest first."""
    types, found = commit.catalog.schema.vertex_types, []
    for etype, layout in commit.catalog.layouts.edge.items():
        for key, value in view.scan(history_prefix(etype, element.id, vertex)):
            (timestamp,), (dst_type,), (dst,) = (column.tolist() for column in read_history_keys([key]))
            payload, strings = decode_payload(value)
            about = {"edge": layout.element.name, "dst_type": types[dst_type].name, "dst": dst, "timestamp": timestamp}
            found.append(about | {"attrs": _attributes(payload, layout, strings)})
    return sorted(found, key=lambda edge: -edge["timestamp"])


def _value(view: StoreView, key: bytes) -> bytes | None:
    return next((value for _, value in view.scan(key)), None)


def _attributes(payload: Bytes, layout: Layout, strings: Sequence[bytes]) -> dict[str, Any]:
    """Return the attributes of one payload (uint8 [width]) besides the timestamp by name, None for those that are absent."""
    row = layout.widen(np.array(payload)[None, :])
    attributes: dict[str, Any] = {}
    for attribute in layout.element.attributes:
        name = attribute.name
        if name == TIMESTAMP:
            continue
        if name not in layout.fields or not layout.present(row, name)[0]:
            attributes[name] = None
            continue
        value = layout.column(row, name)[0]
        if attribute.value_type is ValueType.STRING:
            reference = int(value)
            attributes[name] = strings[reference - 1].decode("utf-8", "replace") if reference else ""
        elif attribute.value_type.dtype == "<f4":
            # With the digits that a float32 has, as in answers.
            attributes[name] = [float(str(v)) for v in value] if attribute.value_type.is_list else float(str(value))
        else:
            attributes[name] = value.tolist()
    return attributes
