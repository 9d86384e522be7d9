"""A query as the kernels of a request need it: nodes, groups and types as records that hold the addresses of a partition's tables.

A program is made once per query (and fanouts) and bound again whenever memory has moved. `dgs.serving.lookup` runs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dgs.codec.messages import Recipe, graph_head, graph_recipe, groups_of
from dgs.core.features import FeatureTable
from dgs.core.kernels.answer import CONTEXT
from dgs.core.kernels.walk import GROUP, NODE, TYPE
from dgs.core.operators import InstalledQuery
from dgs.core.query import NodeKind, PlanNode
from dgs.core.slab import Slab
from dgs.core.types import Bytes, Int32s, Records
from dgs.serving.room import address_of
from dgs.serving.state import ServingState


class Members:
    """Room for the vertices of one type that a walk meets; kept between walks, which tell their own by stamps.

    Attributes:
        tags: int64 by vertex row.
        rows, marks, covered: int32, int64, uint8 by place.
    """

    def __init__(self) -> None:
        self.tags, self.rows, self.marks, self.covered = Slab("<i8"), Slab("<i4"), Slab("<i8"), Slab("u1")
        self._vertices = self._places = 0
        self.reserve(1, 1)

    def reserve(self, vertices: int, seeds: int) -> None:
        """Make room for vertex rows below `vertices` and for walks from `seeds` seeds that nobody may know."""
        if vertices > self._vertices or vertices + seeds > self._places:
            places = vertices + seeds
            self.tags.reserve(vertices)
            for slab in (self.rows, self.marks, self.covered):
                slab.reserve(places)
            self._vertices = len(self.tags.array)
            self._places = min(len(slab.array) for slab in (self.rows, self.marks, self.covered))

    def forget(self) -> None:
        """Take all stamps away, so that they can be given from 1 on again."""
        self.tags = Slab("<i8")
        self.tags.reserve(self._vertices)


@dataclass(frozen=True, slots=True)
class Gathering:
    """A program and a recipe of its graphs, for the kernel; `recipe` is None where only the walk is wanted."""

    context: Records
    recipe: Recipe | None


class Program:
    """A query under certain fanouts.

    Attributes:
        query: the query.
        types: TYPE, of the plan's vertex types, the seed's first.
        nodes: NODE.
        groups: GROUP.
        vtypes: the vertex type of each of `types`.
        pairs: the plan node and the destination type of each of `groups`.
    """

    def __init__(
        self, query: InstalledQuery, fanouts: Sequence[int] | None, state: ServingState, members: dict[int, Members]
    ) -> None:
        plan = query.plan
        self.query = query
        self.vtypes = plan.vertex_types
        self.types: Records = np.zeros(len(self.vtypes), TYPE)
        self.nodes: Records = np.zeros(len(plan.nodes), NODE)
        self.pairs = groups_of(query)
        self.groups: Records = np.zeros(len(self.pairs), GROUP)
        self._state = state
        self._members = members
        self._catalog = state.catalog
        self._moves = -1
        self._seeds = 0
        self._feeds = self._lay_out(list(plan.nodes), fanouts)
        head = graph_head(state.deployment.schema.vertex_types[plan.seed_type].name)
        self._head: Bytes = np.frombuffer(bytearray(head), np.uint8)
        self.walk_only = Gathering(self._context(None), None)
        self._gatherings: dict[bool, Gathering] = {}

    def _lay_out(self, plan_nodes: list[PlanNode], fanouts: Sequence[int] | None) -> Int32s:
        type_of = {vtype: i for i, vtype in enumerate(self.vtypes)}
        group_of = {(node.id, dst_type): i for i, (node, dst_type) in enumerate(self.pairs)}
        limits = iter(fanouts or ())
        feeds: list[int] = []
        for i, node in enumerate(plan_nodes):
            record = self.nodes[i]
            record["type"], record["fanout"], record["feed0"] = type_of[node.vtype], node.fanout, len(feeds)
            feeds += [group_of.get((u, node.vtype), -1) for u in node.upstreams]
            record["feeds"] = len(node.upstreams)
            if node.kind is NodeKind.EDGE_SAMPLER:
                record["edges"], record["limit"] = 1, next(limits) if fanouts is not None else node.fanout
                record["group0"], record["groups"] = group_of[node.id, node.dst_types[0]], len(node.dst_types)
            operator = self.query.operator_of[node.id]
            twins = [j for j, n in enumerate(plan_nodes[:i]) if self.query.operator_of[n.id] == operator]
            record["twin"] = twins[-1] if twins else -1
        for i, (_, dst_type) in enumerate(self.pairs):
            self.groups[i]["dst_type"], self.groups[i]["type"] = dst_type, type_of[dst_type]
        return np.array(feeds, np.int32)

    def bind(self, seeds: int) -> None:
        """Make room for a walk from so many seeds, and take addresses anew if memory has moved."""
        state = self._state
        if self._moves == Slab.moves and self._catalog is state.catalog and seeds <= self._seeds:
            return
        for vtype in self.vtypes:
            # As much as the index can hold: for more vertices its memory has to move first, and no request has to look.
            self._members[vtype].reserve(len(state.vertices[vtype].ids), max(seeds, self._seeds))
        self._bind()
        self._moves, self._seeds = Slab.moves, max(seeds, self._seeds)

    def gathering(self, *, scores: bool) -> Gathering:
        """Return how its graphs are made, with or without scores; call after `bind`, and anew for each request."""
        found = self._gatherings.get(scores)
        if found is None:
            recipe = graph_recipe(self.query, self._state.catalog.layouts, scores=scores)
            found = self._gatherings[scores] = Gathering(self._context(recipe), recipe)
            self._bind_recipe(recipe)
        return found

    def _context(self, recipe: Recipe | None) -> Records:
        context: Records = np.zeros(1, CONTEXT)
        arrays = {"nodes": self.nodes, "feeds": self._feeds, "groups": self.groups, "types": self.types}
        if recipe is not None:
            arrays |= {"elements": recipe.elements, "parts": recipe.parts}
            context["literals"] = address_of(recipe.literals)
        for name, array in arrays.items():
            context[name], context[f"{name}_n"] = address_of(array), len(array)
        context["head"], context["head_bytes"] = address_of(self._head), len(self._head)
        return context

    def records(self, vtype: int) -> FeatureTable:
        """Return the records of the vertex operator that covers members of a type."""
        nodes = self.query.plan.nodes
        node = next(n for n in nodes if n.kind is NodeKind.VERTEX_SAMPLER and n.vtype == vtype)
        found = self._state.rows[self.query.operator_of[node.id]].records
        assert found is not None, "a vertex node whose operator has no records"
        return found

    def _bind(self) -> None:
        state = self._state
        if self._catalog is not state.catalog:
            self._catalog = state.catalog
            self._gatherings.clear()
        for i, vtype in enumerate(self.vtypes):
            members, index, record = self._members[vtype], state.vertices[vtype], self.types[i]
            record["tags"], record["members"] = members.tags.address, members.rows.address
            record["marks"], record["covered"] = members.marks.address, members.covered.address
            record["ids"], record["table"], record["mask"], record["shift"] = index.addresses
        for i, node in enumerate(self.query.plan.nodes):
            rows, record = state.rows[self.query.operator_of[node.id]], self.nodes[i]
            record["states"], record["states_rows"] = address_of(rows.states), len(rows.states)
            if rows.table is not None:
                table = rows.table
                record["row_of"], record["rows"] = address_of(table.row_of), len(table.row_of)
                record["counts"], record["slots"] = address_of(table.counts), address_of(table.slots)
            elif rows.records is not None:
                records, of_type = rows.records, self.types[self.vtypes.index(node.vtype)]
                of_type["known"], of_type["timestamps"] = address_of(records.known), address_of(records.timestamps)
                of_type["records"], of_type["records_width"] = address_of(records.payload), records.payload.shape[1]
                of_type["records_rows"] = min(len(records.known), len(records.timestamps), len(records.payload))
        for gathering in self._gatherings.values():
            assert gathering.recipe is not None
            self._bind_recipe(gathering.recipe)

    def _bind_recipe(self, recipe: Recipe) -> None:
        for i, (node, _) in enumerate(self.pairs):
            table = self._state.rows[self.query.operator_of[node.id]].table
            assert table is not None, "an edge node whose operator has no table"
            element = recipe.elements[len(self.vtypes) + i]
            element["payload"], element["width"] = address_of(table.payload), table.width
            element["slots"] = address_of(table.slots)
