"""Bytes kept for a vertex and for an edge end, beside the sum of their parts, in memory and on disk.

An edge end is a slot of a row: an edge that is kept in the row of its source. The parts are what the tables of both machines hold
for each; what they hold in all is measured twice, in tables of machines in this process and as memory of the service's processes.
"""

from dataclasses import dataclass

from dgs.core.blocks import SLOT
from dgs.core.features import FeatureTable
from dgs.core.rows import USED, RowTable
from perf.graph import Graph
from perf.inprocess import Machines
from perf.process import folder_bytes, memory_of
from perf.report import Row
from perf.service import Service

_ID, _ROW_OF, _COUNT, _FREE = 8, 4, 4, 4
_KNOWN, _TIMESTAMP, _TOUCH = 1, 8, 1
_NEEDS, _STATES, _NUMBERS, _IDLE_SINCE = 4, 1, 8, 8
_SUBSCRIBERS = 8
_HASH = 8
"""Of the index: int32 at a load of a quarter to a half, 8 to 16 bytes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How much a machine holds: vertices, edge ends, and the bytes of each, by part."""

    vertices: int
    edge_ends: int
    of_vertex: dict[str, float]
    of_edge_end: dict[str, float]

    @property
    def bytes(self) -> float:
        """The sum of all parts."""
        return self.vertices * sum(self.of_vertex.values()) + self.edge_ends * sum(self.of_edge_end.values())


def sampler_parts(machines: Machines) -> Kept:
    """Return what the sampler's tables hold for each."""
    state = machines.sampler.state
    tables = [r.reservoir.rows for r in state.rows.values() if r.reservoir is not None]
    vertices = sum(index.used - 1 for index in state.vertices.values())
    per_operator = (_SUBSCRIBERS * len(state.rows) + _ROW_OF * len(tables)) / len(state.vertices)
    rows = sum(int(t.cursors[USED]) - 1 for t in tables) * (_COUNT + _FREE) / vertices
    of_vertex = {
        "id": _ID,
        "index": _HASH,
        "record": _record(list(state.features.values())),
        "rows and subscribers": per_operator + rows,
    }
    return _kept(vertices, tables, of_vertex)


def serving_parts(machines: Machines) -> Kept:
    """Return what the serving partition's tables hold for each."""
    state = machines.serving.state
    tables = [r.table for r in state.rows.values() if r.table is not None]
    records = [r.records for r in state.rows.values() if r.records is not None]
    vertices = sum(index.used - 1 for index in state.vertices.values())
    needs = (_NEEDS + _STATES + _NUMBERS + _IDLE_SINCE) * len(state.rows) / len(state.vertices)
    rows = sum(int(t.cursors[USED]) - 1 for t in tables) * (_COUNT + _FREE) / vertices + _ROW_OF * len(tables) / len(state.vertices)
    of_vertex = {"id": _ID, "index": _HASH, "record": _record(records), "rows": rows, "needs": needs}
    return _kept(vertices, tables, of_vertex)


def _record(tables: list[FeatureTable]) -> float:
    width: float = sum(t.payload.shape[1] for t in tables) / len(tables)
    return _KNOWN + _TIMESTAMP + _TOUCH + width


def _kept(vertices: int, tables: list[RowTable], of_vertex: dict[str, float]) -> Kept:
    ends = sum(int(t.counts[1 : int(t.cursors[USED])].sum()) for t in tables)
    width = sum(t.width for t in tables) / len(tables)
    return Kept(vertices, ends, of_vertex, {"slot": SLOT.itemsize, "payload": width})


def measure(graph: Graph, machines: Machines, service: Service) -> list[Row]:
    """Return the rows; the service has not been loaded yet, and is afterwards.

    Raises:
        TimeoutError: the load does not end.
    """
    before = {role: sum(memory_of(p).uss for p in pids) for role, pids in service.processes.items()}
    service.load(graph.batches())
    after = {role: sum(memory_of(p).uss for p in pids) for role, pids in service.processes.items()}
    rows = []
    for what, role, kept, taken in (
        ("sampler", "sampler", sampler_parts(machines), machines.sampler.state.nbytes),
        ("serving", "frontend", serving_parts(machines), machines.serving.state.nbytes),
    ):
        parts = {
            "of_vertex": kept.of_vertex,
            "of_edge_end": kept.of_edge_end,
            "vertices": kept.vertices,
            "edge_ends": kept.edge_ends,
        }
        grown = after[role] - before[role]
        detail = {"parts": parts, "uss_grown": grown, "sum_of_parts": kept.bytes, "tables_address_space": taken}
        rows += [
            Row(f"bytes a vertex, {what}: {_told(kept.of_vertex)}", "bytes", sum(kept.of_vertex.values()), detail=detail),
            Row(f"bytes an edge end, {what}: {_told(kept.of_edge_end)}", "bytes", sum(kept.of_edge_end.values())),
            Row(
                f"  memory of the {what} processes, against the sum of parts",
                "MB",
                grown / 1e6,
                kept.bytes / 1e6,
                grown / kept.bytes,
            ),
        ]
    edges = sum(map(len, graph.edges))
    raw = sum(len(e) * (24 + _edge_width(machines, e.etype)) for e in graph.edges) + sum(
        f.nbytes + 8 * len(f) for f in graph.features
    )
    for what, folder in (
        ("RocksDB: history, rows, records", service.state / "sampler"),
        ("record-batches", service.state / "log" / "record-batches"),
        ("sample-batches", service.state / "log" / "sample-batches"),
    ):
        size = folder_bytes(folder)
        name = f"bytes on disk an edge, {what}; floor: the columns"
        rows.append(Row(name, "bytes", size / edges, raw / edges, size / raw, detail={"bytes": size, "edges": edges}))
    return rows


def _edge_width(machines: Machines, etype: int) -> int:
    return machines.serving.state.catalog.layouts.edge[etype].width


def _told(parts: dict[str, float]) -> str:
    return " + ".join(f"{name} {value:.0f}" for name, value in parts.items())
