"""What answers while the service is being put together: it lives, but is not ready; then everything goes to the real application.

Plain ASGI without a framework, as those take longest to import. Called by `dgs.app` only; the types of ASGI are for `dgs.api`, too.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_WHY = "the service is starting; ask again in a moment"
_STARTING = {
    "type": "urn:dgs:problem:not-ready",
    "title": "Not ready",
    "status": 503,
    "detail": _WHY,
    "problems": [_WHY],
}
_TEXT = b"text/plain; charset=utf-8"


class Gate:
    """An ASGI application that stands in for another until that is given to `open`."""

    def __init__(self) -> None:
        self._application: Application | None = None

    def open(self, application: Application) -> None:
        """Hand everything to the application from here on."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._application is not None:
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            if scope["path"] == "/livez":
                await _answer(send, 200, _TEXT, b"ok\n")
            elif f"{scope['path']}/".startswith("/admin/"):  # the reference's paths, in plain text whatever happens
                await _answer(send, 503, _TEXT, f"{_WHY}\n".encode())
            else:
                await _answer(send, 503, b"application/problem+json", json.dumps(_STARTING).encode())


async def _answer(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
