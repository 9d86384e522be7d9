"""The ego-graph of one seed, as users have it: numpy columns, lookups, dense arrays, plain values, and something to look at."""

from collections.abc import Mapping, Sequence
from typing import Any

from dgs.core.token import PositionToken
from dgs_client.dense import Hop, Padding, Step, dense
from dgs_client.graph import Graph
from dgs_client.message import Head
from dgs_client.query import Query
from dgs_client.table import Edges, EdgeTables, Vertices

_KNOWN = {1: True, 0: False, -1: None}


class EgoGraph:
    """A seed's sampled K-hop neighbourhood: each vertex once, each sampled edge once.

    `ego.vertices["item"].ids`, `ego.vertices["item"]["vec"]`, `ego.edges["u2i"].edge_index`; see `Vertices` and `Edges` for shapes
    and dtypes. Arrays may be views of the answer's bytes and are then read-only.

    Attributes:
        graph: the graph itself.
        query: the query that this answers.
        generation: of the deployment.
        history: "full", or "off" where samplers keep no history.
        caught_up: False while the service, lately started, answers with what it knew some time ago; `positions` tell how far it is.
    """

    def __init__(self, head: Head, graph: Graph) -> None:
        self.graph = graph
        self.query: Query = head.query
        self.generation = head.generation
        self.history = head.history
        self.caught_up = head.caught_up

    @property
    def seed(self) -> int:
        """The seed's id."""
        return int(self.graph.seeds[0])

    @property
    def seed_type(self) -> str:
        """The seed's vertex type."""
        return self.graph.seed_type

    @property
    def known(self) -> bool | None:
        """Whether a record of the seed has arrived; None where the plan does not look for one."""
        return _KNOWN[int(self.graph.vertices[self.seed_type].record[self.graph.seed_rows[0]])]

    @property
    def ready(self) -> bool:
        """Whether the query stands in all record partitions."""
        return self.query.ready

    @property
    def pending(self) -> int:
        """Rows that have been asked for and have not arrived; of a seed of a batch, those of all seeds that came with it."""
        return self.graph.pending

    @property
    def watermark(self) -> int | None:
        """The smallest, over the record partitions with data, of the largest event time seen; None before any data."""
        return self.graph.watermark

    @property
    def positions(self) -> tuple[int, ...]:
        """Per record partition, the position before which everything is reflected."""
        return self.graph.positions

    @property
    def reflected(self) -> list[PositionToken]:
        """The same as tokens: as `min_position` of a later request, they rule out an older answer."""
        return [PositionToken(self.generation, p, position) for p, position in enumerate(self.positions)]

    @property
    def vertices(self) -> Mapping[str, Vertices]:
        """Vertices by type: every type that the plan names. The seed is the first of its type."""
        return self.graph.vertices

    @property
    def edges(self) -> EdgeTables:
        """Edges, one element per plan node and destination type; also by alias."""
        return self.graph.edges

    def hop(self, k: int) -> EdgeTables:
        """Return the edges at a distance from the seed, from 1 on: those of the operators whose shortest distance is k."""
        return self.graph.hop(k)

    def dense(
        self,
        path: Sequence[Step] = (),
        fanouts: Sequence[int] | None = None,
        *,
        attributes: Sequence[str] = (),
        edge_attributes: Sequence[str] = (),
        padding: Padding | None = None,
    ) -> list[Hop]:
        """Return the neighbourhood as dense arrays [1], [1, f1], [1, f1, f2], …; see `EgoGraphs.dense`."""
        return dense([self.graph], path, fanouts, attributes=attributes, edge_attributes=edge_attributes, padding=padding)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: what the service answers as JSON."""
        return {
            "query": {"id": self.query.id, "name": self.query.name, "ready": self.query.ready},
            "seed": {"type": self.seed_type, "id": self.seed, "known": self.known},
            "generation": self.generation,
            "positions": list(self.positions),
            "watermark": self.watermark,
            "pending": self.pending,
            **({} if self.caught_up else {"caught_up": False}),
            "history": self.history,
            "vertices": {name: _plain_vertices(v) for name, v in self.vertices.items()},
            "edges": [_plain_edges(e) for e in self.edges],
        }

    def __repr__(self) -> str:
        vertices = ", ".join(f"{len(v)} {name}" for name, v in self.vertices.items())
        edges = ", ".join(f"{len(e)} {e.alias}" for e in self.edges)
        return f"<EgoGraph of {self.seed_type} {self.seed}: vertices {vertices}; edges {edges or 'none'}>"

    def __str__(self) -> str:
        from dgs_client.view import text

        return text(self.to_dict())

    def __rich__(self) -> Any:
        from dgs_client.view import rich_tree

        return rich_tree(self.to_dict())

    def _repr_html_(self) -> str:
        from dgs_client.notebook import html

        return html(self.to_dict())


def _plain_vertices(vertices: Vertices) -> dict[str, Any]:
    return {
        "ids": vertices.ids.tolist(),
        "known": [_KNOWN[k] for k in vertices.record.tolist()],
        "attrs": {name: column.to_list() for name, column in vertices.columns.items()},
    }


def _plain_edges(edges: Edges) -> dict[str, Any]:
    plain = {
        "operator": edges.operator,
        "alias": edges.alias,
        "hop": edges.hop,
        "type": edges.type,
        "src_type": edges.src_type,
        "dst_type": edges.dst_type,
        "src": edges.src.tolist(),
        "dst": edges.dst.tolist(),
        "timestamp": edges.timestamps.tolist(),
        "attrs": {name: column.to_list() for name, column in edges.columns.items()},
    }
    return plain if edges.scores is None else plain | {"score": edges.scores.tolist()}
