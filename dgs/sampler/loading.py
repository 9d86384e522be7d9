"""Brings committed records and rows of a sampler partition back into memory; many alike at a time, as there are millions."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dgs.codec.keys import FEATURES, ROWS, read_element_keys
from dgs.codec.values import FEATURE_SHAPE, ROW_SHAPE, decode_feature, decode_features, decode_row, decode_rows
from dgs.core.types import Int64s
from dgs.store.base import Store

if TYPE_CHECKING:
    from dgs.sampler.state import SamplerState

RUN = 4096
"""As many are decoded at a time."""


def load_features(state: "SamplerState", store: Store) -> None:
    """Load the newest records of all vertices; CodecError where one is damaged."""
    for vtype, ids, values in _alike(store, FEATURES, FEATURE_SHAPE):
        table, offsets = state.features[vtype], state.catalog.layouts.vertex[vtype].string_offsets
        vertices = state.vertices[vtype].intern(ids)
        if not offsets:
            table.put(vertices, *decode_features(values))
            continue
        for at, value in enumerate(values):
            timestamp, payload, texts = decode_feature(value)
            state.strings.adopt(payload[None, :], offsets, texts)
            table.put(vertices[at : at + 1], np.array([timestamp], np.int64), payload[None, :])


def load_rows(state: "SamplerState", store: Store) -> None:
    """Load the rows of all operators, and who subscribes to them; CodecError where one is damaged."""
    for number, ids, values in _alike(store, ROWS, ROW_SHAPE):
        rows = state.rows[number]
        vertices, offsets = state.vertices[rows.operator.vtype].intern(ids), state.catalog.layout(rows.operator).string_offsets
        most = int(vertices.max()) + 1
        if not offsets:
            found = decode_rows(values)
            rows.subscribers.reserve(most)[vertices] = found.subscribers
            if rows.reservoir is not None and found.slots.shape[1]:
                rows.reservoir.restore(vertices, found.slots, found.payload)
            continue
        for vertex, value in zip(vertices, values, strict=True):
            stored = decode_row(value)
            rows.subscribers.reserve(most)[vertex] = stored.subscribers
            if rows.reservoir is not None and len(stored.slots):
                state.strings.adopt(stored.payload, offsets, stored.strings)
                rows.reservoir.restore(np.array([vertex], np.int32), stored.slots[None, :], stored.payload[None, :])


class _Alike(NamedTuple):
    """Elements of one owner whose values have one shape: vertex ids int64 [n], and the values."""

    owner: int
    ids: Int64s
    values: list[bytes]


def _alike(store: Store, table: bytes, shape: slice) -> Iterator[_Alike]:
    """Yield a table's elements in runs; `shape` is the part of a value that tells how long its columns are."""
    waiting: dict[tuple[bytes, bytes, int], list[tuple[bytes, bytes]]] = defaultdict(list)
    for key, value in store.scan(table):
        look = key[:-8], value[shape], len(value)
        own = waiting[look]
        own.append((key, value))
        if len(own) == RUN:
            yield _run(waiting.pop(look))
    for own in waiting.values():
        yield _run(own)


def _run(elements: list[tuple[bytes, bytes]]) -> _Alike:
    keys, values = zip(*elements, strict=True)
    owner, ids = read_element_keys(keys)
    return _Alike(owner, ids, list(values))
