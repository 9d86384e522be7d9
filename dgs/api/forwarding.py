"""What a frontend without a coordinator does with requests to the control plane: it passes them on, and the answers back."""

from collections.abc import Iterable

import aiohttp
from yarl import URL

from dgs.api.admin import PREFIX
from dgs.api.body import read_body
from dgs.api.problems import problem_of, send_problem
from dgs.core.errors import DgsError, UnreachableError
from dgs.http.gate import Application, Receive, Scope, Send

WAIT_S = 600.0
"""How long the coordinator may take: it answers some requests when what was asked for is done."""
CONNECT_S = 2.0
_OF_ONE_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length", "date"}
"""Headers that are not passed on."""


def forwarding(session: aiohttp.ClientSession, coordinator: str, *, body_bytes_max: int) -> Application:
    """Return an application that passes everything on to the coordinator.

    Args:
        session: sends requests.
        coordinator: its URL.
        body_bytes_max: of a request.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "served over HTTP only"
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        headers = _passed_on((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        try:
            body = await read_body(scope, receive, body_bytes_max)
            url = f"{coordinator}{path}{'?' if query else ''}{query}"
            timeout = aiohttp.ClientTimeout(total=WAIT_S, connect=CONNECT_S)
            async with session.request(
                scope["method"], URL(url, encoded=True), data=body or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                content = await answer.read()
                status = answer.status
                told = [(name.encode(), value.encode("latin-1")) for name, value in _passed_on(answer.headers.items())]
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            why = f"the coordinator at {coordinator} does not answer ({e or type(e).__name__}); samples are served all the same"
            await send_problem(send, problem_of(UnreachableError(why)), as_text=f"{path}/".startswith(PREFIX))
            return
        except DgsError as e:
            await send_problem(send, problem_of(e), as_text=f"{path}/".startswith(PREFIX))
            return
        length = b"%d" % len(content)
        if scope["method"] == "HEAD":
            length = answer.headers.get("content-length", "0").encode()
        await send({"type": "http.response.start", "status": status, "headers": [*told, (b"content-length", length)]})
        await send({"type": "http.response.body", "body": content})

    return application


def _passed_on(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in _OF_ONE_HOP]
