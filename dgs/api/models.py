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


class PartitionMap(BaseModel):
    """Who answers for which seeds: by serving partition the URLs of all processes that may be asked, none where none is up."""

    generation: int
    serving_partitions: int
    hash: HashDescription
    owners: list[list[str]]


class Member(BaseModel):
    """A process that runs partitions, and where it answers requests; it is up if it was heard a few seconds ago at most."""

    name: str
    up: bool
    host: str
    pid: int
    url: str | None
    samplers: list[int]
    serving: list[int]
    heard_s_ago: float


class SamplerCopy(BaseModel):
    """A process that has a sampler partition; one that stands by leaves writing to another one."""

    member: str
    up: bool
    stands_by: bool
    position: int
    committed: int


class Sampler(BaseModel):
    """A record partition and the sampler partition that reads it; null is what is not known.

    `lag_bytes`, or on Kafka `lag_entries`, reaches from what every serving partition reflects to the end of the log;
    `lag_seconds` is the age of the first record batch in it. What the sampler itself says is as old as its last report; it is up
    if that is a few seconds old at most.
    """

    partition: int
    up: bool
    member: str | None
    pid: int | None
    position: int | None
    committed: int | None
    end: int | None
    lag_bytes: int | None
    lag_entries: int | None
    lag_seconds: float | None
    records_per_second: float | None
    records_applied: int | None
    records_rejected: int | None
    state_bytes: int | None
    reported_s_ago: float | None
    copies: list[SamplerCopy]


class Snapshot(BaseModel):
    """The newest snapshot of a serving partition: the position that it reflects, and how long ago it was written."""

    position: int
    age_s: float


class Copy(BaseModel):
    """A process that has a serving partition: whether it may be asked, and the position of `sample-batches` that it is at."""

    member: str
    up: bool
    answers: bool
    caught_up: bool
    position: int


class Serving(BaseModel):
    """What a serving partition reflects; `lag_bytes`, or on Kafka `lag_entries`, of `sample-batches` are unread.

    It `answers` from its newest snapshot on; until it is `caught_up` it reads again what stood in its log when it started.
    """

    partition: int
    answers: bool
    caught_up: bool
    positions: list[int]
    watermark: int | None
    lag_bytes: int | None
    lag_entries: int | None
    rows_pending: int
    vertices: int
    state_bytes: int
    snapshot: Snapshot | None
    copies: list[Copy]


class FreshnessQuantiles(BaseModel):
    """Seconds from an append until a serving partition reflected it, over about the last minute."""

    p50: float
    p99: float
    samples: int


class BarrierSummary(BaseModel):
    """A barrier and how far it is."""

    name: str
    state: Literal["NOT_SET", "PRODUCED", "SAMPLED", "READY"]


class Lag(BaseModel):
    """Per record partition, how many bytes, or on Kafka entries, are not reflected; loaders pause beyond the limit.

    The other one is null; both are when the bus does not answer.
    """

    lag_bytes: list[int] | None
    lag_bytes_max: int
    lag_entries: list[int] | None
    lag_entries_max: int


class CheckpointInfo(BaseModel):
    """A checkpoint: whose it is, how long ago it was complete, how long that took, its size, and how much was new about it."""

    id: str
    log_id: str
    generation: int
    age_s: float
    duration_s: float
    bytes: int
    sent_bytes: int


class CheckpointCreation(BaseModel):
    """How far a checkpoint is: of how many partitions the state is sent; the checkpoint once it is complete."""

    id: str
    state: Literal["CREATING", "COMPLETE", "FAILED"]
    parts_sent: int
    parts: int
    reason: str
    checkpoint: CheckpointInfo | None


class CheckpointList(BaseModel):
    """The checkpoints at the destination, newest first; and what was begun last since the service started."""

    checkpoints: list[CheckpointInfo]
    creation: CheckpointCreation | None


class Cluster(BaseModel):
    """The deployment: what is fixed, and how far it is.

    `positions` are, per record partition, what every serving partition reflects; `record_ends` where the logs end, null when the
    bus does not answer. `freshness_s` is null while nothing was measured; `lag_bytes_max` and `lag_entries_max` are 0 where
    there is no limit.
    `checkpoint` is the newest one of this deployment.
    """

    log_id: str
    generation: int
    partitions: int
    serving_partitions: int
    hash: HashDescription
    positions: list[int]
    record_ends: list[int] | None
    lag_bytes_max: int
    lag_entries_max: int
    freshness_s: FreshnessQuantiles | None
    members: list[Member]
    samplers: list[Sampler]
    serving: list[Serving]
    queries: list[Query]
    barriers: list[BarrierSummary]
    dead_letters: int | None
    orders_pending: int
    checkpoint: CheckpointInfo | None


def read_model(model: type[Taken], body: bytes) -> Taken:
    """Return a body as a model; an empty one as all defaults.

    Raises:
        InputError: with every problem.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as e:
        raise InputError([f"{'.'.join(map(str, x['loc'])) or 'body'}: {x['msg']}" for x in e.errors(include_url=False)]) from None
