"""One partition of a standing data directory gets its state of a checkpoint back; what has happened since it reads from its log.

Called by `dgs checkpoint restore --partition` while nothing works on the partition. It may go back in time alone: what it emits
again is dropped as duplicates, and what was sent to it since stands in its log.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.open import open_logs
from dgs.core.deployment import Deployment
from dgs.core.errors import InputError, NotFoundError, StateError
from dgs.datadir import DataDir
from dgs.recovery.kept_logs import check_log
from dgs.recovery.restore import restore_part
from dgs.store.checkpoints import LATEST, Checkpoints
from dgs.store.manifest import SAMPLER, SERVING, Manifest, Part


def restore_partition(
    checkpoints: Checkpoints,
    checkpoint: str,
    directory: DataDir,
    kind: str,
    partition: int,
    say: Callable[[str], None],
    kafka: KafkaOptions | None = None,
) -> Part:
    """Put a partition's state back; what stands in its place is renamed. Return what was put there.

    Args:
        checkpoint: its id, or LATEST for the newest of the deployment.
        kind: SAMPLER or SERVING.
        say: told what is done, for people.
        kafka: how to talk to Kafka, where the log is there.

    Raises:
        InputError: there is no such partition.
        NotFoundError: no such checkpoint.
        StateError: a process works on it; the checkpoint is of another deployment; the log does not go on from there.
        CodecError: the checkpoint is damaged.
        OSError: the disk or the destination refuses.
    """
    deployment = directory.read()
    if deployment is None:
        raise NotFoundError(f"{directory.root} holds no deployment; without --partition, a whole one is restored")
    count = deployment.partitions if kind == SAMPLER else deployment.serving_partitions
    if not 0 <= partition < count:
        raise InputError(f"there are {kind}/0 to {kind}/{count - 1}, no {kind}/{partition}")
    # Serving partitions live in the frontend's process.
    with directory.lock(f"sampler-{partition}" if kind == SAMPLER else "frontend", wait_s=0):
        manifest = checkpoints.manifest(checkpoint, deployment.log_id if checkpoint == LATEST else None)
        part = manifest.part(kind, partition)
        _check_deployment(manifest, deployment)
        with closing(open_logs(deployment, directory.log, kafka)) as logs:
            check_log(logs, part)
        folder = directory.sampler(partition) if kind == SAMPLER else directory.serving(partition)
        aside = _set_aside(folder)
        if aside is not None:
            say(f"what was in {folder} is now in {aside}; remove it when you do not need it")
        restore_part(checkpoints.destination, part, directory)
    say(f"{kind}/{partition} goes on from position {part.position}, of {manifest.id}")
    return part


def _check_deployment(manifest: Manifest, deployment: Deployment) -> None:
    if dict(manifest.deployment) != deployment.identity():
        raise StateError(
            f"{manifest.id} is of the deployment {dict(manifest.deployment)}, here is {deployment.identity()}: their logs differ. "
            "Name a checkpoint of this one, or leave out --partition and restore the whole into a new folder"
        )


def _set_aside(folder: Path) -> Path | None:
    """Rename a folder if there is anything in it; return its new name."""
    if not folder.exists():
        return None
    if not any(folder.iterdir()):
        folder.rmdir()
        return None
    number = 1
    while (aside := folder.with_name(f"{folder.name}.replaced-{number}")).exists():
        number += 1
    folder.rename(aside)
    return aside


def partition_named(name: str) -> tuple[str, int]:
    """Return kind and number of a partition's name, such as sampler/0.

    Raises:
        InputError: it is none.
    """
    kind, _, number = name.partition("/")
    if kind not in (SAMPLER, SERVING) or not number.isdecimal():
        raise InputError(f"{name!r} is no partition: it is sampler/N or serving/N")
    return kind, int(number)
