"""A query's plan as far as it tells which rows belong to which seed: what takes from what.

It is made from the documents that a service gives, and asks for nothing itself. `dgs_client.walk` follows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dgs.core.query import NodeKind, read_query
from dgs.core.schema import Schema
from dgs_client.graph import Graph


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One node of a plan.

    Attributes:
        node: its id.
        type: the vertex type that it takes.
        upstreams: the nodes whose destinations it takes; SOURCE stands for the seed.
        dst_types: the vertex types that its edges lead to; of a node that looks for records, none.
    """

    node: int
    type: str
    upstreams: tuple[int, ...]
    dst_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All nodes but SOURCE, whose id is `source`, each behind its upstreams."""

    source: int
    steps: tuple[PlanStep, ...]

    @staticmethod
    def of(document: Mapping[str, Any], schema: str | bytes) -> "Plan":
        """Read an install-query document under the text of a schema.

        Raises:
            SchemaError, PlanError: they are wrong, or of a newer service than this client knows.
        """
        parsed = Schema.parse(schema)
        plan = read_query(dict(document), parsed)
        name = {number: vtype.name for number, vtype in parsed.vertex_types.items()}
        steps = []
        for n in plan.nodes:
            leads_to = n.dst_types if n.kind is NodeKind.EDGE_SAMPLER else ()
            steps.append(PlanStep(n.id, name[n.vtype], n.upstreams, tuple(name[t] for t in leads_to)))
        return Plan(plan.source.id, tuple(steps))

    def fits(self, graph: Graph) -> bool:
        """Whether a graph has exactly the edges that this plan samples."""
        sampled = [(s.node, s.type, dst_type) for s in self.steps for dst_type in s.dst_types]
        return sampled == [(e.operator, e.src_type, e.dst_type) for e in graph.edges]
