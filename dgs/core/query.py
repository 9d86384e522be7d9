"""Queries: the install-query document, checked against the schema, as a plan of one-hop nodes.

The reference's JSON is accepted unchanged; enum values by name or number, parameters as ordinary integers, several upstreams,
several vertex nodes of one type. A wrong plan is refused with every reason at once. What the running system does with a plan is the
business of `dgs.core.operators`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, TypeGuard

from dgs.core.errors import PlanError
from dgs.core.json_text import read_json
from dgs.core.schema import WEIGHT, Schema, is_text
from dgs.core.strategies import SPELLINGS, Strategy

FANOUT_MAX = 65535
HALF_LIFE_RANGE = (1e-200, 1e200)
"""Beyond it scores of int64 timestamps would overflow to infinities."""
LATER = {
    "distinct": "one slot per neighbour is not built yet",
    "window": "time windows are not built yet",
    "ttl": "expiry is not built yet",
    "attrs": "projection of attributes is not built yet",
    "direction": "only out-edges are sampled yet; load the reverse with --reversed-edges",
}
"""Parameters of the format whose meaning is still to come: refused rather than ignored."""
KNOWN = {"vtype", "etype", "strategy", "fanout", "versions", "seed", "half_life", "weight_attr", *LATER}


class NodeKind(IntEnum):
    """Kinds of plan nodes, with the reference's codes."""

    SOURCE = 0
    VERTEX_SAMPLER = 1
    EDGE_SAMPLER = 2


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node of a plan. `upstreams` are the nodes whose output vertices it takes; SOURCE stands for the seed.

    Of an edge node `vtype` is the source type; `dst_types` are the vertex types that its edges may lead to.
    """

    id: int
    kind: NodeKind
    vtype: int
    upstreams: tuple[int, ...] = ()
    etype: int | None = None
    strategy: Strategy = Strategy.TOPK_BY_TIMESTAMP
    fanout: int = 1
    seed: int = 0
    half_life: float | None = None
    weight_attr: str | None = None
    alias: str | None = None
    dst_types: tuple[int, ...] = ()


@dataclass(frozen=True)
class QueryPlan:
    """A checked plan: `source` is the SOURCE node, `nodes` all others, every node behind its upstreams.

    `document` is the plan as it was given, for reading back.
    """

    query_id: int
    document: Mapping[str, Any]
    source: PlanNode
    nodes: tuple[PlanNode, ...]

    @property
    def seed_type(self) -> int:
        """The vertex type of seeds."""
        return self.source.vtype

    @cached_property
    def vertex_types(self) -> tuple[int, ...]:
        """Every vertex type that the plan names, once; the seed's first."""
        return tuple(dict.fromkeys([self.seed_type, *(t for n in self.nodes for t in (n.vtype, *n.dst_types))]))

    def hops(self) -> dict[int, int]:
        """Return each node's shortest distance from the seed, counted in edge nodes, its own included."""
        return self._hops

    @cached_property
    def _hops(self) -> dict[int, int]:
        # Every request asks for it, and a plan never changes.
        hops = {self.source.id: 0}
        for n in self.nodes:
            hops[n.id] = min(hops[u] for u in n.upstreams) + (n.kind is NodeKind.EDGE_SAMPLER)
        return hops


def parse_query(text: str | bytes, schema: Schema) -> QueryPlan:
    """Read the JSON text of an install-query document.

    Raises:
        PlanError: with every problem found.
    """
    try:
        document = read_json(text)
    except ValueError as e:
        raise PlanError(f"the query is not JSON: {e}") from None
    return read_query(document, schema)


def read_query(document: Any, schema: Schema) -> QueryPlan:
    """Read an install-query document.

    Raises:
        PlanError: with every problem found.
    """
    if not isinstance(document, dict) or not isinstance(document.get("query_plan"), dict):
        raise PlanError('a query is an object {"query_plan": {"plan_nodes": [...]}, "query_id": 0, "priority": 0}')
    return _Reader(schema).read(document)


class _Reader:
    """Reads an install-query document and collects every problem."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.problems: list[str] = []
        self.shapely = True
        self.raw: dict[int, dict[str, Any]] = {}
        self.kinds: dict[int, NodeKind] = {}
        self.params: dict[int, dict[str, Any]] = {}
        self.inputs: dict[int, list[tuple[int, int]]] = {}

    def read(self, document: dict[str, Any]) -> QueryPlan:
        query_id = document.get("query_id", 0)
        if not _is_int(query_id) or not 0 <= query_id < 1 << 32:
            self.problems.append(f"query_id must be an integer from 0 to 2**32 - 1, not {query_id!r}")
            query_id = 0
        items = document["query_plan"].get("plan_nodes")
        if not isinstance(items, list) or not items or not all(isinstance(n, dict) for n in items):
            raise PlanError([*self.problems, "query_plan.plan_nodes must be an array of objects, and not empty"])
        for position, item in enumerate(items):
            self.node(position, item)
        for number, item in self.raw.items():
            self.links(number, item)
        sources = [n for n, kind in self.kinds.items() if kind is NodeKind.SOURCE]
        if len(sources) != 1:
            self.misshapen(f"a plan has exactly one SOURCE node, not {len(sources)}")
        order = self.order(sources[0]) if self.shapely else []
        if self.shapely:
            return self.build(query_id, document, sources[0], order)
        for n, kind in self.kinds.items():  # what feeds a node is not known, but its own params can be checked
            if kind is not NodeKind.SOURCE:
                self.sampler(n, (), {})
        raise PlanError(self.problems)

    def misshapen(self, problem: str) -> None:
        """Note a problem of the plan's shape: of which nodes there are, and what leads to what."""
        self.shapely = False
        self.problems.append(problem)

    def node(self, position: int, item: dict[str, Any]) -> None:
        number = item.get("id", position)
        if not _is_int(number) or not 0 <= number < 1 << 32:
            self.misshapen(f"plan_nodes[{position}]: id must be an integer from 0 to 2**32 - 1, not {number!r}")
            return
        if number in self.raw:
            self.misshapen(f"node {number}: the id is used twice")
        self.raw[number] = item
        kind = item.get("kind")
        if isinstance(kind, str) and kind in NodeKind.__members__:
            self.kinds[number] = NodeKind[kind]
        elif _is_int(kind) and 0 <= kind < len(NodeKind):
            self.kinds[number] = NodeKind(kind)
        else:
            self.misshapen(f"node {number}: kind {kind!r} is none of {', '.join(NodeKind.__members__)}")
        self.inputs.setdefault(number, [])
        self.params[number] = {}
        params = item.get("params", [])
        if not isinstance(params, list) or not all(isinstance(p, dict) and "key" in p and "value" in p for p in params):
            self.problems.append(f'node {number}: params must be an array of {{"key", "value"}}')
            return
        for p in params:
            key = p["key"]
            if not isinstance(key, str) or key not in KNOWN:
                self.problems.append(f"node {number}: unknown param {key!r}; known are {', '.join(sorted(KNOWN))}")
                continue
            if key in LATER:
                self.problems.append(f"node {number}: {key} is refused: {LATER[key]}")
            elif key in self.params[number]:
                self.problems.append(f"node {number}: param {key} is given twice")
            self.params[number][key] = p["value"]

    def links(self, number: int, item: dict[str, Any]) -> None:
        links = item.get("links", [])
        if not isinstance(links, list) or not all(isinstance(x, dict) for x in links):
            self.misshapen(f"node {number}: links must be an array of objects")
            return
        for link in links:
            child, output = link.get("node"), link.get("src_output", 0)
            if not _is_int(child) or child not in self.raw:
                self.misshapen(f"node {number}: a link leads to node {child!r}, which the plan does not have")
            elif self.kinds.get(child) is NodeKind.SOURCE:
                self.misshapen(f"node {number}: a link leads to the SOURCE")
            elif not _is_int(output) or not 0 <= output <= (self.kinds.get(number) is NodeKind.EDGE_SAMPLER):
                self.misshapen(
                    f"node {number}: src_output {output!r}: 0 is the node's own vertices, 1 the destinations of its edges"
                )
            elif (number, output) not in self.inputs[child]:
                self.inputs[child].append((number, output))

    def order(self, source: int) -> list[int]:
        """Nodes reachable from the source, every one behind its upstreams; names cycles and what hangs loose."""
        missing = {n: len(inputs) for n, inputs in self.inputs.items()}
        children: dict[int, list[int]] = {n: [] for n in self.raw}
        for n, inputs in self.inputs.items():
            for upstream, _ in inputs:
                children[upstream].append(n)
        for n, count in missing.items():
            if count == 0 and n != source:
                self.misshapen(f"node {n}: no link leads to it")
        order, ready = [], [n for n, count in missing.items() if count == 0]
        while ready:
            n = ready.pop(0)
            order.append(n)
            for child in children[n]:
                missing[child] -= 1
                if missing[child] == 0:
                    ready.append(child)
        if cycle := sorted(set(self.raw) - set(order)):
            self.misshapen(f"nodes {', '.join(map(str, cycle))} form a cycle, or hang below one")
        return [n for n in order if n != source]

    def build(self, query_id: int, document: dict[str, Any], source: int, order: list[int]) -> QueryPlan:
        nodes: dict[int, PlanNode] = {}
        upstreams = self.resolve(source, order)
        seed_type = self.seed_type(source, [n for n in order if source in upstreams[n]])
        outputs: dict[int, tuple[int, ...]] = {} if seed_type is None else {source: (seed_type,)}
        for n in order:
            built = self.sampler(n, upstreams[n], outputs)
            if built is not None:
                nodes[n] = built
                outputs[n] = built.dst_types
        if self.problems or seed_type is None:
            raise PlanError(self.problems)
        return QueryPlan(query_id, document, PlanNode(source, NodeKind.SOURCE, seed_type), tuple(nodes[n] for n in order))

    def resolve(self, source: int, order: list[int]) -> dict[int, tuple[int, ...]]:
        """Upstreams by what they give: a link with src_output 0 gives the vertices that its node was given itself."""
        resolved: dict[int, tuple[int, ...]] = {source: (source,)}
        for n in order:
            given: dict[int, None] = {}
            for upstream, output in self.inputs[n]:
                given.update(dict.fromkeys([upstream] if output == 1 else resolved[upstream]))
            resolved[n] = tuple(given)
        return resolved

    def seed_type(self, source: int, children: list[int]) -> int | None:
        stated = self.params[source].get("vtype")
        if stated is not None:
            return self.vertex_type(source, stated)
        found = {self.vertex_type_of(self.params[n].get("vtype")) for n in children}
        if len(found) != 1 or None in found:
            self.problems.append(f"node {source}: the SOURCE needs the param vtype, as its children do not agree on one")
            return None
        return found.pop()

    def vertex_type_of(self, value: Any) -> int | None:
        if _is_int(value) and value in self.schema.vertex_types:
            return int(value)
        if isinstance(value, str) and value in self.schema.vertex_names:
            return self.schema.vertex_names[value].id
        return None

    def vertex_type(self, number: int, value: Any) -> int | None:
        found = self.vertex_type_of(value)
        if found is not None:
            return found
        known = ", ".join(f"{t.id} ({t.name})" for t in self.schema.vertex_types.values())
        self.problems.append(f"node {number}: vtype {value!r} is not in the schema; it has {known}")
        return None

    def sampler(self, n: int, upstreams: tuple[int, ...], outputs: dict[int, tuple[int, ...]]) -> PlanNode | None:
        params, before = self.params[n], len(self.problems)
        edge = self.kinds[n] is NodeKind.EDGE_SAMPLER
        offered = {t for u in upstreams for t in outputs.get(u, ())}
        stated = params.get("vtype")
        vtype = self.vertex_type(n, stated) if stated is not None else offered.pop() if len(offered) == 1 else None
        if stated is None and vtype is None and upstreams and all(u in outputs for u in upstreams):
            self.problems.append(f"node {n}: the param vtype is missing")
        for u in upstreams:
            if vtype is not None and u in outputs and vtype not in outputs[u]:
                names = ", ".join(self.schema.vertex_types[t].name for t in outputs[u])
                self.problems.append(f"node {n}: takes {self.schema.vertex_types[vtype].name!r}, but node {u} gives {names}")
        alias = self.raw[n].get("alias")
        if alias is not None and not is_text(alias):
            self.problems.append(f"node {n}: alias must be a text")
        if edge:
            node = self.edge_sampler(n, upstreams, vtype, alias)
        else:
            if self.integer(n, "versions", 1, 1 << 31, default=1) != 1:
                self.problems.append(f"node {n}: versions > 1 is refused: only the newest version is kept yet")
            for key in ("etype", "strategy", "fanout", "seed", "half_life", "weight_attr"):
                if key in params:
                    self.problems.append(f"node {n}: {key} means nothing on a VERTEX_SAMPLER")
            node = PlanNode(n, NodeKind.VERTEX_SAMPLER, vtype or 0, upstreams, alias=alias)
        return node if len(self.problems) == before and vtype is not None else None

    def edge_sampler(self, n: int, upstreams: tuple[int, ...], vtype: int | None, alias: str | None) -> PlanNode:
        params = self.params[n]
        etype = self.edge_type(n)
        strategy = self.strategy(n)
        fanout = self.integer(n, "fanout", 1, FANOUT_MAX, default=None)
        seed = self.integer(n, "seed", -(1 << 63), (1 << 64) - 1, default=0)
        if "versions" in params:
            self.problems.append(f"node {n}: versions means nothing on an EDGE_SAMPLER")
        weight_attr = self.weight_attr(n, etype, strategy)
        dst_types: tuple[int, ...] = ()
        if etype is not None and vtype is not None:
            dst_types = self.schema.destinations(etype, vtype)
            if not dst_types:
                source, edge = self.schema.vertex_types[vtype].name, self.schema.edge_types[etype].name
                self.problems.append(f"node {n}: no relation of the schema joins {edge!r} to the vertex type {source!r}")
        return PlanNode(
            n,
            NodeKind.EDGE_SAMPLER,
            vtype or 0,
            upstreams,
            etype=etype,
            strategy=strategy or Strategy.TOPK_BY_TIMESTAMP,
            fanout=fanout or 1,
            seed=seed or 0,
            half_life=self.half_life(n, strategy),
            weight_attr=weight_attr,
            alias=alias,
            dst_types=dst_types,
        )

    def edge_type(self, n: int) -> int | None:
        value = self.params[n].get("etype")
        if _is_int(value) and value in self.schema.edge_types:
            return int(value)
        if isinstance(value, str) and value in self.schema.edge_names:
            return self.schema.edge_names[value].id
        known = ", ".join(f"{t.id} ({t.name})" for t in self.schema.edge_types.values())
        self.problems.append(f"node {n}: etype {value!r} is not in the schema; it has {known}")
        return None

    def strategy(self, n: int) -> Strategy | None:
        value = self.params[n].get("strategy")
        found = SPELLINGS.get(value) if isinstance(value, str) or _is_int(value) else None
        if found is None:
            self.problems.append(f"node {n}: strategy {value!r} is none of {', '.join(s.label for s in Strategy)}")
        return found

    def half_life(self, n: int, strategy: Strategy | None) -> float | None:
        value, (least, most) = self.params[n].get("half_life"), HALF_LIFE_RANGE
        if strategy is Strategy.TIME_DECAY:
            if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
                return float(value)
            self.problems.append(
                f"node {n}: time_decay needs half_life, a number from {least:g} to {most:g} in the timestamps' unit, not {value!r}"
            )
        elif strategy is not None and value is not None:
            self.problems.append(f"node {n}: half_life means something for time_decay only")
        return None

    def integer(self, n: int, key: str, least: int, most: int, *, default: int | None) -> int | None:
        value = self.params[n].get(key, default)
        if _is_int(value) and least <= value <= most:
            return int(value)
        self.problems.append(f"node {n}: {key} must be an integer from {least} to {most}, not {value!r}")
        return None

    def weight_attr(self, n: int, etype: int | None, strategy: Strategy | None) -> str | None:
        stated = self.params[n].get("weight_attr")
        if strategy is None or etype is None:
            return None
        if not strategy.weighted:
            if stated is not None:
                self.problems.append(f"node {n}: weight_attr means nothing for {strategy.label}")
            return None
        name = WEIGHT if stated is None else stated
        attribute = self.schema.edge_types[etype].attribute(name) if isinstance(name, str) else None
        if attribute is None or not attribute.value_type.is_numeric:
            edge = self.schema.edge_types[etype].name
            self.problems.append(f"node {n}: {strategy.label} needs a weight, but {edge!r} has no numeric attribute {name!r}")
            return None
        return attribute.name


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
