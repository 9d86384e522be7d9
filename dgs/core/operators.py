"""Operators: the one-hop samplers that really run, shared by all installed queries.

Nodes of plans that are equal together with everything below them are one operator, so sharing never makes a cycle, and every
upstream of the shared operator feeds the same rows. Operator ids are given in the order of installation and never used again; a
function of the sequence of installs alone, so every partition gives the same ids.
"""

from dataclasses import dataclass, replace

from dgs.core.query import NodeKind, PlanNode, QueryPlan
from dgs.core.schema import Schema
from dgs.core.strategies import Strategy, digest


@dataclass(frozen=True, slots=True)
class Operator:
    """A running one-hop sampler: of the out-edges (`etype` is not None) or of the newest record of vertices of type `vtype`.

    Attributes:
        id: never used again.
        etype: edge type, or None for a vertex operator.
        fanout: K; 1 for a vertex operator.
        digest: the operator's share of its randomness, see `strategies.digest`.
        half_life: of time_decay, else 0.
        children: operators that sample the destinations of this one, ascending.
        fed: whether it hangs under a SOURCE, so that every vertex of its type is a possible seed and its rows are always sent.
    """

    id: int
    vtype: int
    etype: int | None
    fanout: int
    strategy: Strategy
    digest: int
    half_life: float
    weight_attr: str | None
    children: tuple[int, ...]
    fed: bool

    @property
    def meaning(self) -> "Operator":
        """What it samples, together with everything below it: equal for all that one operator can run, and hashable."""
        return replace(self, id=0, fed=False)


@dataclass(frozen=True, slots=True)
class InstalledQuery:
    """A query and which operator runs each of its nodes (by node id)."""

    id: int
    name: str
    plan: QueryPlan
    operator_of: dict[int, int]


@dataclass(frozen=True)
class OperatorSet:
    """All operators and queries of the running system; immutable."""

    operators: tuple[Operator, ...] = ()
    queries: tuple[InstalledQuery, ...] = ()

    def install(self, name: str, plan: QueryPlan, schema: Schema) -> "OperatorSet":
        """Return the set with one more query."""
        operators = {o.id: o for o in self.operators}
        by_meaning = {o.meaning: o.id for o in self.operators}
        operator_of: dict[int, int] = {}
        children: dict[int, set[int]] = {n.id: set() for n in (plan.source, *plan.nodes)}
        for node in reversed(plan.nodes):
            below = tuple(sorted(children[node.id]))
            wanted = _operator(node, below, plan.source.id in node.upstreams, schema, len(operators) + 1)
            same = operators.setdefault(by_meaning.setdefault(wanted.meaning, wanted.id), wanted)
            if wanted.fed and not same.fed:
                operators[same.id] = replace(same, fed=True)
            operator_of[node.id] = same.id
            for upstream in node.upstreams:
                children[upstream].add(same.id)
        query = InstalledQuery(plan.query_id, name, plan, operator_of)
        return OperatorSet(tuple(operators[i] for i in sorted(operators)), (*self.queries, query))

    def rounds(self) -> int:
        """Return how many rounds a barrier needs: the longest path of operators below a SOURCE, at least 1."""
        depth: dict[int, int] = {}
        for o in self.operators:  # children have smaller ids than what hangs above them
            depth[o.id] = 1 + max((depth[c] for c in o.children), default=0)
        return max(depth.values(), default=1)

    def query(self, key: int | str) -> InstalledQuery | None:
        """Return the query of this id or name; an id may be written as text, since no name is all digits."""
        for q in self.queries:
            if key == q.id or key == q.name or key == str(q.id):
                return q
        return None


def _operator(node: PlanNode, children: tuple[int, ...], fed: bool, schema: Schema, number: int) -> Operator:
    d = 0
    if node.kind is NodeKind.EDGE_SAMPLER:
        assert node.etype is not None
        edge, source = schema.edge_types[node.etype].name, schema.vertex_types[node.vtype].name
        d = digest(node.strategy, edge, source, seed=node.seed, half_life=node.half_life)
    return Operator(
        number,
        node.vtype,
        node.etype,
        node.fanout,
        node.strategy,
        d,
        float(node.half_life or 0),
        node.weight_attr,
        children,
        fed,
    )
