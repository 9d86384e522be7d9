"""The manifest of a checkpoint: what it is of, what each part has put at the destination, and how far the logs between them go.

Values and their JSON only; `dgs.store.checkpoints` keeps them at a destination. A manifest has a checksum over itself and the
checksum of every file, so a checkpoint can be checked without anything else.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from dgs.core.deployment import Beginning
from dgs.core.errors import CodecError, StateError
from dgs.store.file_ref import FileRef

FORMAT = 1
"""A newer one is refused, an older one would be read."""
SAMPLER, SERVING = "sampler", "serving"


@dataclass(frozen=True, slots=True)
class Part:
    """What one partition has put there.

    Attributes:
        kind: SAMPLER or SERVING.
        partition: which.
        position: of its log, that its state reflects.
        received: the last numbers of the channels to it.
        sent: the last numbers of the channels from it.
        files: its state; none while it is empty.
        sent_bytes: how much of that was not there yet.
    """

    kind: str
    partition: int
    position: int
    received: Sequence[int]
    sent: Sequence[int]
    files: Sequence[FileRef]
    sent_bytes: int

    @property
    def name(self) -> str:
        """Its name: `sampler-0`."""
        return f"{self.kind}-{self.partition}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "kind": self.kind,
            "partition": self.partition,
            "position": self.position,
            "received": list(self.received),
            "sent": list(self.sent),
            "files": [f.to_json() for f in self.files],
            "sent_bytes": self.sent_bytes,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` gave; KeyError, TypeError or ValueError where it is something else."""
        kind = document["kind"]
        if kind not in (SAMPLER, SERVING):
            raise ValueError(f"a part of the kind {kind!r}")
        return cls(
            kind,
            int(document["partition"]),
            int(document["position"]),
            [int(n) for n in document["received"]],
            [int(n) for n in document["sent"]],
            [FileRef.from_json(f) for f in document["files"]],
            int(document["sent_bytes"]),
        )


@dataclass(frozen=True, slots=True)
class LogRange:
    """The log between a state and the end.

    Attributes:
        topic, partition: of which log.
        begin: from where on it is needed: the position of the part that reads it.
        end: of the log.
        files: its segments, the first of which may begin before that, and the last of which ends there; none where the bus keeps
            it.
    """

    topic: str
    partition: int
    begin: int
    end: int
    files: Sequence[FileRef]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        files = [f.to_json() for f in self.files]
        return {"topic": self.topic, "partition": self.partition, "begin": self.begin, "end": self.end, "files": files}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` gave; KeyError, TypeError or ValueError where it is something else."""
        files = [FileRef.from_json(f) for f in document["files"]]
        begin, end = int(document["begin"]), int(document["end"])
        return cls(str(document["topic"]), int(document["partition"]), begin, end, files)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checkpoint.

    Attributes:
        id: its name; later ones sort behind earlier ones.
        created_ms: when it was complete, in ms since 1970.
        duration_s: how long that took.
        sent_bytes: how much was not at the destination before.
        deployment: `Deployment.identity` of what it is of.
        schema: its text.
        coordinator: the coordinator's state: queries, dimensions, barriers, with the numbers of their orders.
        parts: one of each partition.
        logs: one of each partition.
        bus: URL of the bus that keeps the logs; empty where they are files of the checkpoint.
        beginning: of the deployment, if it has one.
    """

    id: str
    created_ms: int
    duration_s: float
    sent_bytes: int
    deployment: Mapping[str, str | int]
    schema: str
    coordinator: Mapping[str, Any]
    parts: Sequence[Part]
    logs: Sequence[LogRange]
    bus: str = ""
    beginning: Beginning | None = None

    @property
    def log_id(self) -> str:
        """Whose logs they are."""
        return str(self.deployment["log_id"])

    def age_s(self, now_s: float) -> float:
        """Return for how long it has been complete; `now_s` is in seconds since 1970."""
        return max(0.0, now_s - self.created_ms / 1000)

    def files(self) -> Iterator[FileRef]:
        """Yield what it refers to."""
        for part in self.parts:
            yield from part.files
        for log in self.logs:
            yield from log.files

    @property
    def nbytes(self) -> int:
        """How much it refers to, a content that it has twice counted once."""
        return sum({f.sha256: f.nbytes for f in self.files()}.values())

    def part(self, kind: str, partition: int) -> Part:
        """Return a partition's part; `decode` has seen to it that there is one."""
        return next(p for p in self.parts if (p.kind, p.partition) == (kind, partition))

    def log(self, topic: str, partition: int) -> LogRange:
        """Return a partition's log; `decode` has seen to it that there is one."""
        return next(r for r in self.logs if (r.topic, r.partition) == (topic, partition))

    def encode(self) -> bytes:
        """Return it as bytes."""
        content = {
            "id": self.id,
            "created_ms": self.created_ms,
            "duration_s": self.duration_s,
            "sent_bytes": self.sent_bytes,
            "deployment": dict(self.deployment),
            "schema": self.schema,
            "schema_sha256": hashlib.sha256(self.schema.encode()).hexdigest(),
            "coordinator": dict(self.coordinator),
            "parts": [p.to_json() for p in self.parts],
            "logs": [r.to_json() for r in self.logs],
            "bus": self.bus,
            "beginning": None if self.beginning is None else self.beginning.to_json(),
        }
        document = {"format": FORMAT, "sha256": _checksum(content), "manifest": content}
        return json.dumps(document, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes, name: str) -> Self:
        """Read what `encode` gave; `name` says in messages what is read.

        Raises:
            CodecError: it is damaged.
            StateError: a newer program has written it.
        """
        try:
            document = json.loads(data)
            version, content = int(document["format"]), document["manifest"]
        except (KeyError, TypeError, ValueError, RecursionError) as e:
            raise _damaged(name, e) from None
        if version > FORMAT:
            raise StateError(f"{name} has format {version}, this program reads up to {FORMAT}: use the dgs that wrote it")
        try:
            if document["sha256"] != _checksum(content):
                raise ValueError("its checksum is wrong")
            manifest = cls(
                str(content["id"]),
                int(content["created_ms"]),
                float(content["duration_s"]),
                int(content["sent_bytes"]),
                dict(content["deployment"]),
                str(content["schema"]),
                dict(content["coordinator"]),
                [Part.from_json(p) for p in content["parts"]],
                [LogRange.from_json(r) for r in content["logs"]],
                str(content.get("bus", "")),
                Beginning.from_json(content["beginning"]) if content.get("beginning") else None,
            )
            _check_whole(manifest)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            raise _damaged(name, e) from None
        return manifest


def _check_whole(manifest: Manifest) -> None:
    partitions = {SAMPLER: int(manifest.deployment["partitions"]), SERVING: int(manifest.deployment["serving_partitions"])}
    wanted = [(kind, p) for kind, count in partitions.items() for p in range(count)]
    if sorted((p.kind, p.partition) for p in manifest.parts) != wanted:
        raise ValueError("it does not have one part of each partition")
    if len(manifest.logs) != len(wanted):
        raise ValueError("it does not have the log of each partition")


def _checksum(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _damaged(name: str, cause: Exception) -> CodecError:
    what = f"{cause} is missing" if isinstance(cause, KeyError) else str(cause)
    return CodecError(f"{name} is damaged ({what}): use another checkpoint")
