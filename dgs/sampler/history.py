"""All edges of a sampler partition, by source: what refills a row when one of its edges was lowered.

Edges live in the store; those of entries that are not committed yet stand in memory in front of it.
"""

import numpy as np

from dgs.codec.keys import HISTORY_BYTES, PREFIX_BYTES, history_keys, history_prefix, read_history_keys
from dgs.codec.values import decode_payload, decode_payloads, encode_payloads
from dgs.core.layout import Layout
from dgs.core.records import EdgeRecords
from dgs.core.reservoir import EdgeColumns
from dgs.core.strings import StringTable
from dgs.core.types import Bytes, Int32s
from dgs.store.base import Store


class History:
    """Edges by identity; the newest attributes of each."""

    def __init__(self, store: Store, strings: StringTable) -> None:
        self._store = store
        self._strings = strings
        self._active: dict[bytes, dict[bytes, bytes]] = {}
        self._frozen: dict[bytes, dict[bytes, bytes]] = {}

    def put(self, edges: EdgeRecords, layout: Layout) -> None:
        """Keep edges; the same identity again replaces its attributes."""
        payload, texts = edges.payload, None
        if layout.string_offsets:
            alone = [self._strings.export([(payload[i : i + 1], layout.string_offsets)]) for i in range(len(payload))]
            payload, texts = np.concatenate([rows[0] for rows, _ in alone]), [strings for _, strings in alone]
        keys, values, active = history_keys(edges), encode_payloads(payload, texts), self._active
        at = 0
        for value in values:
            middle = at + PREFIX_BYTES
            prefix = keys[at:middle]
            at += HISTORY_BYTES
            own = active.get(prefix)
            if own is None:
                own = active[prefix] = {}
            own[keys[middle:at]] = value

    def edges_of(self, etype: int, src_type: int, src: int, layout: Layout) -> tuple[EdgeColumns, Int32s]:
        """Return all edges of a source, and the vertex types of their destinations: int32 [n]."""
        prefix = history_prefix(etype, src_type, src)
        found = {key[PREFIX_BYTES:]: value for key, value in self._store.scan(prefix)}
        found.update(self._frozen.get(prefix, {}))
        found.update(self._active.get(prefix, {}))
        timestamps, dst_types, dst = read_history_keys([prefix + suffix for suffix in found])
        payload = self._payloads(list(found.values()), layout)
        return EdgeColumns(np.full(len(found), src, np.int64), dst, timestamps, payload), dst_types

    def _payloads(self, values: list[bytes], layout: Layout) -> Bytes:
        sizes = set(map(len, values))
        if not layout.string_offsets and len(sizes) == 1:
            return layout.widen(decode_payloads(values))
        payload = np.zeros((len(values), layout.width), np.uint8)
        for row, value in zip(payload, values, strict=True):
            stored, strings = decode_payload(value)
            self._strings.adopt(stored[None, :], layout.string_offsets, strings)
            row[: len(stored)] = stored
        return payload

    def freeze(self) -> dict[bytes, bytes]:
        """Return everything since the last freeze as keys and values to commit; it stays readable until `committed`."""
        assert not self._frozen, "one commit at a time"
        self._frozen, self._active = self._active, {}
        return {prefix + suffix: value for prefix, own in self._frozen.items() for suffix, value in own.items()}

    def committed(self) -> None:
        """The store holds what was frozen."""
        self._frozen = {}
