"""A new data directory out of a checkpoint: another deployment with the same content at the same positions, under a new log id.

Called by `dgs checkpoint restore`. The old deployment may still be there, so nothing of the two must be mixed up: whatever is kept
by log id is written anew with the new one. Where the logs are on Kafka it is the same deployment, which goes on with them, so the
old one must not run any more. What fails leaves nothing behind.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dgs.bus.archive import partition_directory, write_end
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.local import LocalBus
from dgs.bus.open import open_logs
from dgs.bus.topics import ensure_topics
from dgs.coordinator.state import read_state
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import EMISSION_VERSION, Deployment
from dgs.core.errors import CodecError, StateError
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position
from dgs.datadir import DataDir, new_log_id
from dgs.recovery.fresh import fresh_directory
from dgs.recovery.kept_logs import check_log, state_since
from dgs.store.base import Batch
from dgs.store.destination import Destination
from dgs.store.manifest import SAMPLER, Manifest, Part
from dgs.store.objects import fetch
from dgs.store.rocks import RocksStore
from dgs.store.snapshots import SnapshotDraft, SnapshotReader

Say = Callable[[str], None]


def restore_deployment(
    destination: Destination, manifest: Manifest, root: Path, say: Say, kafka: KafkaOptions | None = None
) -> Deployment:
    """Make a data directory of a checkpoint; return its deployment.

    Args:
        root: a folder that is empty or not there yet; its parent is.
        say: told what is done, for people.
        kafka: how to talk to Kafka, where the logs are there.

    Raises:
        InputError: the folder is not empty.
        StateError: the folder cannot be made, this program cannot go on with the checkpoint, or the logs on Kafka cannot.
        UnreachableError: Kafka is away.
        CodecError: the checkpoint is damaged.
        OSError: the disk or the destination refuses.
    """
    deployment = deployment_of(manifest, None if manifest.bus else new_log_id())
    state = read_state(manifest.coordinator)
    if manifest.bus:
        say(f"checking that {manifest.bus} has what {manifest.id} needs")
        with closing(open_logs(deployment, DataDir(root).log, kafka)) as logs:
            for part in manifest.parts:
                check_log(logs, part)
    with fresh_directory(root, "a checkpoint is restored into a new folder") as directory:
        say(f"restoring {manifest.id} ({manifest.nbytes} bytes) into {root}")
        if not manifest.bus:
            _restore_logs(destination, manifest, directory, deployment)
        for part in manifest.parts:
            say(f"restoring {part.name}")
            restore_part(destination, part, directory)
            if not manifest.bus:
                _rename(part, directory, deployment.log_id)
        if manifest.bus:
            state = asyncio.run(state_since(deployment, kafka, manifest, state))
        StateFile(directory.coordinator_state, deployment).save(state)
        directory.write(deployment)
    return deployment


def deployment_of(manifest: Manifest, log_id: str | None = None) -> Deployment:
    """Return the deployment that a checkpoint is of, or the same with another log id; on the bus that keeps its logs, else its own.

    Raises:
        StateError: this program emits in another version.
        CodecError: the manifest does not say what it has to.
    """
    try:
        identity = manifest.deployment
        deployment = Deployment(
            log_id=log_id or manifest.log_id,
            generation=int(identity["generation"]),
            partitions=int(identity["partitions"]),
            serving_partitions=int(identity["serving_partitions"]),
            schema=Schema.parse(manifest.schema),
            idle_items=int(identity["idle_items"]),
            emission_version=int(identity["emission_version"]),
            bus=manifest.bus,
            beginning=manifest.beginning,
        )
    except (KeyError, ValueError) as e:
        raise CodecError(f"the manifest of {manifest.id} is damaged: {e!r}; use another checkpoint") from None
    if deployment.emission_version != EMISSION_VERSION:
        raise StateError(
            f"{manifest.id} was made with emission version {deployment.emission_version}, this program emits in version "
            f"{EMISSION_VERSION} only: restore it with the dgs that made it"
        )
    return deployment


def restore_part(destination: Destination, part: Part, directory: DataDir) -> None:
    """Put a partition's state where it belongs; nothing may be there.

    Raises:
        CodecError: it is damaged.
        OSError: the disk or the destination refuses.
    """
    folder = directory.sampler(part.partition) if part.kind == SAMPLER else directory.serving(part.partition)
    for ref in part.files:
        fetch(destination, ref, folder / ref.path)


def _restore_logs(destination: Destination, manifest: Manifest, directory: DataDir, deployment: Deployment) -> None:
    asyncio.run(_make_topics(directory.log, deployment))
    for log in manifest.logs:
        folder = partition_directory(directory.log, log.topic, PartitionIndex(log.partition))
        for ref in log.files:
            fetch(destination, ref, folder / ref.path)
        write_end(folder, Position(log.end))


async def _make_topics(log: Path, deployment: Deployment) -> None:
    bus = LocalBus(log)
    try:
        await ensure_topics(bus, deployment)
    finally:
        await bus.close()


def _rename(part: Part, directory: DataDir, log_id: str) -> None:
    """Let a state be that of another log id."""
    if not part.files:
        return
    if part.kind == SAMPLER:
        _rename_store(directory.sampler(part.partition), part, log_id)
    else:
        rename_snapshot(directory.serving(part.partition) / part.files[0].path, log_id)


def _rename_store(path: Path, part: Part, log_id: str) -> None:
    store = RocksStore(path)
    try:
        committed = store.committed()
        if committed is None or committed[0] != part.position:
            raise CodecError(f"{path} does not hold the state at position {part.position} that its checkpoint tells of")
        meta = json.loads(committed[1])
        store.write(Batch(committed[0], json.dumps({**meta, "log_id": log_id}).encode(), {}))
    finally:
        store.close()


def rename_snapshot(path: Path, log_id: str) -> None:
    """Let a snapshot be that of another log id."""
    given = path.with_name(f"{path.name}.given")
    path.replace(given)
    draft = SnapshotDraft(path)
    try:
        with SnapshotReader(given) as reader:
            meta = json.loads(reader.read())
            meta["deployment"]["log_id"] = log_id
            draft.add(json.dumps(meta, separators=(",", ":")).encode())
            for piece in reader.pieces():
                draft.add(piece)
        draft.finish()
    finally:
        draft.discard()
    given.unlink()
