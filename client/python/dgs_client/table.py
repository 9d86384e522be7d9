"""The vertices of one type and the edges of one operator, in numpy columns: what graphs consist of.

They only hold and give; `dgs_client.message` reads them from answers, `dgs_client.walk` and `dgs_client.merge` make new ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from dgs.core.errors import InputError
from dgs.core.types import AnyArray, Bools, Int8s, Int32s, Int64s
from dgs_client.column import Columns


@dataclass(frozen=True, eq=False)
class Vertices:
    """The vertices of one type.

    `vertices["vec"]` gives the values of an attribute by row, as `dgs_client.column.Column.values` has them: zero, or None for
    texts, where a vertex lacks it; `vertices.present("vec")` tells which have it.

    Attributes:
        type: the vertex type.
        ids: int64 [n], without repetition.
        record: int8 [n]: 1 a record of the vertex has arrived, 0 none has, -1 the plan does not look for one.
        columns: the attributes.
    """

    type: str
    ids: Int64s
    record: Int8s
    columns: Columns

    @cached_property
    def known(self) -> Bools:
        """Of which vertices a record has arrived, bool [n]; False also where the plan does not look for one."""
        known: Bools = self.record == 1
        return known

    @cached_property
    def looked_for(self) -> Bools:
        """Of which vertices the plan looks for a record, bool [n]."""
        return self.record >= 0

    def __getitem__(self, attribute: str) -> AnyArray:
        return self.columns[attribute].values

    def present(self, attribute: str) -> Bools:
        """Return which vertices have an attribute, bool [n].

        Raises:
            KeyError: the type has no such attribute.
        """
        return self.columns[attribute].there

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<{len(self)} {self.type} vertices: {', '.join(self.columns) or 'no attributes'}>"


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges that one plan node sampled towards one vertex type. Edges of one source stand together, best first.

    `edges["weight"]` gives the values of an attribute, `edges.present("weight")` tells which edges have it.

    Attributes:
        operator: id of the plan node.
        alias: its alias; the edge type unless given.
        hop: its shortest distance from the seed.
        type: the edge type.
        src_type, dst_type: the vertex types.
        src: int32 [m], rows of the vertices of `src_type`.
        dst: int32 [m], rows of the vertices of `dst_type`.
        timestamps: int64 [m], event times.
        columns: the other attributes.
        scores: what the edges were chosen by, int64 [m] (topk_by_timestamp) or float64 [m] (all others); None unless asked for.
        sources: the number of vertices of `src_type`.
    """

    operator: int
    alias: str
    hop: int
    type: str
    src_type: str
    dst_type: str
    src: Int32s
    dst: Int32s
    timestamps: Int64s
    columns: Columns
    scores: AnyArray | None
    sources: int

    @property
    def edge_index(self) -> Int64s:
        """Sources above destinations, int64 [2, m], as PyG and graphlearn-torch have it. Made anew by every call."""
        return np.stack([self.src, self.dst]).astype(np.int64)

    def __getitem__(self, attribute: str) -> AnyArray:
        return self.columns[attribute].values

    def present(self, attribute: str) -> Bools:
        """Return which edges have an attribute, bool [m].

        Raises:
            KeyError: the type has no such attribute.
        """
        return self.columns[attribute].there

    @cached_property
    def spans(self) -> tuple[Int64s, Int64s]:
        """Where the edges of every source begin, and how many there are, int64 [sources] both."""
        first: Int64s = np.zeros(self.sources, np.int64)
        count: Int64s = np.zeros(self.sources, np.int64)
        if len(self.src):
            begins = np.flatnonzero(np.concatenate([[True], self.src[1:] != self.src[:-1]]))
            first[self.src[begins]] = begins
            count[self.src[begins]] = np.diff(begins, append=len(self.src))
        return first, count

    def of(self, sources: Int64s) -> Int64s:
        """Return the places of all edges of these sources (rows), source by source, int64."""
        first, count = self.spans
        counts = count[sources]
        before = np.cumsum(counts) - counts
        return np.repeat(first[sources] - before, counts) + np.arange(counts.sum())

    def __len__(self) -> int:
        return len(self.src)

    def __repr__(self) -> str:
        return f"<{len(self)} edges of {self}>"

    def __str__(self) -> str:
        return f"{self.alias} (operator {self.operator}, {self.src_type} → {self.dst_type})"


class EdgeTables(Sequence[Edges]):
    """All edges of a graph, one element per plan node and destination type, in plan order.

    `edges[0]` is the first element, `edges["u2i"]` the one of that alias; `edges.operator(2)` the one of that plan node.
    """

    def __init__(self, tables: Sequence[Edges]) -> None:
        self._tables = tuple(tables)

    @overload
    def __getitem__(self, key: int | str) -> Edges: ...
    @overload
    def __getitem__(self, key: slice) -> "EdgeTables": ...
    def __getitem__(self, key: int | str | slice) -> "Edges | EdgeTables":
        if isinstance(key, str):
            return self.find(key)
        return EdgeTables(self._tables[key]) if isinstance(key, slice) else self._tables[key]

    def operator(self, operator: int, dst_type: str | None = None) -> Edges:
        """Return the edges of a plan node; of one whose edges lead to several vertex types, those to `dst_type`.

        Raises:
            InputError: there is none, or there are several.
        """
        return self.find(operator, dst_type)

    def find(self, which: str | int, dst_type: str | None = None) -> Edges:
        """Return the edges of an alias (a text) or of a plan node (a number).

        Raises:
            InputError: there are none of that name, or several.
        """
        named = [e for e in self._tables if which == (e.alias if isinstance(which, str) else e.operator)]
        found = [e for e in named if dst_type in (None, e.dst_type)]
        if len(found) == 1:
            return found[0]
        what = f"{'alias' if isinstance(which, str) else 'operator'} {which!r}" + (f" to {dst_type!r}" if dst_type else "")
        if found:
            raise InputError(f"several edges are of {what}: {', '.join(map(str, found))}; give operator and destination type")
        raise InputError(f"no edges are of {what}; there are {', '.join(map(str, self._tables)) or 'none at all'}")

    def __len__(self) -> int:
        return len(self._tables)

    def __iter__(self) -> Iterator[Edges]:
        return iter(self._tables)

    def __repr__(self) -> str:
        return f"[{', '.join(f'{e.alias} {len(e)}' for e in self)}]"
