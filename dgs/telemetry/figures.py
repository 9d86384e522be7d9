"""What workers tell about themselves: plain numbers of one moment. Workers make them when they are asked; nothing is counted twice.

Reports carry those of samplers to the frontend, which shows them with those of its serving partitions in `/metrics` and `/cluster`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SamplerFigures:
    """A sampler partition. What is counted is counted since it was last started.

    Attributes:
        position: next to read in its log.
        committed: position up to which its state is durable.
        records_applied: records of entries that it applied, those that changed nothing included.
        rejected: by reason, what it passed over: records where an entry could be decoded, else entries.
        duplicates, gaps: items of serving partitions that it dropped as applied, and ignored as one before them is missing.
        state_bytes: memory that its state takes.
    """

    position: int
    committed: int
    records_applied: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    gaps: int = 0
    state_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ServingFigures:
    """A serving partition. What is counted is counted since it was last started.

    Attributes:
        position: next to read in its log.
        seeds: how many seeds were looked up.
        duplicates, gaps: items of sampler partitions that it dropped as applied, and ignored as one before them is missing.
        ignored: blocks of rows that it does not keep, or no longer.
        rows_pending: rows that it has asked for and that have not arrived.
        vertices: that it knows, of all types.
        state_bytes: memory that its state takes.
        snapshot_position: position that the newest durable snapshot reflects; None before the first.
        snapshot_at: when that was written, in seconds since 1970.
    """

    position: int
    seeds: int = 0
    duplicates: int = 0
    gaps: int = 0
    ignored: int = 0
    rows_pending: int = 0
    vertices: int = 0
    state_bytes: int = 0
    snapshot_position: int | None = None
    snapshot_at: float | None = None


class ServingTelemetry(Protocol):
    """A serving partition that tells about itself."""

    def figures(self) -> ServingFigures:
        """Return its figures of this moment."""
