"""The rows of an edge operator in a sampler partition: edges in, blocks out.

One log entry is applied as `offer` (any number of times), `refills` answered by `refill`, then `differences` once. Kernels do the
work; the class holds the arrays and makes room.
"""

from dataclasses import dataclass

import numpy as np

from dgs.core.blocks import BLOCK, SLOT, Blocks
from dgs.core.kernels import reservoir as kernels
from dgs.core.kernels.scores import score_edges
from dgs.core.layout import Layout
from dgs.core.operators import Operator
from dgs.core.rows import RowTable
from dgs.core.slab import Slab
from dgs.core.types import Bytes, Int32s, Int64s, Records, UInt64s


@dataclass(frozen=True, slots=True)
class EdgeColumns:
    """Edges as an operator scores them.

    Attributes:
        src: int64 [n].
        dst: int64 [n].
        timestamps: int64 [n].
        payload: uint8 [n, width].
    """

    src: Int64s
    dst: Int64s
    timestamps: Int64s
    payload: Bytes


class Reservoir:
    """Rows of one edge operator, keyed by the row numbers of a `VertexIndex`."""

    def __init__(self, operator: Operator, layout: Layout) -> None:
        self.operator = operator
        self.layout = layout
        self.rows = RowTable(operator.fanout, layout.width)
        self._touched_count = 0
        self._touch = Slab("<i4")
        self._touched = Slab("<i4")
        self._before_counts = Slab("<i4")
        self._before_slots = Slab(SLOT)
        self._before_payload = Slab("u1", layout.width)
        self._refill = Slab("u1")

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        scratch = (self._touch, self._touched, self._before_counts, self._before_slots, self._before_payload, self._refill)
        return self.rows.nbytes + sum(slab.nbytes for slab in scratch)

    def scored(self, edges: EdgeColumns) -> tuple[UInt64s, UInt64s]:
        """Return scores and ties of edges: uint64 [n] each."""
        operator = self.operator
        scores: UInt64s = np.empty(len(edges.src), np.uint64)
        ties: UInt64s = np.empty(len(edges.src), np.uint64)
        weights = np.empty(0, np.float64)
        if operator.weight_attr is not None:
            present = self.layout.present(edges.payload, operator.weight_attr)
            weights = np.where(present, self.layout.column(edges.payload, operator.weight_attr), 1.0).astype(np.float64)
        score_edges(
            int(operator.strategy),
            np.uint64(operator.digest),
            operator.half_life,
            edges.src,
            edges.dst,
            edges.timestamps,
            weights,
            scores,
            ties,
        )
        return scores, ties

    def offer(self, vertices: Int32s, edges: EdgeColumns, dst_type: int) -> None:
        """Offer edges in order; `vertices` (int32 [n]) are the rows of their sources."""
        n, k, rows = len(vertices), self.rows.fanout, self.rows
        rows.reserve(int(vertices.max(initial=0)) + 1, n)
        most = self._touched_count + n
        self._touch.reserve(len(rows.counts))
        self._touched.reserve(most)
        self._before_counts.reserve(most)
        self._before_slots.reserve(most * k)
        self._before_payload.reserve(most * k)
        self._refill.reserve(most)
        scores, ties = self.scored(edges)
        self._touched_count = kernels.offer(
            vertices,
            edges.dst,
            dst_type,
            edges.timestamps,
            scores,
            ties,
            edges.payload,
            self.operator.strategy.weighted,
            k,
            rows.row_of,
            rows.counts,
            rows.slots,
            rows.payload,
            rows.free,
            rows.cursors,
            self._touch.array,
            self._touched.array,
            self._before_counts.array,
            self._before_slots.array,
            self._before_payload.array,
            self._refill.array,
            self._touched_count,
        )

    def refills(self) -> Int32s:
        """Return the vertices whose rows only history can tell now."""
        n = self._touched_count
        vertices: Int32s = self._touched.array[:n][self._refill.array[:n] != 0]
        return vertices

    def refill(self, vertex: int, edges: EdgeColumns, dst_types: Int32s) -> None:
        """Make the row of a vertex anew from all its live edges; `dst_types` is int32 [n]."""
        scores, ties = self.scored(edges)
        order = np.lexsort((edges.timestamps, dst_types, edges.dst, ties, scores))[::-1]
        if self.operator.strategy.weighted:
            order = order[scores[order] != 0]
        slots = np.zeros(len(scores), SLOT)
        slots["score"], slots["tie"], slots["timestamp"] = scores, ties, edges.timestamps
        slots["dst"], slots["dst_type"] = edges.dst, dst_types
        chosen = np.ascontiguousarray(order[: self.rows.fanout])
        rows = self.rows
        kernels.replace_row(
            int(rows.row_of[vertex]), chosen, slots, edges.payload, rows.fanout, rows.counts, rows.slots, rows.payload
        )

    def differences(self, ids: Int64s) -> tuple[Int32s, Blocks]:
        """Return what the entry changed, in the order of vertex ids, and the vertices' rows: int32 [n]. Ends the entry."""
        n, k, rows = self._touched_count, self.rows.fanout, self.rows
        order = np.argsort(ids[self._touched.array[:n]])
        heads, changed = np.empty(n, BLOCK), np.empty(n, np.int32)
        additions = np.empty(n * k, SLOT)
        payload = np.empty((n * k, rows.width), np.uint8)
        removals = np.empty(n * k, np.uint16)
        sizes = np.zeros(3, np.int64)
        kernels.differences(
            order,
            self.operator.id,
            ids,
            k,
            rows.row_of,
            rows.counts,
            rows.slots,
            rows.payload,
            self._touch.array,
            self._touched.array,
            self._before_counts.array,
            self._before_slots.array,
            self._before_payload.array,
            heads,
            changed,
            additions,
            payload,
            removals,
            sizes,
        )
        self._touched_count = 0
        blocks, added, removed = sizes
        found = Blocks(heads[:blocks], additions[:added], removals[:removed], payload[:added].reshape(-1))
        return changed[:blocks], found

    def whole(self, vertices: Int32s, ids: Int64s, echoes: UInt64s) -> Blocks:
        """Return the whole rows of vertices (rows int32 [n], ids int64 [n]) in answer to subscribes of these numbers."""
        rows, total = self.rows, int(self.counts(vertices).sum())
        heads, additions = np.empty(len(vertices), BLOCK), np.empty(total, SLOT)
        payload = np.empty((total, rows.width), np.uint8)
        kernels.whole_rows(
            vertices,
            ids,
            echoes,
            self.operator.id,
            rows.fanout,
            rows.row_of,
            rows.counts,
            rows.slots,
            rows.payload,
            heads,
            additions,
            payload,
        )
        return Blocks(heads, additions, np.zeros(0, np.uint16), payload.reshape(-1))

    def widen(self, layout: Layout) -> None:
        """Adopt a newer layout of the edge type; only between entries."""
        self.layout = layout
        self.rows.widen(layout.width)
        self._before_payload = Slab("u1", layout.width)

    def counts(self, vertices: Int32s) -> Int32s:
        """Return how many slots the rows of vertices have: int32 [n]."""
        rows = self.rows
        rows.reserve(int(vertices.max(initial=0)) + 1, 0)
        counts: Int32s = rows.counts[rows.row_of[vertices]]
        return counts

    def packed(self, vertices: Int32s, heads: Bytes) -> list[bytes]:
        """Return head (uint8 [n, …]), filled slots and payloads of every row as bytes, for the store."""
        rows, counts = self.rows, self.counts(vertices)
        out = np.empty(heads.size + int(counts.sum()) * (SLOT.itemsize + rows.width), np.uint8)
        ends = np.empty(len(vertices), np.int64)
        as_bytes = rows.slots.view(np.uint8).reshape(-1, SLOT.itemsize)
        kernels.pack_rows(vertices, rows.fanout, rows.row_of, rows.counts, as_bytes, rows.payload, heads, out, ends)
        data, start, parts = out.tobytes(), 0, []
        for end in ends.tolist():
            parts.append(data[start:end])
            start = end
        return parts

    def restore(self, vertices: Int32s, slots: Records, payload: Bytes) -> None:
        """Put rows back that `packed` gave, of vertices that have none; payloads of an older layout are widened.

        Args:
            vertices: int32 [n].
            slots: SLOT [n, count].
            payload: uint8 [n, count, width].
        """
        wide = self.layout.widen(payload.reshape(-1, payload.shape[2]))
        self.rows.append(vertices, slots, wide.reshape(*slots.shape, self.rows.width))
