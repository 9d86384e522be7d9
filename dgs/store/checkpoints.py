"""The checkpoints at a destination: which there are, what each part has put there, what may go.

    objects/ab/<sha256>                files under the hash of their content
    checkpoints/<id>/parts/<name>.json what one partition has put there
    checkpoints/<id>/manifest.json     written last; its presence makes the checkpoint

One deployment at a time creates checkpoints here, and one process of it; others only look. Everything blocks: call it in threads.
"""

import datetime
import json
from collections.abc import Iterable, Sequence

from dgs.core.errors import CodecError, NotFoundError, StateError
from dgs.store.destination import Destination
from dgs.store.manifest import Manifest, Part
from dgs.store.objects import sweep
from dgs.telemetry import logs

FOLDER, MANIFEST = "checkpoints", "manifest.json"
LATEST = "latest"
ABANDONED_AFTER_S = 86_400.0
"""A checkpoint of another deployment that is not complete by then will not be."""
_TIME = "%Y%m%dT%H%M%S.%fZ"

_log = logs.get(__name__)


def new_id(log_id: str, now_s: float) -> str:
    """Return the id of a checkpoint that begins now (seconds since 1970); ids sort by time, and end with whose they are."""
    moment = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    return f"{moment.strftime(_TIME)}-{log_id}"


class Checkpoints:
    """The checkpoints at a destination."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination

    def ids(self) -> list[str]:
        """Return the ids of complete checkpoints, newest first."""
        return sorted((i for i, names in self._found().items() if MANIFEST in names), reverse=True)

    def manifest(self, checkpoint: str = LATEST, log_id: str | None = None) -> Manifest:
        """Return the manifest of a checkpoint, or the newest (of that log id).

        Raises:
            NotFoundError: there is none.
            CodecError: it is damaged.
            StateError: a newer program has written it.
            OSError: the destination refuses.
        """
        if checkpoint == LATEST:
            own = [i for i in self.ids() if log_id is None or i.endswith(f"-{log_id}")]
            if not own:
                whose = "" if log_id is None else f" of the log {log_id}"
                raise NotFoundError(f"there is no checkpoint{whose} at {self.destination.url}; `dgs checkpoint create` makes one")
            checkpoint = own[0]
        name = f"{FOLDER}/{checkpoint}/{MANIFEST}"
        data = self.destination.read(name) if checkpoint and "/" not in checkpoint else None
        if data is None:
            raise NotFoundError(
                f"there is no checkpoint {checkpoint!r} at {self.destination.url}; `dgs checkpoint list` tells which there are"
            )
        return Manifest.decode(data, f"{self.destination.url}/{name}")

    def put_part(self, checkpoint: str, part: Part) -> None:
        """Keep what a partition has put there."""
        self.destination.write(_part_name(checkpoint, part.name), json.dumps(part.to_json()).encode())

    def put_failure(self, checkpoint: str, name: str, why: str) -> None:
        """Keep why a partition cannot put anything there."""
        self.destination.write(_part_name(checkpoint, name), json.dumps({"failed": why}).encode())

    def part(self, checkpoint: str, name: str) -> Part | None:
        """Return what a partition has put there; None before it has.

        Raises:
            StateError: it cannot; says why.
            CodecError: what stands there is no part.
        """
        data = self.destination.read(_part_name(checkpoint, name))
        if data is None:
            return None
        try:
            document = json.loads(data)
            if "failed" in document:
                raise StateError(f"{name} has no part in the checkpoint: {document['failed']}")
            return Part.from_json(document)
        except (KeyError, TypeError, ValueError) as e:
            raise CodecError(f"what {name} has put at {self.destination.url} is damaged: {e}") from None

    def put(self, manifest: Manifest) -> None:
        """Make a checkpoint of what its parts have put there."""
        self.destination.write(f"{FOLDER}/{manifest.id}/{MANIFEST}", manifest.encode())

    def keep(self, log_id: str, newest: int, now_s: float) -> list[Manifest]:
        """Remove what is not needed: older checkpoints of this deployment, what was never completed, and objects that nobody has.

        To be called by the one who creates checkpoints, while no part is being sent. Checkpoints of other deployments stay.

        Returns:
            the checkpoints of this deployment that stay, newest first.

        Raises:
            OSError: the destination refuses; calling it again does the rest.
        """
        found = self._found()
        complete = sorted((i for i, names in found.items() if MANIFEST in names), reverse=True)
        own = [i for i in complete if i.endswith(f"-{log_id}")]
        others_at_work = False
        for name in found.keys() - complete:
            if name.endswith(f"-{log_id}") or _begun_s(name) < now_s - ABANDONED_AFTER_S:
                self._remove(name, found[name])
            else:
                others_at_work = True
        for name in own[newest:]:
            self._remove(name, found[name])
        kept: list[Manifest] = []
        for name in complete:
            if name not in own[newest:]:
                try:
                    kept.append(self.manifest(name))
                except CodecError as e:
                    _log.error("nothing is swept while a manifest is damaged; remove its folder", checkpoint=name, cause=e)
                    others_at_work = True
        if not others_at_work:
            sweep(self.destination, (ref for manifest in kept for ref in manifest.files()))
        return [m for m in kept if m.log_id == log_id]

    def _remove(self, checkpoint: str, names: Iterable[str]) -> None:
        # What makes it a checkpoint goes first.
        for name in sorted(names, key=lambda n: n != MANIFEST):
            self.destination.remove(f"{FOLDER}/{checkpoint}/{name}")

    def _found(self) -> dict[str, Sequence[str]]:
        """Return the names of files by checkpoint."""
        found: dict[str, list[str]] = {}
        for name in self.destination.names(FOLDER):
            checkpoint, _, rest = name.partition("/")
            found.setdefault(checkpoint, []).append(rest)
        return dict(found)


def _part_name(checkpoint: str, name: str) -> str:
    return f"{FOLDER}/{checkpoint}/parts/{name}.json"


def _begun_s(checkpoint: str) -> float:
    """Return when a checkpoint was begun, by its name; 0 for a name that is none."""
    try:
        moment = datetime.datetime.strptime(checkpoint.partition("-")[0], _TIME)
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=datetime.UTC).timestamp()
