"""Reading the body of a request, up to a limit: a longer one is refused before it is in memory. Raw ASGI, for all routes."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from dgs.core.errors import InputError, TooLargeError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""


async def read_body(scope: Scope, receive: Receive, bytes_max: int) -> bytes:
    """Return the whole body.

    Raises:
        TooLargeError: it is longer than `bytes_max`; what was announced as longer is not read at all.
        InputError: the client went away before the end.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > bytes_max:
            raise _too_large(bytes_max)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InputError("the body ended early")
        part = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            raise _too_large(bytes_max)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(bytes_max: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {bytes_max} bytes (setting body_bytes_max)")
