"""The data directory of `dgs up`: which deployment lives there, where its parts keep their files, and who holds which of them.

    deployment.json           what is fixed for the deployment's life, written once
    log/                      the local bus
    coordinator/state.json    queries, dimensions, barriers
    sampler/<p>/              RocksDB of sampler partition p
    serving/<s>/              snapshots of serving partition s
    dead-letters/             log entries that a worker passed over
    member                    a name of its own, for those who run partitions here
    checkpoints/              checkpoints, unless they go elsewhere
    checkpointing/            links to what is being sent
    locks/                    one file per owner, held by flock, with the owner's pid in it

Called by the commands that start processes and by `dgs.app`; it knows nothing of what the files mean to those who own them.
"""

import errno
import fcntl
import json
import os
import secrets
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from dgs.core.deployment import EMISSION_VERSION, Beginning, Deployment
from dgs.core.errors import InputError, SchemaError, StateError
from dgs.core.repair import ANEW
from dgs.core.schema import Schema
from dgs.store.durable import write_durably

FORMAT = 1
"""Of deployment.json. A newer one is refused, an older one would be read."""
LOCK_WAIT_S = 3.0
"""How long a lock is tried for: a killed predecessor may still be going down."""
LOCK_RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asks for; None means: as the directory has it."""

    schema: Schema | None = None
    partitions: int | None = None
    serving_partitions: int | None = None
    idle_items: int | None = None
    bus: str | None = None
    start_at: str | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a new deployment gets where nothing is asked for; without a log id, one of its own."""

    partitions: int
    serving_partitions: int
    idle_items: int
    log_id: str = ""
    beginning: Beginning | None = None


class Lock:
    """An exclusive lock on a file, held until it is released or its process ends. The file stays; only its lock matters."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path, what: str, *, wait_s: float = LOCK_WAIT_S) -> Self:
        """Take the lock, trying for `wait_s` seconds.

        Args:
            path: the lock file; made when it is missing.
            what: what the lock stands for, as the error message names it.
            wait_s: 0 tries once.

        Raises:
            StateError: another process holds it (the message has its pid), or the file cannot be written.
        """
        deadline = time.monotonic() + wait_s
        descriptor = _open_lock_file(path)
        try:
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise StateError(f"{what} is already served by {_holder(path)}; stop that process, or use another --data-dir")
                time.sleep(LOCK_RETRY_S)
            with suppress(OSError):  # only the lock counts; on a full disk nobody is told who has it
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class DataDir:
    """The paths of a data directory, and its deployment."""

    root: Path

    @property
    def deployment_file(self) -> Path:
        """What is fixed for the deployment's life."""
        return self.root / "deployment.json"

    @property
    def log(self) -> Path:
        """The local bus."""
        return self.root / "log"

    @property
    def coordinator_state(self) -> Path:
        """The coordinator's state."""
        return self.root / "coordinator" / "state.json"

    @property
    def dead_letters(self) -> Path:
        """Where refused records are written."""
        return self.root / "dead-letters"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go unless a setting says otherwise."""
        return self.root / "checkpoints"

    def checkpoint_link(self, owner: str) -> Path:
        """Where a partition links what it sends."""
        return self.root / "checkpointing" / owner

    def sampler(self, partition: int) -> Path:
        """Where a sampler partition keeps its store."""
        return self.root / "sampler" / str(partition)

    def serving(self, partition: int) -> Path:
        """Where a serving partition keeps its snapshots."""
        return self.root / "serving" / str(partition)

    def lock(self, owner: str, *, wait_s: float = LOCK_WAIT_S) -> Lock:
        """Take the lock of an owner: `up`, `frontend`, `sampler-0`, …; StateError when another process holds it."""
        what = f"the data directory {self.root}" if owner == "up" else f"{owner} of the data directory {self.root}"
        return Lock.acquire(self.root / "locks" / f"{owner}.lock", what, wait_s=wait_s)

    def member(self, role: str) -> str:
        """Return the name of who has this role here: the same in all its lives, and nobody else's.

        Raises:
            StateError: the directory cannot be read or written.
        """
        path = self.root / "member"
        try:
            if not path.exists():
                write_durably(path, f"{secrets.token_hex(4)}\n".encode())
            return f"{role}@{path.read_text().strip()}"
        except OSError as e:
            raise _unusable(self.root, e) from None

    def make(self) -> None:
        """Make the directory and its parts where they are missing. Its parent must exist: a typing error makes no tree.

        Raises:
            StateError: the parent is missing, something else has the name, or writing is not allowed.
        """
        parent = self.root.absolute().parent
        if self.root.exists() and not self.root.is_dir():
            raise StateError(f"the data directory {self.root} is a file; give another --data-dir")
        if not parent.is_dir():
            raise StateError(f"cannot make the data directory {self.root}: its parent {parent} is not a directory; make it first")
        try:
            for folder in (self.root, self.log, self.coordinator_state.parent, self.dead_letters, self.root / "locks"):
                folder.mkdir(exist_ok=True)
            (self.root / "sampler").mkdir(exist_ok=True)
        except OSError as e:
            raise _unusable(self.root, e) from None

    def read(self) -> Deployment | None:
        """Return the deployment that lives here, or None where there is none yet.

        Raises:
            StateError: the file is damaged, of a newer program, or cannot be read.
        """
        try:
            text = self.deployment_file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as e:
            raise _unusable(self.root, e) from None
        return _decode(text, self.deployment_file)

    def establish(self, wanted: Wanted, defaults: Defaults) -> Deployment:
        """Return the deployment of this directory, made now if there is none. Call it with the lock `up` held.

        Raises:
            StateError: what stands in the directory is not what is wanted.
            InputError: the directory is new and no schema is given.
        """
        standing = self.read()
        if standing is None:
            standing = _new(wanted, defaults, self.root)
            self.write(standing)
        else:
            _compare(standing, wanted, self.root)
            if wanted.bus is not None and wanted.bus != standing.bus:
                standing = replace(standing, bus=wanted.bus)  # other brokers of the same cluster
                self.write(standing)
        return standing

    def write(self, deployment: Deployment) -> None:
        """Let a new deployment live here; its other files are to be there already."""
        try:
            write_durably(self.deployment_file, _encode(deployment))
        except OSError as e:
            raise _unusable(self.root, e) from None


def new_log_id() -> str:
    """Return a log id that no other deployment has."""
    return secrets.token_hex(8)


def _new(wanted: Wanted, defaults: Defaults, root: Path) -> Deployment:
    if wanted.schema is None:
        raise InputError(f"{root} holds no deployment yet, and a new one needs --schema FILE")
    return Deployment(
        log_id=defaults.log_id or new_log_id(),
        generation=1,
        partitions=defaults.partitions if wanted.partitions is None else wanted.partitions,
        serving_partitions=defaults.serving_partitions if wanted.serving_partitions is None else wanted.serving_partitions,
        schema=wanted.schema,
        idle_items=defaults.idle_items if wanted.idle_items is None else wanted.idle_items,
        bus=wanted.bus or "",
        beginning=defaults.beginning,
    )


def _compare(standing: Deployment, wanted: Wanted, root: Path) -> None:
    differences = [
        f"{flag} is {has} there and {asked} was asked for"
        for flag, has, asked in (
            ("--partitions", standing.partitions, wanted.partitions),
            ("--serving-partitions", standing.serving_partitions, wanted.serving_partitions),
            ("--idle-items", standing.idle_items, wanted.idle_items),
            ("--bus", standing.bus or "the local one in the directory", wanted.bus or None),
            ("--start-at", "not given" if standing.beginning is None else standing.beginning.at, wanted.start_at),
        )
        if asked is not None and asked != has and not (flag == "--bus" and _same_topics(str(has), str(asked)))
    ]
    if wanted.schema is not None and wanted.schema.document != standing.schema.document:
        differences.append(f"the schema there is another one: {_first_difference(standing.schema, wanted.schema)}")
    if standing.bus.startswith("memory:"):
        raise StateError(
            f"the data directory {root} was begun on a bus in memory, whose logs ended with its process: give a new --data-dir"
        )
    if differences:
        raise StateError(
            f"the data directory {root} belongs to another deployment: {'; '.join(differences)}. These are fixed for a "
            "deployment's life: leave them out to go on with what is there, or give a new --data-dir and load the data again"
        )


def _same_topics(standing: str, wanted: str) -> bool:
    """Whether both are the topics of one name on Kafka; that they are of one cluster, the log id shows, which every record has."""
    has, asked = urlsplit(standing), urlsplit(wanted)
    return has.scheme == asked.scheme == "kafka" and has.path.strip("/") == asked.path.strip("/")


def _first_difference(standing: Schema, wanted: Schema) -> str:
    keys = [*wanted.document, *(k for k in standing.document if k not in wanted.document)]
    key = next(k for k in keys if standing.document.get(k) != wanted.document.get(k))
    has, asked = (json.dumps(s.document.get(key)) for s in (standing, wanted))
    # Long sections share a long beginning; what differs is what the reader needs to see.
    start = next((i for i, (a, b) in enumerate(zip(has, asked, strict=False)) if a != b), min(len(has), len(asked)))
    start = max(0, start - 40)
    return f"{key} has …{has[start : start + 80]}… there and …{asked[start : start + 80]}… in the file given"


def checksum(document: Mapping[str, Any]) -> int:
    """Return the checksum of what deployment.json holds, besides the checksum itself."""
    content = {name: value for name, value in document.items() if name != "crc32"}
    return zlib.crc32(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


def _encode(deployment: Deployment) -> bytes:
    document: dict[str, Any] = {
        "format": FORMAT,
        **deployment.identity(),
        "bus": deployment.bus,
        "schema": deployment.schema.text,
        **({} if deployment.beginning is None else {"beginning": deployment.beginning.to_json()}),
    }
    document["crc32"] = checksum(document)
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _decode(text: bytes, path: Path) -> Deployment:
    try:
        document = json.loads(text)
        version = _integer(document, "format")
    except (ValueError, TypeError, KeyError) as e:
        raise _damaged(path, e) from None
    if version > FORMAT:
        raise StateError(f"{path} has format {version}, this program reads up to {FORMAT}: start it with the dgs that wrote it")
    try:
        if document["crc32"] != checksum(document):
            raise ValueError("its checksum is wrong")
        deployment = Deployment(
            log_id=str(document["log_id"]),
            generation=_integer(document, "generation"),
            partitions=_integer(document, "partitions"),
            serving_partitions=_integer(document, "serving_partitions"),
            schema=Schema.parse(str(document["schema"])),
            idle_items=_integer(document, "idle_items"),
            emission_version=_integer(document, "emission_version"),
            bus=str(document["bus"]),
            beginning=Beginning.from_json(document["beginning"]) if document.get("beginning") else None,
        )
    except (ValueError, TypeError, KeyError, SchemaError) as e:
        raise _damaged(path, e) from None
    if deployment.emission_version != EMISSION_VERSION:
        raise StateError(
            f"{path} was begun with emission version {deployment.emission_version}, this program emits in version "
            f"{EMISSION_VERSION} only: start it with the dgs that wrote it, or load the data again into a new --data-dir"
        )
    return deployment


def _integer(document: Any, key: str) -> int:
    value = document[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{key} is {value!r}")
    return value


def _damaged(path: Path, cause: Exception) -> StateError:
    what = f"{cause} is missing" if isinstance(cause, KeyError) else str(cause)
    return StateError(f"{path} is damaged ({what}); put back a copy of it; or {ANEW}")


def _unusable(root: Path, cause: OSError) -> StateError:
    if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StateError(
            f"the data directory {root} cannot be written ({cause.strerror}: {cause.filename}); make it writable, or give another"
            " --data-dir"
        )
    return StateError(f"the data directory {root} cannot be used: {cause.strerror}: {cause.filename}")


def _open_lock_file(path: Path) -> int:
    try:
        path.parent.mkdir(exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise _unusable(path.parent.parent, e) from None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError):
        return f"pid {int(path.read_text())}"
    return "another process"
