"""From a seed to its ego-graph: a walk over the plan through rows that all stand in this partition."""

import numpy as np

from dgs.core.egograph import NOT_LOOKED_FOR, Edges, EgoGraph, Vertices
from dgs.core.kernels.expand import collect, distinct, expand
from dgs.core.kernels.replica import PENDING
from dgs.core.operators import InstalledQuery
from dgs.core.query import NodeKind, PlanNode
from dgs.core.slab import Slab
from dgs.core.types import Int8s, Int32s, Int64s
from dgs.serving.state import Rows, ServingState


class Members:
    """The vertices of one type, collected over many walks; a stamp tells those of the running one.

    Attributes:
        rows: int32, vertex rows by place, with spare room behind `used`.
    """

    def __init__(self) -> None:
        self._stamps, self._places = Slab("<i4"), Slab("<i4")
        self._stamp = 0
        self.rows: Int32s = np.empty(64, np.int32)
        self.used = 0

    def begin(self) -> None:
        """Forget the walk before."""
        self._stamp += 1
        self.used = 0
        if self._stamp == 2**31 - 1:
            self._stamps, self._stamp = Slab("<i4"), 1

    def places(self, rows: Int32s, known_rows: int) -> Int32s:
        """Return the place of every vertex row (all below `known_rows`), giving places to those that have none."""
        stamps, places = self._stamps.reserve(known_rows), self._places.reserve(known_rows)
        if self.used + len(rows) > len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty(self.used + len(rows), np.int32)])
        out: Int32s = np.empty(len(rows), np.int32)
        self.used = collect(rows, self._stamp, stamps, places, self.rows, self.used, out)
        return out


class Lookup:
    """Answers requests from the state of one serving partition; not safe to be used by two at a time."""

    def __init__(self, state: ServingState) -> None:
        self._state = state
        self._members = {vtype: Members() for vtype in state.vertices}

    def ego_graph(self, query: InstalledQuery, seed: int) -> EgoGraph:
        """Return the seed's ego-graph under a query; of an unknown seed it is the seed alone."""
        state, plan = self._state, query.plan
        for members in self._members.values():
            members.begin()
        row = state.vertices[plan.seed_type].find(np.array([seed], np.int64))
        start = self._members[plan.seed_type].places(row, state.vertices[plan.seed_type].used)
        gives: dict[tuple[int, int], Int32s] = {(plan.source.id, plan.seed_type): start}
        covers: dict[int, list[tuple[Rows, Int32s]]] = {}
        pending: set[tuple[int, int]] = set()
        edges: list[Edges] = []
        hops = plan.hops()
        for node in plan.nodes:
            frontier = self._frontier(node, gives)
            rows = state.rows[query.operator_of[node.id]]
            self._note_pending(rows, frontier, pending)
            if node.kind is NodeKind.VERTEX_SAMPLER:
                covers.setdefault(node.vtype, []).append((rows, frontier))
                continue
            for dst_type in node.dst_types:
                found = self._expand(node, hops[node.id], rows, frontier, dst_type)
                gives[node.id, dst_type] = found.dst
                edges.append(found)
        vertices = {vtype: self._vertices(vtype, covers.get(vtype, [])) for vtype in plan.vertex_types}
        vertices[plan.seed_type].ids[0] = seed
        return EgoGraph(seed, plan.seed_type, vertices, edges, len(pending), state.strings)

    def _frontier(self, node: PlanNode, gives: dict[tuple[int, int], Int32s]) -> Int32s:
        """Places that a node starts from, each once."""
        parts = [gives[u, node.vtype] for u in node.upstreams]
        places = parts[0] if len(parts) == 1 else np.concatenate(parts)
        out: Int32s = np.empty(len(places), np.int32)
        n = distinct(places, np.zeros(self._members[node.vtype].used, np.uint8), out)
        return out[:n]

    def _note_pending(self, rows: Rows, frontier: Int32s, pending: set[tuple[int, int]]) -> None:
        vertices = self._members[rows.operator.vtype].rows[frontier]
        vertices = vertices[vertices < len(rows.states)]
        waiting = vertices[rows.states[vertices] == PENDING]
        if len(waiting):
            pending.update((rows.operator.id, v) for v in waiting.tolist())

    def _expand(self, node: PlanNode, hop: int, rows: Rows, frontier: Int32s, dst_type: int) -> Edges:
        table = rows.table
        assert table is not None
        most = len(frontier) * table.fanout
        src, dst_rows = np.empty(most, np.int32), np.empty(most, np.int32)
        timestamps, scores = np.empty(most, np.int64), np.empty(most, np.uint64)
        payload = np.empty((most, table.width), np.uint8)
        n = expand(
            frontier,
            self._members[node.vtype].rows,
            dst_type,
            table.fanout,
            table.row_of,
            table.counts,
            table.slots,
            table.payload,
            src,
            dst_rows,
            timestamps,
            scores,
            payload,
        )
        dst = self._members[dst_type].places(dst_rows[:n], self._state.vertices[dst_type].used)
        return Edges(node, hop, dst_type, src[:n], dst, timestamps[:n], scores[:n], payload[:n])

    def _vertices(self, vtype: int, covers: list[tuple[Rows, Int32s]]) -> Vertices:
        members = self._members[vtype]
        rows = members.rows[: members.used]
        layout = self._state.catalog.layouts.vertex[vtype]
        ids: Int64s = self._state.vertices[vtype].ids[rows]
        known: Int8s = np.full(len(rows), NOT_LOOKED_FOR, np.int8)
        timestamps: Int64s = np.zeros(len(rows), np.int64)
        payload = np.zeros((len(rows), layout.width), np.uint8)
        for operator_rows, places in covers:
            records = operator_rows.records
            assert records is not None
            records.reserve(self._state.vertices[vtype].used)
            own = rows[places]
            known[places] = records.known[own]
            timestamps[places] = records.timestamps[own]
            payload[places] = records.payload[own]
        return Vertices(vtype, ids, known, timestamps, payload)
