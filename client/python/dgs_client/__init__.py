"""The Python client of the service.

`Client` asks a service for ego-graphs and tells it of queries and barriers. Importing this package loads next to nothing: what it
offers is imported when it is first used, numpy and protobuf with the first answer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgs.core.errors import (
        CodecError,
        ConflictError,
        DeadlineError,
        DgsError,
        InputError,
        NotFoundError,
        NotReadyError,
        PlanError,
        TooLargeError,
        UnreachableError,
    )
    from dgs.core.token import PositionToken
    from dgs_client.barrier import Barrier
    from dgs_client.batch import EgoGraphs
    from dgs_client.client import Client
    from dgs_client.dense import Hop, Padding
    from dgs_client.egograph import EgoGraph
    from dgs_client.graph import Graph
    from dgs_client.query import Query
    from dgs_client.table import Edges, EdgeTables, Vertices

__all__ = [
    "Barrier",
    "Client",
    "CodecError",
    "ConflictError",
    "DeadlineError",
    "DgsError",
    "EdgeTables",
    "Edges",
    "EgoGraph",
    "EgoGraphs",
    "Graph",
    "Hop",
    "InputError",
    "NotFoundError",
    "NotReadyError",
    "Padding",
    "PlanError",
    "PositionToken",
    "Query",
    "TooLargeError",
    "UnreachableError",
    "Vertices",
]

_HOMES = {
    "Barrier": "dgs_client.barrier",
    "Client": "dgs_client.client",
    "EdgeTables": "dgs_client.table",
    "Edges": "dgs_client.table",
    "EgoGraph": "dgs_client.egograph",
    "EgoGraphs": "dgs_client.batch",
    "Graph": "dgs_client.graph",
    "Hop": "dgs_client.dense",
    "Padding": "dgs_client.dense",
    "PositionToken": "dgs.core.token",
    "Query": "dgs_client.query",
    "Vertices": "dgs_client.table",
}
"""The module of each name; the others are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES.get(name, "dgs.core.errors")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
