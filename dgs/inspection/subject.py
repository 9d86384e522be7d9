"""What is looked into: a data directory with a deployment in it, and where its parts are.

It opens nothing but deployment.json and the coordinator's state; the modules beside it read one part each.
"""

from pathlib import Path

from dgs.bus.archive import partition_directory
from dgs.bus.base import RECORDS, SAMPLES
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.open import kafka_address, log_directory
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import InputError, NotFoundError
from dgs.core.partition import partition_of
from dgs.core.schema import ElementType
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir


class Subject:
    """A data directory that holds a deployment.

    Args:
        root: of it.
        kafka: how to talk to Kafka, where the logs are there; None for the defaults.

    Raises:
        InputError: it holds none.
        StateError: its deployment.json cannot be used.
    """

    def __init__(self, root: Path, kafka: KafkaOptions | None = None) -> None:
        self.kafka = kafka
        self.directory = DataDir(root)
        found = self.directory.read()
        if found is None:
            raise InputError(f"{root} is no data directory: it has no deployment.json; give the --data-dir of a `dgs up`")
        self.deployment: Deployment = found

    @property
    def topics(self) -> dict[str, int]:
        """Both topics with their numbers of partitions."""
        return {RECORDS: self.deployment.partitions, SAMPLES: self.deployment.serving_partitions}

    def log_files(self, topic: str, partition: int) -> Path | None:
        """Return the directory of a log; None where it is on Kafka.

        Raises:
            NotFoundError: no such topic or partition; names what there is.
            StateError: the logs of this deployment are neither in files nor on Kafka.
        """
        if topic not in self.topics:
            raise NotFoundError(f"there is no topic {topic!r}; there are {' and '.join(self.topics)}")
        self._check(topic, partition, self.topics[topic])
        if kafka_address(self.deployment.bus) is not None:
            return None
        return partition_directory(log_directory(self.deployment.bus, self.directory.log), topic, PartitionIndex(partition))

    def sampler(self, partition: int) -> Path:
        """Return the store of a sampler partition.

        Raises:
            NotFoundError: no such partition, or it has not committed anything yet.
        """
        self._check("sampler", partition, self.deployment.partitions)
        path = self.directory.sampler(partition)
        if not (path / "CURRENT").exists():
            raise NotFoundError(f"sampler partition {partition} has no state yet: {path} is not there, or empty")
        return path

    def serving(self, partition: int) -> Path:
        """Return the folder of a serving partition's snapshots; NotFoundError where there is no such partition."""
        self._check("serving", partition, self.deployment.serving_partitions)
        return self.directory.serving(partition)

    def vertex_type(self, name: str) -> ElementType:
        """Return a vertex type by its name.

        Raises:
            NotFoundError: the schema has no such type; names those that it has.
        """
        known = self.deployment.schema.vertex_names
        if name not in known:
            raise NotFoundError(f"the schema has no vertex type {name!r}; it has {', '.join(sorted(known)) or 'none'}")
        return known[name]

    def places(self, vertex: int) -> tuple[int, int]:
        """Return the record partition and the serving partition of a vertex."""
        return partition_of(vertex, self.deployment.partitions), partition_of(vertex, self.deployment.serving_partitions)

    def barrier_names(self) -> dict[int, str]:
        """Return the names of barriers by the ids that logs carry."""
        state = StateFile(self.directory.coordinator_state, self.deployment).load()
        return {b.id: name for name, b in state.barriers.items() if b.number}

    @staticmethod
    def _check(what: str, partition: int, count: int) -> None:
        if not 0 <= partition < count:
            raise NotFoundError(f"{what} has partitions 0 to {count - 1}, no {partition}")
