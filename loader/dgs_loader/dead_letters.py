"""Lines and events that were not loaded, each with its place and the reason, in a file of JSON lines.

The file is made by the first dead letter, so a clean load leaves none behind. Nothing here decides what is wrong with a line.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple


class DeadLetter(NamedTuple):
    """One line that was not loaded: its number in the input, from 1, the reason, and the line without its end."""

    line: int
    reason: str
    text: bytes


class DeadEvent(NamedTuple):
    """One event of which something was not loaded: its place in Kafka, the reason, and the event."""

    topic: str
    partition: int
    offset: int
    reason: str
    text: bytes


class DeadLetterFile:
    """Writes dead letters to a file, which it makes (or empties) only when there is one.

    Args:
        path: of the file.
        appends: add to a file that is there, instead of emptying it.
    """

    def __init__(self, path: Path, *, appends: bool = False) -> None:
        self.path = path
        self.count = 0
        self._mode = "a" if appends else "w"
        self._file: IO[str] | None = None

    def write(self, letters: Sequence[DeadLetter | DeadEvent]) -> None:
        """Append dead letters; they are in the file when this returns.

        Raises:
            OSError: the file cannot be written.
        """
        if not letters:
            return
        if self._file is None:
            self._file = self.path.open(self._mode, encoding="utf-8")
        self._file.writelines(_json_line(letter) for letter in letters)
        self._file.flush()
        self.count += len(letters)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def _json_line(letter: DeadLetter | DeadEvent) -> str:
    document: dict[str, object] = letter._asdict()
    try:
        document["text"] = letter.text.decode()
    except UnicodeDecodeError:
        document["text"] = base64.b64encode(letter.text).decode()
        document["encoding"] = "base64"
    return json.dumps(document, ensure_ascii=False) + "\n"
