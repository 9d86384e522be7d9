"""What the loader asks of the coordinator: where to send what, dimensions of lists, and barriers.

It knows the coordinator's paths and documents; how a request is sent and repeated is the connection's business.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import quote

from dgs_client.connection import Connection

from dgs.bus.limits import AppendLimits
from dgs.bus.local import Fsync
from dgs.coordinator.name import check_name
from dgs.core.errors import ConflictError, DgsError, InputError, NotFoundError
from dgs.core.layout import Dimension, Layouts
from dgs.core.schema import Schema

_NOT_SET = "NOT_SET"
_SHARED = "Loaders that share a barrier must give the same --barrier-count and a --loader-id of their own"


@dataclass(frozen=True, slots=True)
class LoaderInit:
    """What a loader must know to begin.

    Attributes:
        layouts: the schema, and the dimensions confirmed so far.
        bus: URL of the bus.
        log_id: of the deployment, which owns the logs there; empty if the service does not say.
        fsync: what an acknowledged append must survive, where the bus leaves that open: "never" or "batch".
        limits: beyond which the bus is to refuse records, where it can tell.
        generation: of the deployment; part of every position.
        log_partitions: partitions of `record-batches`.
        router: the log partition of each data partition.
    """

    layouts: Layouts
    bus: str
    log_id: str
    fsync: Fsync
    limits: AppendLimits
    generation: int
    log_partitions: int
    router: tuple[int, ...]

    @property
    def schema(self) -> Schema:
        """The schema of the deployment."""
        return self.layouts.schema

    @property
    def data_partitions(self) -> int:
        """Number of data partitions."""
        return len(self.router)


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the service is behind.

    Attributes:
        behind: of each record partition, how much answers do not reflect yet.
        most: loaders are asked to pause beyond it; 0 for no limit.
        unit: of both: bytes, or entries on Kafka.
    """

    behind: tuple[int, ...]
    most: int
    unit: Literal["bytes", "entries"] = "bytes"


class Service:
    """The coordinator, as a loader sees it. Every method raises UnreachableError when it stays away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._schema: Schema | None = None

    def init(self) -> LoaderInit:
        """Ask where to send what; waits while the service starts.

        Raises:
            DgsError: the answer is not that of a service of this version.
        """
        try:
            document = self._connection.get("/admin/init-info/dataloader").json()
            init = _init(document)
        except (NotFoundError, InputError, KeyError, TypeError, ValueError) as e:
            raise DgsError(
                f"{self._connection.server} answers, but not as a service of this version does ({_told(e)});"
                " is it the right host and port, and of the same version as this loader?"
            ) from None
        self._schema = init.schema
        return init

    def lag(self) -> Lag:
        """Ask how far the service is behind.

        Raises:
            DgsError: the service does not tell, or does not know at present.
        """
        document = self._connection.get("/lag").json()
        unit: Literal["bytes", "entries"] = "bytes" if document.get("lag_entries") is None else "entries"
        behind, most = document[f"lag_{unit}"], document[f"lag_{unit}_max"]
        if behind is None:
            raise DgsError("its bus does not answer")
        if not isinstance(behind, list) or not all(type(n) is int for n in (*behind, most)):
            raise DgsError(f"it answers {document!r}")
        return Lag(tuple(behind), most, unit)

    def confirm(self, dimension: Dimension) -> Layouts:
        """Propose the dimension of a list, and return the layouts with the dimensions that hold, in the service's order.

        The first proposal of any loader wins, so another dimension may hold than the proposed one.

        Raises:
            DgsError: the service refused, or answered without a dimension for this list.
        """
        assert self._schema is not None, "init comes first"
        what = f"dimension {dimension.dim} of attribute {dimension.attribute} of {dimension.kind} type {dimension.type}"
        proposal = {"kind": dimension.kind, "type": dimension.type, "attribute": dimension.attribute, "dim": dimension.dim}
        try:
            dims = self._connection.post_json("/dimensions", proposal).json()["dimensions"]
            layouts = Layouts.from_json(self._schema, dims)
        except (NotFoundError, InputError, ConflictError, KeyError, TypeError) as e:
            raise DgsError(f"the service did not confirm {what}: {_told(e)}") from None
        key = (dimension.kind, dimension.type, dimension.attribute)
        if key not in {(d.kind, d.type, d.attribute) for d in layouts.dims}:
            raise DgsError(f"the service did not confirm {what}: its answer has no such list")
        return layouts

    def check_barrier(self, name: str, count: int, loader_id: int) -> None:
        """Check, before anything is loaded, that this loader can set a barrier behind what it is going to send.

        Raises:
            InputError: the name is none.
            ConflictError: the name is in use; says what to do.
            DgsError: the service does not tell.
        """
        check_name("barrier", name)
        if why := self._in_use(name, count, loader_id):
            raise ConflictError(
                f"barrier {name!r} {why}, so it would not cover this load. Nothing is loaded; choose a new name. {_SHARED}"
            )

    def set_barrier(self, name: str, count: int, loader_id: int) -> None:
        """Set a barrier behind everything that this loader has sent.

        Raises:
            ConflictError: the name has come into use, so that this barrier does not cover what was just sent; says what to do.
            DgsError: the service refused for another reason.
        """
        # The same set again is fine for the service, even if all was set meanwhile: only a look before tells another's from ours.
        why = self._in_use(name, count, loader_id)
        if not why:
            try:
                self._connection.post_json(_path(name), {"count": count, "loader_id": loader_id})
                return
            except ConflictError as e:
                why = f"is refused ({e})"
            except (NotFoundError, InputError) as e:
                raise DgsError(f"the service did not set barrier {name!r}: {e}") from None
        raise ConflictError(
            f"barrier {name!r} {why}, so it does not cover the data just loaded. The data is loaded; to learn when it is served,"
            f" set a barrier of a new name (`dgs barrier set NAME`). {_SHARED}"
        )

    def _in_use(self, name: str, count: int, loader_id: int) -> str:
        """Return why this loader cannot set the barrier, or nothing: other loaders that share it may have set it already."""
        try:
            barrier = self._connection.get(_path(name)).json()
        except (NotFoundError, InputError) as e:
            raise DgsError(f"the service did not tell the state of barrier {name!r}: {e}") from None
        state, loaders = barrier["state"], barrier["loaders"]
        if state != _NOT_SET or len(loaders) == barrier["count"]:
            return f"was set before (it is {state})"
        if barrier["count"] not in (None, count):
            return f"is one of {barrier['count']} loaders, not of {count}"
        return f"was set by loader {loader_id} before" if loader_id in loaders else ""


def _path(barrier: str) -> str:
    return f"/barriers/{quote(barrier, safe='')}"


def _init(document: Mapping[str, Any]) -> LoaderInit:
    schema = Schema.parse(json.dumps(document["schema"]))
    downstream = document["downstream"]
    router = tuple(int(p) for p in downstream["partition"]["kafka_router"])
    log_partitions = int(downstream["kafka"]["partitions"])
    if len(router) != int(downstream["partition"]["data_partition_num"]) or not router:
        raise ValueError("kafka_router does not fit data_partition_num")
    if not all(0 <= p < log_partitions for p in router):
        raise ValueError("kafka_router names a partition that there is not")
    dims: Sequence[Mapping[str, Any]] = document["dimensions"]
    fsync = document.get("fsync", "never")
    if fsync not in get_args(Fsync):
        raise ValueError(f"fsync is {fsync!r}")
    layouts = Layouts.from_json(schema, dims)
    limits = AppendLimits(int(document.get("log_bytes_max", 0)), int(document.get("disk_free_min_bytes", 0)))
    bus, log_id = str(document["bus"]), str(document.get("log_id", ""))
    return LoaderInit(layouts, bus, log_id, fsync, limits, int(document["generation"]), log_partitions, router)


def _told(e: Exception) -> str:
    return f"no {e}" if isinstance(e, KeyError) else str(e)
