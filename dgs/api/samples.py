"""`/samples` over HTTP, as raw ASGI: on the way of every request, a framework's routing costs more than the answer.

It translates between HTTP and the data plane: parameters and bodies in, JSON and problem documents out. It decides nothing else.
"""

import re
from typing import Any

import orjson

from dgs.api.body import read_body
from dgs.api.dataplane import DataPlane
from dgs.api.parameters import given_parameters
from dgs.api.problems import MEDIA_TYPE, Problem, problem_of, problem_of_status
from dgs.core.errors import DgsError, InputError
from dgs.gate import Receive, Scope, Send
from dgs.telemetry import logs

LATER = {
    "fanouts": "fewer neighbours than the query has are not built yet",
    "min_position": "waiting for a position is not built yet",
    "timeout_ms": "deadlines are not built yet",
}
"""Parameters whose meaning is still to come: refused rather than ignored."""
_INT64 = range(-(1 << 63), 1 << 63)
_DECIMAL = re.compile(r"-?[0-9]{1,32}")
_JSON_HEADER = (b"content-type", b"application/json")

_log = logs.get(__name__)


class SamplesEndpoint:
    """An ASGI application that takes HTTP requests to `/samples`."""

    def __init__(self, plane: DataPlane, *, body_bytes_max: int) -> None:
        self._plane = plane
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        query: int | str | None
        try:
            if scope["method"] == "GET":
                vid, query = read_parameters(scope["query_string"])
                body = self._plane.samples(vid, query)
            elif scope["method"] == "POST":
                if scope["query_string"]:
                    raise InputError("a POST takes its parameters in the body, not in the URL")
                vids, query = read_request(await read_body(scope, receive, self._body_bytes_max))
                body = await self._plane.many(vids, query)
            else:
                allowed = {"allow": "GET, POST"}
                await _send_problem(send, problem_of_status(405, f"/samples takes GET and POST, not {scope['method']}", allowed))
                return
        except Exception as e:  # the last frame: everything becomes an answer
            if not isinstance(e, DgsError) or e.http_status == 500:
                _log.error("request failed", exc_info=e, method=scope["method"], path="/samples")
            await _send_problem(send, problem_of(e))
            return
        headers = [_JSON_HEADER, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def read_parameters(query_string: bytes) -> tuple[int, str | None]:
    """Return vid and query of a GET.

    Raises:
        InputError: with every problem of the parameters.
    """
    problems: list[str] = []
    given = given_parameters(query_string, problems)
    vid = _vid(given.pop("vid", None), problems)
    query = given.pop("query", None)
    if query == "":
        problems.append("query is empty; leave it out, or give the name or id of a query")
    problems += _unknown(given, "vid and query")
    if problems:
        raise InputError(problems)
    return vid, query


def read_request(body: bytes) -> tuple[list[int], int | str | None]:
    """Return vids and query of a POST.

    Raises:
        InputError: with every problem of the body.
    """
    if not body:
        raise InputError('the body is empty; it is {"query": NAME OR ID, "vids": [VID, …]}')
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise InputError(f"the body is not JSON: {e}") from None
    if not isinstance(document, dict):
        raise InputError('the body is an object: {"query": NAME OR ID, "vids": [VID, …]}')
    problems: list[str] = []
    vids = document.pop("vids", None)
    if not isinstance(vids, list):
        problems.append("vids is missing" if vids is None else f"vids is an array of integers, not {_shown(vids)}")
    # Types first, all at once: a bool is an int to every comparison, and there may be a thousand vids.
    elif not set(map(type, vids)) <= {int}:
        i, wrong = next((i, v) for i, v in enumerate(vids) if type(v) is not int)
        problems.append(f"vids[{i}] is an int64 number, not {_shown(wrong)}")
    elif vids and (min(vids) not in _INT64 or max(vids) not in _INT64):
        i, wrong = next((i, v) for i, v in enumerate(vids) if v not in _INT64)
        problems.append(f"vids[{i}] = {wrong} is beyond int64")
    query = document.pop("query", None)
    if (query is not None and type(query) not in (int, str)) or query == "":
        problems.append(f"query is the name or id of a query, not {_shown(query)}")
    problems += _unknown(document, "query and vids")
    if problems:
        raise InputError(problems)
    assert isinstance(vids, list), "anything else is a problem"
    return vids, query


def _vid(text: str | None, problems: list[str]) -> int:
    if text is None:
        problems.append("vid is missing")
    elif not _DECIMAL.fullmatch(text):
        problems.append(f"vid is an int64 in decimal, not {text!r}")
    elif (vid := int(text)) in _INT64:
        return vid
    else:
        problems.append(f"vid = {text} is beyond int64")
    return 0


def _unknown(given: dict[str, Any], known: str) -> list[str]:
    return [f"{n} is refused: {LATER[n]}" if n in LATER else f"unknown parameter {n!r}; known are {known}" for n in given]


def _shown(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"


async def _send_problem(send: Send, problem: Problem) -> None:
    body = problem.body()
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
