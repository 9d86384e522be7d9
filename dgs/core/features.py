"""The newest record of every vertex of one type: its timestamp and its payload, by vertex row."""

import numpy as np

from dgs.core.blocks import BLOCK, DELTA, SLOT, WHOLE, Blocks
from dgs.core.image import Part
from dgs.core.kernels.features import offer_features
from dgs.core.layout import Layout
from dgs.core.slab import Slab
from dgs.core.strings import read_references
from dgs.core.types import Bytes, Int32s, Int64s, UInt64s


class FeatureTable:
    """Newest records of one vertex type, keyed by the row numbers of a `VertexIndex`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._known = Slab("u1")
        self._timestamps = Slab("<i8")
        self._payload = Slab("u1", layout.width)
        self._touch = Slab("u1")
        self.reserve(1)

    def reserve(self, vertices: int) -> None:
        """Make room for vertex rows below `vertices`."""
        for slab in (self._known, self._timestamps, self._payload, self._touch):
            slab.reserve(vertices)

    @property
    def known(self) -> Bytes:
        """1 where a record has arrived: uint8 by vertex row."""
        return self._known.array

    @property
    def timestamps(self) -> Int64s:
        """int64 by vertex row."""
        return self._timestamps.array

    @property
    def payload(self) -> Bytes:
        """uint8 [vertex rows, width]."""
        return self._payload.array

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        return sum(slab.nbytes for slab in (self._known, self._timestamps, self._payload, self._touch))

    def offer(self, vertices: Int32s, timestamps: Int64s, payload: Bytes) -> Int32s:
        """Apply records in order (rows int32 [n], int64 [n], uint8 [n, width]); return the rows that changed."""
        self.reserve(int(vertices.max(initial=0)) + 1)
        touched: Int32s = np.empty(len(vertices), np.int32)
        n = offer_features(vertices, timestamps, payload, self.known, self.timestamps, self.payload, self._touch.array, touched)
        return touched[:n]

    def put(self, vertices: Int32s, timestamps: Int64s, payload: Bytes) -> None:
        """Put stored records back (rows int32 [n], int64 [n], uint8 [n, width]); payloads of an older layout are widened."""
        self.reserve(int(vertices.max(initial=0)) + 1)
        self.known[vertices], self.timestamps[vertices] = 1, timestamps
        self.payload[vertices] = self.layout.widen(payload)

    def differences(self, operator: int, vertices: Int32s, ids: Int64s) -> Blocks:
        """Return DELTA blocks of changed vertices: rows int32 [n] and their ids int64 [n]."""
        return self._blocks(DELTA, operator, vertices, ids, np.zeros(len(vertices), np.uint64))

    def whole(self, operator: int, vertices: Int32s, ids: Int64s, echoes: UInt64s) -> Blocks:
        """Return whole rows in answer to subscribes of these numbers; a vertex that is not known has an empty row."""
        self.reserve(int(vertices.max(initial=0)) + 1)
        return self._blocks(WHOLE, operator, vertices, ids, echoes)

    def _blocks(self, kind: int, operator: int, vertices: Int32s, ids: Int64s, echoes: UInt64s) -> Blocks:
        known = self.known[vertices]
        heads = np.zeros(len(vertices), BLOCK)
        heads["kind"], heads["operator"], heads["vertex"], heads["echo"] = kind, operator, ids, echoes
        heads["count"] = heads["added"] = known
        heads["payload_bytes"] = known.astype(np.uint32) * np.uint32(self.layout.width)
        present = vertices[known != 0]
        additions = np.zeros(len(present), SLOT)
        additions["timestamp"] = self.timestamps[present]
        return Blocks(heads, additions, np.zeros(0, np.uint16), self.payload[present].reshape(-1))

    def widen(self, layout: Layout) -> None:
        """Adopt a newer layout of the vertex type."""
        if layout.width != self.layout.width:
            wide = Slab("u1", layout.width)
            wide.reserve(len(self.known))
            wide.array[: len(self.payload), : self.layout.width] = self.payload[: len(wide.array)]
            self._payload = wide
        self.layout = layout

    def parts(self, vertices: int) -> dict[str, Part]:
        """Return what has to be kept to have these records again, of vertex rows below `vertices`."""
        return {
            name: Part(slab, min(vertices, len(slab.array)))
            for name, slab in (("known", self._known), ("timestamps", self._timestamps), ("payload", self._payload))
        }

    def references(self, begin: int = 0, end: int | None = None) -> list[UInt64s]:
        """Return the string references of known vertices, of rows begin … end - 1 or of all, an array for each string attribute."""
        n = min(len(self.known), len(self.payload))
        rows = slice(begin, n if end is None else min(end, n))
        return [read_references(self.payload[rows], at)[self.known[rows] != 0] for at in self.layout.string_offsets]
