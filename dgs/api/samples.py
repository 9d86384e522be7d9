"""`/samples` and the reference's `/infer` over HTTP, as raw ASGI: a framework's routing costs more than the answer.

It translates between HTTP and the data plane: parameters and bodies in; JSON, protobuf and problem documents out. It decides
nothing else.
"""

from collections.abc import Iterable

from dgs.api.body import read_body
from dgs.api.dataplane import DataPlane
from dgs.api.peers import LINES, SHARE
from dgs.api.problems import problem_of, problem_of_status, send_problem
from dgs.api.request import read_get, read_infer, read_post, read_share
from dgs.codec.messages import MEDIA_TYPE as PROTOBUF
from dgs.core.errors import DgsError, InputError
from dgs.http.gate import Receive, Scope, Send
from dgs.telemetry import logs

PATHS = ("/samples", "/infer", SHARE)
_JSON = "application/json"
SHARE_GROWTH = 4
"""A share of a request may be so many times as long as the request, as it has places, too."""
_VARY = (b"vary", b"accept")
_PROTOBUF = PROTOBUF.encode()
_JSON_HEADER, _PROTOBUF_HEADER = (b"content-type", _JSON.encode()), (b"content-type", _PROTOBUF)
_LINES_HEADER = (b"content-type", LINES.encode())

_log = logs.get(__name__)


class SamplesEndpoint:
    """Answers HTTP requests to `PATHS`.

    Args:
        plane: answers clients.
        here: answers other frontends, from what is here only.
        body_bytes_max: of a client's request.
    """

    def __init__(self, plane: DataPlane, here: DataPlane, *, body_bytes_max: int) -> None:
        self._plane = plane
        self._here = here
        self._body_bytes_max = body_bytes_max

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer one request; return the status."""
        method, path = scope["method"], scope["path"]
        binary = path == "/infer" or accepts_protobuf(scope["headers"])
        try:
            if method == "GET":
                vid, wanted = (read_infer if path == "/infer" else read_get)(scope["query_string"])
                parts = await self._plane.message([vid], wanted) if binary else [await self._plane.sample(vid, wanted)]
            elif method == "POST" and path == "/samples":
                if scope["query_string"]:
                    raise InputError("a POST takes its parameters in the body, not in the URL")
                vids, wanted = read_post(await read_body(scope, receive, self._body_bytes_max))
                parts = await self._plane.message(vids, wanted) if binary else [await self._plane.samples(vids, wanted)]
            elif method == "POST" and path == SHARE:
                vids, places, wanted = read_share(await read_body(scope, receive, SHARE_GROWTH * self._body_bytes_max))
                if binary:
                    parts = await self._here.message(vids, wanted, places)
                else:
                    parts = [b"\n".join(await self._here.answers(vids, wanted))]
            else:
                taken = {"/samples": "GET and POST", SHARE: "POST"}.get(path, "GET")
                allowed = {"allow": taken.replace(" and ", ", ")}
                return await send_problem(send, problem_of_status(405, f"{path} takes {taken}, not {method}", allowed))
        except Exception as e:  # the last frame: everything becomes an answer
            if not isinstance(e, DgsError) or e.http_status == 500:
                _log.error("request failed", exc_info=e, method=method, path=path)
            return await send_problem(send, problem_of(e))
        length = (b"content-length", b"%d" % sum(map(len, parts)))
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [_PROTOBUF_HEADER if binary else _LINES_HEADER if path == SHARE else _JSON_HEADER, length, _VARY],
            }
        )
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": parts[-1]})
        return 200


def accepts_protobuf(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request would rather have protobuf than JSON. What names neither gets JSON."""
    for name, value in headers:
        if name == b"accept":
            if value == _PROTOBUF:
                return True
            if _PROTOBUF not in value.lower():
                continue
            weights = dict(_weighed(part) for part in value.decode("latin-1").lower().split(","))
            other = weights.get(_JSON, weights.get("application/*", weights.get("*/*", 0.0)))
            return weights.get(PROTOBUF, 0.0) > 0 and weights.get(PROTOBUF, 0.0) >= other
    return False


def _weighed(part: str) -> tuple[str, float]:
    media_type, *parameters = (p.strip() for p in part.split(";"))
    weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return media_type, float(weight)
    except ValueError:
        return media_type, 0.0
