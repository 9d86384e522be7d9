"""The sampled neighbourhoods of some seeds as one graph: each vertex once, each sampled edge once.

It is what a server answers for the seeds of one serving partition, what is left of that for one seed, and what several make when
they are merged. `dgs_client.egograph` and `dgs_client.batch` show it to users.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dgs.core.types import Int32s, Int64s
from dgs_client.table import EdgeTables, Vertices


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph of some seeds.

    Attributes:
        seed_type: vertex type of the seeds.
        seeds: int64 [s].
        asked: int64 [s], the place of each seed in the request.
        seed_rows: int32 [s], rows of the vertices of `seed_type`; a seed that was asked for twice has one row.
        positions: per record partition, the position before which everything is reflected.
        watermark: the smallest, over the record partitions with data, of the largest event time seen; None before any data.
        pending: rows of this graph that were asked for by its partition and have not arrived.
        vertices: by type; every type that the plan names.
        edges: one element per plan node that samples edges, and destination type.
    """

    seed_type: str
    seeds: Int64s
    asked: Int64s
    seed_rows: Int32s
    positions: tuple[int, ...]
    watermark: int | None
    pending: int
    vertices: Mapping[str, Vertices]
    edges: EdgeTables

    def hop(self, k: int) -> EdgeTables:
        """Return the edges at a distance from the seeds: those of the operators whose shortest distance is k, from 1 on."""
        return EdgeTables([e for e in self.edges if e.hop == k])
