"""Record batches: vertex and edge updates as columns, grouped by type. Loaders make them, sampler partitions apply them."""

from dataclasses import dataclass, field

from dgs.core.types import Bytes, Int64s


@dataclass(frozen=True, slots=True)
class VertexRecords:
    """Updates of vertices of one type, in the order of arrival.

    Attributes:
        vtype: vertex type.
        ids: int64 [n].
        timestamps: int64 [n]; 0 where the record has none.
        payload: uint8 [n, width], see `dgs.core.layout`.
    """

    vtype: int
    ids: Int64s
    timestamps: Int64s
    payload: Bytes


@dataclass(frozen=True, slots=True)
class EdgeRecords:
    """Updates of edges of one (edge type, source type, destination type), in the order of arrival.

    Attributes:
        etype: edge type.
        src_type: vertex type of the sources.
        dst_type: vertex type of the destinations.
        src: int64 [n].
        dst: int64 [n].
        timestamps: int64 [n].
        payload: uint8 [n, width], see `dgs.core.layout`.
    """

    etype: int
    src_type: int
    dst_type: int
    src: Int64s
    dst: Int64s
    timestamps: Int64s
    payload: Bytes


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """What one log entry of records holds. A string reference r in a payload means `strings[r - 1]`; 0 is the empty text.

    Attributes:
        groups: the records by type.
        strings: what references in payloads lead to.
        appended_ms: when a loader appended it, by its wall clock in ms since 1970; 0: not told. Telemetry, no machine looks at it.
    """

    groups: tuple[VertexRecords | EdgeRecords, ...]
    strings: list[bytes] = field(default_factory=list)
    appended_ms: int = 0

    def __len__(self) -> int:
        return sum(len(g.timestamps) for g in self.groups)
