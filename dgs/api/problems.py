"""Errors as RFC 9457 problem documents (`application/problem+json`), whichever layer they come from.

`type` is stable: `urn:dgs:problem:` and the error's title in small letters. `problems` lists every reason, `detail` joins them. It
decides no statuses: those stand in `dgs.core.errors`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from dgs.core.errors import DgsError, InputError, TooLargeError
from dgs.http.gate import Send

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document; `headers` go with it, `more` are further members."""

    status: int
    title: str
    problems: Sequence[str]
    headers: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """What tells problems apart, whatever they say."""
        return f"urn:dgs:problem:{self.title.lower().replace(' ', '-')}"

    def body(self) -> bytes:
        """Return the document."""
        return orjson.dumps(
            {
                "type": self.type,
                "title": self.title,
                "status": self.status,
                "detail": "; ".join(self.problems),
                "problems": self.problems,
                **self.more,
            }
        )


def problem_of(error: Exception) -> Problem:
    """Return what an error becomes. What was not raised on purpose says nothing of itself: the log does."""
    if not isinstance(error, DgsError):
        return Problem(500, DgsError.title, ["something went wrong in the service; its log says what"])
    headers = {}
    if error.retriable:
        headers["retry-after"] = str(RETRY_AFTER_S)
    if isinstance(error, TooLargeError):
        headers["connection"] = "close"  # the rest of the body is not read
    problems = error.problems if isinstance(error, InputError) else [str(error)]
    # Texts of users may hold halves of surrogate pairs, which no JSON can carry.
    return Problem(error.http_status, error.title, [p.encode(errors="replace").decode() for p in problems], headers)


def problem_of_status(status: int, detail: str, headers: dict[str, str] | None = None) -> Problem:
    """Return the problem of a status that the HTTP framework chose, such as 404 or 405."""
    return Problem(status, HTTPStatus(status).phrase.capitalize(), [detail], headers or {})


async def send_problem(send: Send, problem: Problem, *, as_text: bool = False) -> int:
    """Answer a raw ASGI request with a problem document, or with its reasons as plain text; return the status."""
    body = "".join(f"{p}\n" for p in problem.problems).encode() if as_text else problem.body()
    media_type = "text/plain; charset=utf-8" if as_text else MEDIA_TYPE
    headers = {"content-type": media_type, "content-length": str(len(body)), **problem.headers}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
    return problem.status
