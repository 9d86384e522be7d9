"""From seeds to their ego-graphs: a walk over the plan through rows that all stand in this partition.

One walk may start from many seeds; what they share is walked and written once. It waits for nothing and changes nothing that is
seen outside.
"""

import numpy as np

from dgs.codec.messages import Recipe, reflected_fields, texts_of
from dgs.core.egograph import NOT_LOOKED_FOR, Edges, EgoGraph, Vertices
from dgs.core.kernels.answer import BOTH, STAMPS, WALK, WRITE
from dgs.core.kernels.gather import references
from dgs.core.operators import InstalledQuery
from dgs.core.query import PlanNode
from dgs.core.types import Bytes, Int8s, Int32s, Int64s
from dgs.serving.program import Gathering, Members, Program
from dgs.serving.room import Room, address_of
from dgs.serving.state import ServingState

PROGRAMS_MOST = 64
"""As many combinations of query and fanouts are kept ready."""
_FIRST: Int32s = np.zeros(1, np.int32)


class Lookup:
    """Answers requests from the state of one serving partition; not safe to be used by two at a time."""

    def __init__(self, state: ServingState) -> None:
        self._state = state
        self._members = {vtype: Members() for vtype in state.vertices}
        self._programs: dict[tuple[int, tuple[int, ...] | None], Program] = {}
        self._room = Room()
        self._reflected: tuple[list[int], list[int | None]] | None = None

    def ego_graph(self, query: InstalledQuery, seed: int, fanouts: tuple[int, ...] | None = None) -> EgoGraph:
        """Return the seed's ego-graph under a query; of an unknown seed it is the seed alone.

        Args:
            query: one that this partition has.
            seed: any int64.
            fanouts: for each edge node of the plan, how many of a row's neighbours are wanted, at most its own; None for all.
        """
        program = self._program(query, fanouts)
        self._room.ask(np.array([seed], np.int64), _FIRST)
        program.bind(1)
        self._run(program, 1, program.walk_only, WALK)
        hops = query.plan.hops()
        edges = [self._edges(program, i, node, hops[node.id], dst) for i, (node, dst) in enumerate(program.pairs)]
        vertices = {vtype: self._vertices(program, i, vtype) for i, vtype in enumerate(program.vtypes)}
        vertices[query.plan.seed_type].ids[0] = seed
        return EgoGraph(seed, query.plan.seed_type, vertices, edges, self._room.pending, self._state.strings)

    def graph(
        self,
        query: InstalledQuery,
        seeds: Int64s,
        asked: Int32s,
        *,
        fanouts: tuple[int, ...] | None = None,
        scores: bool = False,
        before: bytes = b"",
    ) -> tuple[bytes | memoryview, int]:
        """Return a `Samples` message that holds the merged ego-graphs of seeds, and how many of its rows are pending.

        Args:
            query: as `ego_graph`.
            seeds: int64 [s].
            asked: int32 [s], their places in the request.
            fanouts: as `ego_graph`.
            scores: whether edges carry them.
            before: what the message begins with.
        """
        program, room = self._program(query, fanouts), self._room
        room.ask(seeds, asked)
        self._tell_reflected()
        program.bind(len(seeds))  # a recipe belongs to the tables of now
        gathering = program.gathering(scores=scores)
        recipe = gathering.recipe
        assert recipe is not None, "a gathering that only walks"
        room.reserve_bits(recipe.presence_bytes)
        texts: list[tuple[Bytes, Bytes]] = []
        if recipe.texts:
            self._run(program, len(seeds), gathering, WALK)
            texts = self._look_up_texts(recipe)  # they live until they are copied
        code = self._run(program, len(seeds), gathering, WRITE if recipe.texts else BOTH)
        body = room.message(gathering.context, code, before)
        del texts
        return body, room.pending

    def _program(self, query: InstalledQuery, fanouts: tuple[int, ...] | None) -> Program:
        key = (query.id, fanouts)
        program = self._programs.get(key)
        if program is None or program.query is not query:
            while len(self._programs) >= PROGRAMS_MOST:
                del self._programs[next(iter(self._programs))]
            program = self._programs[key] = Program(query, fanouts, self._state, self._members)
        return program

    def _run(self, program: Program, seeds: int, gathering: Gathering, stages: int) -> int:
        """Run a program that has been bound for so many seeds."""
        while (code := self._room.run(gathering.context, stages)) == STAMPS:
            for members in self._members.values():
                members.forget()
            self._room.forget_stamps()
            program.bind(seeds)
        return code

    def _tell_reflected(self) -> None:
        state = self._state
        if (state.positions, state.watermarks) != self._reflected:
            self._reflected = (list(state.positions), list(state.watermarks))
            self._room.reflect(reflected_fields(state.positions, state.watermark))

    def _look_up_texts(self, recipe: Recipe) -> list[tuple[Bytes, Bytes]]:
        """Put the texts of string columns where the kernel finds them; they must live until it has run."""
        kept = []
        for column in recipe.texts:
            element, part = recipe.elements[column.element], recipe.parts[column.part]
            first, rows = int(element["address0"]), int(element["rows"])
            found: Int64s = np.empty(rows, np.int64)
            references(self._room["addresses"][first : first + rows], column.offset, found)
            values, offsets = (np.frombuffer(data, np.uint8) for data in texts_of(found, self._state.strings))
            part["texts"], part["texts_bytes"], part["offsets"] = address_of(values), len(values), address_of(offsets)
            kept.append((values, offsets))
        return kept

    def _edges(self, program: Program, index: int, node: PlanNode, hop: int, dst_type: int) -> Edges:
        table = self._state.rows[program.query.operator_of[node.id]].table
        assert table is not None
        group = program.groups[index]
        n = int(group["n"])
        src, dst, slots = (self._room["scratch"][group[name] : group[name] + n].copy() for name in ("src", "dst", "slot"))
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
