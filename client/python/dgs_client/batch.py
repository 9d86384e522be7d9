"""The ego-graphs of many seeds, as one request gives them: one by one, merged into one graph, or as dense arrays."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np

from dgs.core.errors import CodecError, DgsError, InputError
from dgs.core.types import Int64s
from dgs_client.dense import Hop, Padding, Step, dense
from dgs_client.egograph import EgoGraph
from dgs_client.graph import Graph
from dgs_client.merge import merged
from dgs_client.message import Head, read_message
from dgs_client.query import Query
from dgs_client.walk import graph_of_seed


class EgoGraphs(Sequence[EgoGraph]):
    """The ego-graphs of a request, in the order of its seeds.

    The service merges seeds of one serving partition into one graph. `dense` and `merged` take these as they are; the ego-graph of
    one seed is found, when it is asked for, by a walk over the query's plan, which comes with the answer.

    Attributes:
        graphs: as they came, each of one instant of one serving partition.
        query: the query that they answer.
        generation: of the deployment.
        history: "full", or "off" where samplers keep no history.
        caught_up: False while the service, lately started, answers with what it knew some time ago; `positions` tell how far it is.
    """

    def __init__(self, head: Head, graphs: Sequence[Graph]) -> None:
        self.graphs = tuple(graphs)
        self.query: Query = head.query
        self.generation = head.generation
        self.history = head.history
        self.caught_up = head.caught_up
        self._head = head
        count = sum(len(g.seeds) for g in self.graphs)
        # By place in the request, the graph that a seed is in, and its place there.
        self._graph, self._place = np.full(count, -1), np.zeros(count, np.int64)
        for i, graph in enumerate(self.graphs):
            if len(graph.asked) and graph.asked.max() >= count:
                raise CodecError(f"the answer lacks seeds: it has {count}, and one of them is number {graph.asked.max() + 1}")
            self._graph[graph.asked] = i
            self._place[graph.asked] = np.arange(len(graph.asked))
        if (self._graph < 0).any():
            raise CodecError(f"the answer has no seed number {int(np.argmin(self._graph)) + 1}, and another one twice")

    @staticmethod
    def read(data: bytes) -> "EgoGraphs":
        """Read `dgs.v1.Samples` messages, as a service answers them; several one after the other are one answer.

        Raises:
            CodecError: it is something else, or damaged.
        """
        return EgoGraphs(*read_message(data))

    @cached_property
    def seeds(self) -> Int64s:
        """The seeds, in the order of the request, int64 [B]."""
        seeds: Int64s = np.empty(len(self), np.int64)
        for graph in self.graphs:
            seeds[graph.asked] = graph.seeds
        return seeds

    @property
    def pending(self) -> int:
        """Rows of all graphs that have been asked for and have not arrived."""
        return sum(g.pending for g in self.graphs)

    @overload
    def __getitem__(self, index: int) -> EgoGraph: ...
    @overload
    def __getitem__(self, index: slice) -> list[EgoGraph]: ...
    def __getitem__(self, index: int | slice) -> EgoGraph | list[EgoGraph]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        graph = self.graphs[int(self._graph[index])]
        if len(graph.seeds) > 1:
            place, plan = int(self._place[index]), self._head.plan
            if plan is None:
                raise DgsError(
                    f"seed {graph.seeds[place]} shares a graph with others, and the answer lacks the plan that tells whose is "
                    "what: the service is older than this client; upgrade it, ask for one seed at a time, or use `dense` or "
                    "`merged`"
                )
            if not plan.fits(graph):
                raise CodecError("a graph is not of the plan that came with it; the answer is damaged")
            graph = graph_of_seed(graph, place, plan)
        return EgoGraph(self._head, graph)

    def __len__(self) -> int:
        return len(self._graph)

    def __iter__(self) -> Iterator[EgoGraph]:
        return (self[i] for i in range(len(self)))

    def merged(self) -> Graph:
        """Return one graph of all seeds: what a GNN takes in one forward pass, as PyG's NeighborLoader gives it.

        `vertices[type]` has each vertex once, `edges` name its rows, and `seed_rows`, int32 [B], those of the seeds, in the order
        of the request. Serving partitions answer from instants of their own: where two have the same row of an operator, one is
        taken whole.

        Raises:
            InputError: there are no seeds.
        """
        return merged(self._some())

    def dense(
        self,
        path: Sequence[Step] = (),
        fanouts: Sequence[int] | None = None,
        *,
        attributes: Sequence[str] = (),
        edge_attributes: Sequence[str] = (),
        padding: Padding | None = None,
    ) -> list[Hop]:
        """Return the neighbourhoods as dense arrays, [B] for the seeds, [B, f1] for the first hop, [B, f1, f2] for the second, …

        Args:
            path: one step per hop: the alias or the id of an operator, or a pair of it and a vertex type where its edges lead to
                several. May be left out where the plan is a chain.
            fanouts: room for neighbours, one number per step; the best stay. Unless given, as much as the widest row of this
                answer needs.
            attributes: vertex attributes to gather, as `Hop.features`: [..., length] of lists, [...] of scalars, in their dtype.
            edge_attributes: edge attributes to gather, as `Hop.edge_features`.
            padding: what stands where nothing is: id -1 and zeros unless given.

        Raises:
            InputError: there are no seeds; the path leads nowhere, or is needed; fanouts do not fit; no hop has an attribute.
        """
        return dense(self._some(), path, fanouts, attributes=attributes, edge_attributes=edge_attributes, padding=padding)

    def __repr__(self) -> str:
        return f"<EgoGraphs of {len(self)} seeds in {len(self.graphs)} graphs, query {self.query.name!r}>"

    def _some(self) -> Sequence[Graph]:
        if not self.graphs:
            raise InputError("there are no seeds, so there is no graph")
        return self.graphs
