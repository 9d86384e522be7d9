"""Reading the body of a request, up to a limit: a longer one is refused before it is in memory. Raw ASGI, for all routes."""

from dgs.core.errors import InputError, TooLargeError
from dgs.http.gate import Receive, Scope

DROPPED_BYTES_MAX = 16 << 20
"""A body that is announced as too large, but no larger than this, is read and dropped: a client that is cut off while it sends may
never see the answer."""


async def read_body(scope: Scope, receive: Receive, bytes_max: int) -> bytes:
    """Return the whole body.

    Raises:
        TooLargeError: it is longer than `bytes_max`; no more than that is ever in memory.
        InputError: the client went away before the end.
    """
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > bytes_max:
        if int(announced) <= DROPPED_BYTES_MAX and b"expect" not in headers:
            while (await receive()).get("more_body", False):
                pass
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
