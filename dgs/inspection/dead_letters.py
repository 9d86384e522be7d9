"""The log entries that workers have passed over, as their files keep them."""

from typing import Any

from dgs.bus.dead_letters import read_dead_entries
from dgs.inspection.subject import Subject

_FIRST_BYTES = 16


def list_dead_letters(subject: Subject) -> list[dict[str, Any]]:
    """Return all of them as JSON values, file by file, in the order in which they were passed over.

    Each has `topic`, `partition`, `position`, `reason`, `when` (RFC 3339, or None), `size` (bytes) and `first_bytes` (hexadecimal).

    Raises:
        StateError: a file holds something else.
    """
    found = []
    for path in sorted(subject.directory.dead_letters.glob("*.jsonl")):
        for dead, when in read_dead_entries(path):
            found.append(
                {
                    "topic": dead.topic,
                    "partition": dead.partition,
                    "position": int(dead.entry.position),
                    "reason": dead.reason,
                    "when": when or None,
                    "size": len(dead.entry.data),
                    "first_bytes": dead.entry.data[:_FIRST_BYTES].hex(),
                }
            )
    return found
