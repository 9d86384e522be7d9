"""Entries of a log that cannot be read: kept with their place and the reason, so that nothing is lost without a trace."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dgs.bus.base import Entry


class DeadEntry(NamedTuple):
    """A log entry that a worker had to pass over."""

    topic: str
    partition: int
    entry: Entry
    reason: str


DeadLetters = Callable[[DeadEntry], None]
"""Takes a dead entry and returns once it is kept."""


class DeadEntryFile:
    """Keeps dead entries as JSON lines: topic, partition, position, reason, and the bytes in base64."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, dead: DeadEntry) -> None:
        """Append one line; the file is made when it is needed."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = {
            "topic": dead.topic,
            "partition": dead.partition,
            "position": dead.entry.position,
            "reason": dead.reason,
            "data": base64.b64encode(dead.entry.data).decode(),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
