"""The request for a checkpoint: a bulletin by which the frontend tells samplers which one to send their parts of."""

import json
from pathlib import Path

from dgs.bulletin import Bulletin


class CheckpointRequest:
    """The request in a file."""

    def __init__(self, path: Path) -> None:
        self._bulletin = Bulletin(path)

    def publish(self, checkpoint: str | None) -> None:
        """Ask for the parts of a checkpoint, or for none.

        Raises:
            OSError: the system refuses.
        """
        self._bulletin.publish(json.dumps({"checkpoint": checkpoint}).encode())

    def read(self) -> str | None:
        """Return the id of the checkpoint whose parts are asked for; None for none."""
        return self._bulletin.read(_checkpoint_of)


def _checkpoint_of(data: bytes) -> str | None:
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("not a request")
    checkpoint = document.get("checkpoint")
    return checkpoint if isinstance(checkpoint, str) else None
