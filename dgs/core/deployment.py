"""A deployment: what is fixed for its life (of one generation), and so shapes what every machine emits."""

from dataclasses import dataclass

from dgs.core.schema import Schema

EMISSION_VERSION = 2
"""What this code emits. A log begun under another version needs a program that still emits in that version."""
IDLE_ITEMS = 4096
"""Default of `Deployment.idle_items`."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Facts that every process of a deployment agrees on.

    Attributes:
        log_id: names the logs that belong to this deployment; another data directory has another.
        generation: rises when state is rebuilt for other partition counts; positions and channels carry it.
        partitions: P, partitions of record-batches.
        serving_partitions: S, partitions of sample-batches.
        schema: the graph schema.
        bus: URL of the bus that its logs are on; empty for the local bus in its data directory.
        idle_items: a serving partition drops a row that nothing needed for this many applied items, at least.
    """

    log_id: str
    generation: int
    partitions: int
    serving_partitions: int
    schema: Schema
    idle_items: int = IDLE_ITEMS
    bus: str = ""
    emission_version: int = EMISSION_VERSION

    def identity(self) -> dict[str, str | int]:
        """Return by name what another deployment's state differs in; the schema goes with the log id."""
        names = ("log_id", "generation", "partitions", "serving_partitions", "idle_items", "emission_version")
        return {name: getattr(self, name) for name in names}
