"""What the control plane takes and gives, as pydantic models: they check bodies and describe them in `/openapi.json`."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dgs.core.errors import InputError

Taken = TypeVar("Taken", bound="_Taken")


class _Taken(BaseModel):
    """A body that is taken: unknown members and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class BarrierSetting(_Taken):
    """Who sets a barrier."""

    count: Annotated[int, Field(description="how many loaders set this barrier")] = 1
    loader_id: Annotated[int, Field(description="which of them this one is")] = 0


class DimensionProposal(_Taken):
    """The length of a list attribute of a vertex or edge type, by the ids of the schema."""

    kind: Literal["vertex", "edge"]
    type: int
    attribute: int
    dim: int


class Dimensions(BaseModel):
    """All dimensions that hold, in order."""

    dimensions: list[dict[str, Any]]


class Query(BaseModel):
    """An installed query; `ready` once it stands in all record partitions."""

    id: int
    name: str
    ready: bool


class QueryWithDocument(Query):
    """An installed query and the install-query document that it was made from."""

    document: dict[str, Any]


class Queries(BaseModel):
    """All installed queries."""

    queries: list[Query]


class Barrier(BaseModel):
    """A barrier; `count` is null and `loaders` empty while nobody has set it."""

    name: str
    state: Literal["NOT_SET", "PRODUCED", "SAMPLED", "READY"]
    count: int | None
    loaders: list[int]


class Barriers(BaseModel):
    """All barriers that a loader has set."""

    barriers: list[Barrier]


class HashDescription(BaseModel):
    """Who owns a vertex, for those who send or ask directly; `mix` is a formula on unsigned 64 bits."""

    mix: str
    record_partition: str
    serving_partition: str


class Serving(BaseModel):
    """What a serving partition reflects."""

    partition: int
    caught_up: bool
    positions: list[int]
    watermark: int | None


class Cluster(BaseModel):
    """The deployment: what is fixed, and how far it is.

    `positions` are, per record partition, what every serving partition reflects; `record_ends` where the logs end, null when the
    bus does not answer.
    """

    log_id: str
    generation: int
    partitions: int
    serving_partitions: int
    hash: HashDescription
    positions: list[int]
    record_ends: list[int] | None
    serving: list[Serving]
    queries: list[Query]
    orders_pending: int


def read_model(model: type[Taken], body: bytes) -> Taken:
    """Return a body as a model; an empty one as all defaults.

    Raises:
        InputError: with every problem.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as e:
        raise InputError([f"{'.'.join(map(str, x['loc'])) or 'body'}: {x['msg']}" for x in e.errors(include_url=False)]) from None
