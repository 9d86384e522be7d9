"""A query's plan as far as it tells which rows belong to which seed: what takes from what.

It comes with an answer (`dgs_client.message` reads it there), and asks for nothing itself. `dgs_client.walk` follows it.
"""

from dataclasses import dataclass

from dgs_client.graph import Graph


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One node of a plan.

    Attributes:
        node: its id.
        type: the vertex type that it takes; of SOURCE, that of the seeds.
        upstreams: the nodes whose destinations it takes; SOURCE stands for the seed, and has none itself.
        dst_types: the vertex types that its edges lead to; of SOURCE, and of a node that looks for records, none.
    """

    node: int
    type: str
    upstreams: tuple[int, ...]
    dst_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A SOURCE, and all other nodes, each behind its upstreams."""

    source: PlanStep
    steps: tuple[PlanStep, ...]

    def fits(self, graph: Graph) -> bool:
        """Whether a graph can be walked: it has this plan's seeds and edges, and whatever a node takes one before it gives."""
        given = {(self.source.node, self.source.type)}
        for step in self.steps:
            if not step.upstreams or any((u, step.type) not in given for u in step.upstreams):
                return False
            given |= {(step.node, dst_type) for dst_type in step.dst_types}
        sampled = [(s.node, s.type, dst_type) for s in self.steps for dst_type in s.dst_types]
        return graph.seed_type == self.source.type and sampled == [(e.operator, e.src_type, e.dst_type) for e in graph.edges]
