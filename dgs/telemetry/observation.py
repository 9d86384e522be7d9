"""An observation: what a process sees of the deployment at one moment. `/metrics` and `/cluster` are two forms of it.

Values only; `dgs.api.observer` makes them. What is not known is None, and stays away from what is shown: nothing is invented.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dgs.telemetry.figures import SamplerFigures, ServingFigures


@dataclass(frozen=True, slots=True)
class RecordPartition:
    """A partition of `record-batches`, and the sampler that reads it.

    Attributes:
        partition: which.
        up: whether its sampler has reported lately.
        figures: what that has reported last, however long ago.
        member, pid: by whom: a name and a process id.
        records_per_second: that it has applied, between its last two reports.
        reported_s_ago: how long ago the last one came.
        reflected: position that all serving partitions reflect.
        end: of the log; None when the bus does not tell.
        lag: from `reflected` to `end`.
        lag_seconds: how long ago the first record batch of the lag was appended; 0 where nothing lags, None where nothing tells.
    """

    partition: int
    up: bool
    figures: SamplerFigures | None
    member: str | None = None
    pid: int | None = None
    records_per_second: float | None = None
    reported_s_ago: float | None = None
    reflected: int = 0
    end: int | None = None
    lag: int | None = None
    lag_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ServingPartitionSeen:
    """A partition of `sample-batches`, and the serving partition that reads it.

    Attributes:
        partition: which.
        answers: whether it may be asked.
        caught_up: whether it has read all that stood in its log when it started.
        positions: per record partition, what it reflects.
        watermark: see `dgs.core.egograph.Reflected`.
        figures: what it tells about itself.
        end: of the log; None when the bus does not tell.
        lag: from its position to `end`.
        snapshot_age_s: of its newest snapshot; None if there is none.
    """

    partition: int
    answers: bool
    caught_up: bool
    positions: Sequence[int]
    watermark: int | None
    figures: ServingFigures
    end: int | None
    lag: int | None
    snapshot_age_s: float | None


@dataclass(frozen=True, slots=True)
class CheckpointSeen:
    """The newest checkpoint of the deployment.

    Attributes:
        age_s: since it was complete, at least 0.
        duration_s: how long it took.
        nbytes: what it refers to.
        sent_bytes: how much of that was not at the destination before.
    """

    age_s: float
    duration_s: float
    nbytes: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Observation:
    """The deployment at one moment, or as much of it as a process without the coordinator has.

    Attributes:
        records: all partitions of `record-batches`, in order.
        serving: all partitions of `sample-batches`, in order.
        queries: how many are installed.
        barriers: how many there are by state, a state of none included.
        dead_letters: log entries that workers passed over, since the deployment's beginning; None where that cannot be told.
        checkpoint: the newest one; None if none is known.
        counts_entries: whether positions, and so lags, count entries, as on Kafka, instead of bytes.
    """

    records: Sequence[RecordPartition]
    serving: Sequence[ServingPartitionSeen]
    queries: int | None
    barriers: Mapping[str, int]
    dead_letters: int | None
    checkpoint: CheckpointSeen | None = None
    counts_entries: bool = False
