"""What a member of a deployment says about itself about once a second, and what it is answered. Values and their JSON only.

A member is a process that runs sampler or serving partitions. Who keeps what it says is `dgs.coordinator.membership`; how it
travels is `dgs.membership.link`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from dgs.core.deployment import Beginning, Deployment
from dgs.core.errors import InputError
from dgs.core.schema import Schema
from dgs.telemetry.figures import SamplerFigures, ServingFigures
from dgs.telemetry.freshness import FreshnessSummary

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SamplerReport:
    """A sampler partition, as the member that runs it tells.

    Attributes:
        partition: of `record-batches`.
        figures: see there.
        dead_letters: entries of its log that were passed over, since the deployment's beginning; None where that cannot be told.
        stands_by: whether it leaves writing to another copy.
    """

    partition: int
    figures: SamplerFigures
    dead_letters: int | None = 0
    stands_by: bool = False


@dataclass(frozen=True, slots=True)
class ServingReport:
    """A serving partition, as the member that runs it tells.

    Attributes:
        partition: of `sample-batches`.
        answers: whether it may be asked.
        caught_up: whether it has applied all that stood in its log when it started.
        behind_bytes: how much of that it has not applied yet.
        barrier: id of the newest barrier before which everything is servable there; 0 before the first.
        positions: per record partition, what its answers reflect.
        watermark: see `dgs.core.egograph.Reflected`.
        figures: see there.
        received: by record partition, the number of the last item of that sampler partition that it has applied.
        needed: from here on it needs its log, whatever happens to it; None while it needs all.
        dead_letters: entries of its log that were passed over, since the deployment's beginning; None where that cannot be told.
    """

    partition: int
    answers: bool
    caught_up: bool
    behind_bytes: int
    barrier: int
    positions: tuple[int, ...]
    watermark: int | None
    figures: ServingFigures
    received: tuple[int, ...] = ()
    needed: int | None = None
    dead_letters: int | None = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a member says.

    Attributes:
        member: its name, which it keeps when it starts again.
        log_id: of the deployment that it belongs to.
        host, pid: where it runs.
        url: where it answers requests; empty for nowhere.
        samplers: sampler partitions that it runs.
        serving: serving partitions that it runs.
        troubles: what its storage refuses, in words for people.
        freshness: of what its serving partitions showed in the last minute; None where nothing was measured.
        leaving: whether it is stopping, and says nothing more.
    """

    member: str
    log_id: str
    host: str
    pid: int
    url: str = ""
    samplers: tuple[SamplerReport, ...] = ()
    serving: tuple[ServingReport, ...] = ()
    troubles: tuple[str, ...] = ()
    freshness: FreshnessSummary | None = None
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What a member is answered.

    Attributes:
        ready: whether the first queries are installed.
        active: ids of the queries that stand in all record partitions.
        owners: by serving partition, where members answer for it.
        checkpoint: id of the checkpoint that partitions are to send their parts of; None for none.
        destination: where checkpoints go: a URL, or a folder of the coordinator's host.
    """

    ready: bool = False
    active: frozenset[int] = frozenset()
    owners: Mapping[int, Sequence[str]] = field(default_factory=dict)
    checkpoint: str | None = None
    destination: str = ""


@dataclass(frozen=True, slots=True)
class StandingReport:
    """What stands in a log of `sample-batches` of what one sampler partition has written; see `dgs.sampler.standby.Standing`."""

    position: int
    number: int
    note: int


@dataclass(frozen=True, slots=True)
class RoundReport:
    """That a serving partition has completed a round of a barrier; see `dgs.coordinator.coordinator.Coordinator.report`."""

    serving_partition: int
    barrier: int
    round: int


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """What is fixed for a deployment, as a process of it without a data directory asks for it; see `dgs.core.deployment`.

    Attributes:
        schema: its JSON text.
        bus: URL, as any process of the deployment reaches it.
    """

    log_id: str
    generation: int
    partitions: int
    serving_partitions: int
    schema: str
    idle_items: int
    bus: str
    emission_version: int
    beginning: Beginning | None = None

    @classmethod
    def of(cls, deployment: Deployment, bus: str) -> Self:
        """Return the facts of a deployment on this bus."""
        facts: dict[str, Any] = {**deployment.identity(), "schema": deployment.schema.text, "beginning": deployment.beginning}
        return cls(**facts, bus=bus)

    def deployment(self) -> Deployment:
        """Return the deployment.

        Raises:
            SchemaError: the schema is of a newer program.
        """
        return Deployment(
            self.log_id,
            self.generation,
            self.partitions,
            self.serving_partitions,
            Schema.parse(self.schema),
            self.idle_items,
            self.bus,
            self.emission_version,
            self.beginning,
        )


class Form(Generic[T]):
    """The JSON form of a value."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def write(self, value: T) -> bytes:
        """Return the JSON text."""
        return self._adapter.dump_json(value)

    def read(self, data: bytes) -> T:
        """Read what `write` wrote; members that a newer program adds are left out.

        Raises:
            InputError: it is something else; with every problem.
        """
        try:
            return self._adapter.validate_json(data)
        except ValidationError as e:
            raise InputError(
                [f"{'.'.join(map(str, x['loc'])) or 'body'}: {x['msg']}" for x in e.errors(include_url=False)]
            ) from None


HEARTBEAT, NEWS, ROUND, DEPLOYMENT = Form(Heartbeat), Form(News), Form(RoundReport), Form(DeploymentFacts)
STANDING = Form(StandingReport)
