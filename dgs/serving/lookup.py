"""From seeds to their ego-graphs: a walk over the plan through rows that all stand in this partition.

One walk may start from many seeds; what they share is walked and written once. It waits for nothing and changes nothing that is
seen outside.
"""

from collections.abc import Sequence

import numpy as np

from dgs.codec.messages import GraphHead, graph_begin, texts_of
from dgs.core.egograph import NOT_LOOKED_FOR, Edges, EgoGraph, Vertices
from dgs.core.kernels.gather import locate, measure, references, write
from dgs.core.kernels.walk import walk
from dgs.core.operators import InstalledQuery
from dgs.core.query import PlanNode
from dgs.core.types import Bytes, Int8s, Int32s, Int64s
from dgs.serving.program import Members, Program
from dgs.serving.state import ServingState

PROGRAMS_MOST = 64
"""As many combinations of query and fanouts are kept ready."""
_STAMPS = 1 << 31


class Lookup:
    """Answers requests from the state of one serving partition; not safe to be used by two at a time."""

    def __init__(self, state: ServingState) -> None:
        self._state = state
        self._members = {vtype: Members() for vtype in state.vertices}
        self._programs: dict[tuple[int, Sequence[int] | None], Program] = {}
        self._stamp = 0
        self._mark = 1
        self._scratch: Int32s = np.empty(1 << 12, np.int32)
        self._addresses: Int64s = np.empty(1 << 12, np.int64)
        self._bits: Bytes = np.empty(64, np.uint8)

    def ego_graph(self, query: InstalledQuery, seed: int, fanouts: tuple[int, ...] | None = None) -> EgoGraph:
        """Return the seed's ego-graph under a query; of an unknown seed it is the seed alone.

        Args:
            query: one that this partition has.
            seed: any int64.
            fanouts: for each edge node of the plan, how many of a row's neighbours are wanted, at most its own; None for all.
        """
        program = self._program(query, fanouts)
        self._walk(program, np.array([seed], np.int64))
        pending = int(program.nodes["pending"].sum())
        hops = query.plan.hops()
        edges = [self._edges(program, i, node, hops[node.id], dst) for i, (node, dst) in enumerate(program.pairs)]
        vertices = {vtype: self._vertices(program, i, vtype) for i, vtype in enumerate(program.vtypes)}
        vertices[query.plan.seed_type].ids[0] = seed
        return EgoGraph(seed, query.plan.seed_type, vertices, edges, pending, self._state.strings)

    def graph(
        self,
        query: InstalledQuery,
        seeds: Int64s,
        asked: Int32s,
        *,
        fanouts: tuple[int, ...] | None = None,
        scores: bool = False,
        before: bytes = b"",
    ) -> tuple[memoryview, int]:
        """Return a `Samples` message that holds the merged ego-graphs of seeds, and how many of its rows are pending.

        Args:
            query, fanouts: as `ego_graph`.
            seeds: int64 [s].
            asked: int32 [s], their places in the request.
            scores: whether edges carry them.
            before: what the message begins with.
        """
        program = self._program(query, fanouts)
        places, distinct = self._walk(program, seeds)
        recipe = program.recipe(scores)
        elements, parts, groups, types = recipe.elements, recipe.parts, program.groups, program.types
        if 2 * recipe.presence_bytes > len(self._bits):
            self._bits = np.empty(2 * recipe.presence_bytes, np.uint8)
        while most := locate(elements, parts, groups, types, self._scratch, self._addresses, self._bits):
            self._addresses = np.empty(most, np.int64)
        texts: list[tuple[bytes, bytes]] = []  # kept until they are copied
        for column in recipe.texts:
            texts.append(self._texts(recipe.elements[column.element], column.offset))
            part, (values, offsets) = parts[column.part], texts[-1]
            part["texts"], part["texts_bytes"], part["offsets"] = _address(values), len(values), _address(offsets)
        size = measure(elements, parts)
        state = self._state
        pending = int(program.nodes["pending"].sum())
        head = GraphHead(program.seed_type, seeds, asked, places, state.positions, state.watermark, pending)
        begin = before + graph_begin(head, size)
        out: Bytes = np.empty(len(begin) + size, np.uint8)
        out[: len(begin)] = np.frombuffer(begin, np.uint8)
        at = out.__array_interface__["data"][0]
        end = write(
            elements, parts, recipe.literals_address, groups, types, distinct, self._scratch, self._addresses, at + len(begin)
        )
        assert end == at + len(out), "a message of another size than was measured"
        return out.data, pending

    def _program(self, query: InstalledQuery, fanouts: tuple[int, ...] | None) -> Program:
        key = (query.id, fanouts)
        program = self._programs.get(key)
        if program is None or program.query is not query:
            while len(self._programs) >= PROGRAMS_MOST:
                del self._programs[next(iter(self._programs))]
            program = self._programs[key] = Program(query, fanouts, self._state, self._members)
        return program

    def _walk(self, program: Program, seeds: Int64s) -> tuple[Int32s, Int64s]:
        """Walk from seeds; return the place of each, int32 [s], and the distinct ones, int64 with room for s."""
        program.bind(len(seeds))
        places, distinct = np.empty(len(seeds), np.int32), np.empty(len(seeds), np.int64)
        most = 1
        while most:
            self._stamp += 1
            self._mark += len(program.nodes)
            if self._stamp == _STAMPS:
                for members in self._members.values():
                    members.forget()
                self._stamp = 1
                program.bind(len(seeds))
            most = walk(
                program.nodes,
                program.feeds,
                program.groups,
                program.types,
                seeds,
                places,
                distinct,
                self._stamp,
                self._mark,
                self._scratch,
            )
            if most:
                self._scratch = np.empty(2 * most, np.int32)
        return places, distinct

    def _texts(self, element: np.void, offset: int) -> tuple[bytes, bytes]:
        first, rows = int(element["address0"]), int(element["rows"])
        found: Int64s = np.empty(rows, np.int64)
        references(self._addresses[first : first + rows], offset, found)
        return texts_of(found, self._state.strings)

    def _edges(self, program: Program, index: int, node: PlanNode, hop: int, dst_type: int) -> Edges:
        table = self._state.rows[program.query.operator_of[node.id]].table
        assert table is not None
        group = program.groups[index]
        n = int(group["n"])
        src, dst, slots = (self._scratch[group[name] : group[name] + n].copy() for name in ("src", "dst", "slot"))
        found = table.slots[slots]
        return Edges(node, hop, dst_type, src, dst, found["timestamp"], found["score"], table.payload[slots])

    def _vertices(self, program: Program, index: int, vtype: int) -> Vertices:
        members, state = self._members[vtype], self._state
        used = int(program.types[index]["used"])
        rows = members.rows.array[:used]
        layout = state.catalog.layouts.vertex[vtype]
        ids: Int64s = state.vertices[vtype].ids[rows]
        known: Int8s = np.full(used, NOT_LOOKED_FOR, np.int8)
        timestamps: Int64s = np.zeros(used, np.int64)
        payload: Bytes = np.zeros((used, layout.width), np.uint8)
        covered = np.flatnonzero(members.covered.array[:used])
        if len(covered):
            records = program.records(vtype)
            records.reserve(state.vertices[vtype].used)
            own = rows[covered]
            known[covered], timestamps[covered] = records.known[own], records.timestamps[own]
            payload[covered] = records.payload[own]
        return Vertices(vtype, ids, known, timestamps, payload)


def _address(data: bytes) -> int:
    return int(np.frombuffer(data, np.uint8).__array_interface__["data"][0]) if data else 0
