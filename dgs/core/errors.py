"""Every error that the system raises on purpose, and what each becomes at its edges.

DgsError
├── InputError             what the user gave cannot be understood; lists every problem at once
│   ├── SchemaError        a graph schema
│   ├── PlanError          an install-query document
│   └── RecordError        one vertex or edge record
├── NotFoundError          no such query, barrier, …
├── ConflictError          it contradicts something that already stands
├── TooLargeError          beyond a limit that a setting names
├── NotReadyError          true later: ask again
├── DeadlineError          not within the time that the caller gave
├── UnreachableError       no answer from the service or the bus
├── NoRoomError            a log or a disk takes no more at present
├── CodecError             bytes that are not what they should be: corrupt, foreign, or of a newer version
└── StateError             a data directory or log that this process must not use; says what to do
    ├── PositionError      a position beyond the end of its log, or of another generation
    └── DivergedError      a serving row differs from the sampler's: a broken invariant, never repaired in silence

`http_status` is the status of the REST answer, `exit_code` that of a command, `retriable` whether the same call may succeed later.
"""

from collections.abc import Sequence
from typing import ClassVar


class DgsError(Exception):
    """Base of all errors raised on purpose. The message says what is wrong, where, and what to do next."""

    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retriable: ClassVar[bool] = False
    title: ClassVar[str] = "Internal error"


class InputError(DgsError):
    """Something that the user gave cannot be understood. `problems` holds every reason, not only the first."""

    http_status = 422
    exit_code = 2
    title = "Input not understood"

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("; ".join(self.problems))


class SchemaError(InputError):
    """A graph schema is wrong."""

    title = "Wrong schema"


class PlanError(InputError):
    """An install-query document is wrong, or does not fit the schema."""

    title = "Wrong query plan"


class RecordError(InputError):
    """One record cannot be taken; it belongs to the dead letters."""

    title = "Wrong record"


class NotFoundError(DgsError):
    """The thing asked for does not exist."""

    http_status = 404
    title = "Not found"


class ConflictError(DgsError):
    """The request contradicts something that already stands."""

    http_status = 409
    title = "Conflict"


class TooLargeError(DgsError):
    """The request is beyond a limit; the message names the setting."""

    http_status = 413
    title = "Too large"


class NotReadyError(DgsError):
    """Not possible yet; the same request may succeed later."""

    http_status = 503
    retriable = True
    title = "Not ready"


class DeadlineError(DgsError):
    """The time that the caller gave has passed."""

    http_status = 504
    exit_code = 4
    retriable = True
    title = "Deadline passed"


class UnreachableError(DgsError):
    """No answer from the service or from the bus."""

    http_status = 503
    exit_code = 3
    retriable = True
    title = "Not reachable"


class NoRoomError(DgsError):
    """A log is as large as it may be, or a disk as full; the same call may succeed once there is room."""

    http_status = 503
    retriable = True
    title = "No room"


class CodecError(DgsError):
    """Bytes that are corrupt, foreign, or of a newer version of the format."""

    title = "Unreadable bytes"


class StateError(DgsError):
    """A data directory or log that this process must not use; the message names the repair."""

    title = "Unusable state"


class PositionError(StateError):
    """A position beyond the end of its log, or of another generation."""


class DivergedError(StateError):
    """A row of a serving partition is not the sampler's: an invariant is broken."""
