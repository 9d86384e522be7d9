from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ValueType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUE_TYPE_UNSPECIFIED: _ClassVar[ValueType]
    INT32: _ClassVar[ValueType]
    INT32_LIST: _ClassVar[ValueType]
    INT64: _ClassVar[ValueType]
    INT64_LIST: _ClassVar[ValueType]
    FLOAT32: _ClassVar[ValueType]
    FLOAT32_LIST: _ClassVar[ValueType]
    FLOAT64: _ClassVar[ValueType]
    FLOAT64_LIST: _ClassVar[ValueType]
    STRING: _ClassVar[ValueType]
VALUE_TYPE_UNSPECIFIED: ValueType
INT32: ValueType
INT32_LIST: ValueType
INT64: ValueType
INT64_LIST: ValueType
FLOAT32: ValueType
FLOAT32_LIST: ValueType
FLOAT64: ValueType
FLOAT64_LIST: ValueType
STRING: ValueType

class Samples(_message.Message):
    __slots__ = ("query", "generation", "history", "graphs", "caught_up")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    GRAPHS_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    query: Query
    generation: int
    history: str
    graphs: _containers.RepeatedCompositeFieldContainer[Graph]
    caught_up: bool
    def __init__(self, query: _Optional[_Union[Query, _Mapping]] = ..., generation: _Optional[int] = ..., history: _Optional[str] = ..., graphs: _Optional[_Iterable[_Union[Graph, _Mapping]]] = ..., caught_up: _Optional[bool] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("id", "name", "ready", "nodes")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    ready: bool
    nodes: _containers.RepeatedCompositeFieldContainer[PlanNode]
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., ready: _Optional[bool] = ..., nodes: _Optional[_Iterable[_Union[PlanNode, _Mapping]]] = ...) -> None: ...

class PlanNode(_message.Message):
    __slots__ = ("id", "type", "upstreams", "dst_types")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UPSTREAMS_FIELD_NUMBER: _ClassVar[int]
    DST_TYPES_FIELD_NUMBER: _ClassVar[int]
    id: int
    type: str
    upstreams: _containers.RepeatedScalarFieldContainer[int]
    dst_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[int] = ..., type: _Optional[str] = ..., upstreams: _Optional[_Iterable[int]] = ..., dst_types: _Optional[_Iterable[str]] = ...) -> None: ...

class Graph(_message.Message):
    __slots__ = ("seed_type", "seeds", "asked", "seed_rows", "positions", "watermark", "pending", "vertices", "edges")
    SEED_TYPE_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    SEED_ROWS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    VERTICES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    seed_type: str
    seeds: bytes
    asked: bytes
    seed_rows: bytes
    positions: bytes
    watermark: int
    pending: int
    vertices: _containers.RepeatedCompositeFieldContainer[Vertices]
    edges: _containers.RepeatedCompositeFieldContainer[Edges]
    def __init__(self, seed_type: _Optional[str] = ..., seeds: _Optional[bytes] = ..., asked: _Optional[bytes] = ..., seed_rows: _Optional[bytes] = ..., positions: _Optional[bytes] = ..., watermark: _Optional[int] = ..., pending: _Optional[int] = ..., vertices: _Optional[_Iterable[_Union[Vertices, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[Edges, _Mapping]]] = ...) -> None: ...

class Vertices(_message.Message):
    __slots__ = ("type", "ids", "known", "columns")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    type: str
    ids: bytes
    known: bytes
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, type: _Optional[str] = ..., ids: _Optional[bytes] = ..., known: _Optional[bytes] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class Edges(_message.Message):
    __slots__ = ("operator", "alias", "hop", "type", "src_type", "dst_type", "src", "dst", "timestamps", "columns", "int_scores", "float_scores")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    HOP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SRC_TYPE_FIELD_NUMBER: _ClassVar[int]
    DST_TYPE_FIELD_NUMBER: _ClassVar[int]
    SRC_FIELD_NUMBER: _ClassVar[int]
    DST_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    INT_SCORES_FIELD_NUMBER: _ClassVar[int]
    FLOAT_SCORES_FIELD_NUMBER: _ClassVar[int]
    operator: int
    alias: str
    hop: int
    type: str
    src_type: str
    dst_type: str
    src: bytes
    dst: bytes
    timestamps: bytes
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    int_scores: bytes
    float_scores: bytes
    def __init__(self, operator: _Optional[int] = ..., alias: _Optional[str] = ..., hop: _Optional[int] = ..., type: _Optional[str] = ..., src_type: _Optional[str] = ..., dst_type: _Optional[str] = ..., src: _Optional[bytes] = ..., dst: _Optional[bytes] = ..., timestamps: _Optional[bytes] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., int_scores: _Optional[bytes] = ..., float_scores: _Optional[bytes] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "type", "length", "values", "present", "offsets", "absent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: ValueType
    length: int
    values: bytes
    present: bytes
    offsets: bytes
    absent: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[ValueType, str]] = ..., length: _Optional[int] = ..., values: _Optional[bytes] = ..., present: _Optional[bytes] = ..., offsets: _Optional[bytes] = ..., absent: _Optional[bool] = ...) -> None: ...
