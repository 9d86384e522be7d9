"""The reference's `/admin/*` paths with its exact status texts, for its scripts and clients: plain text, errors too.

It translates only; everything is the coordinator's doing. New things get a REST path, not one here.
"""

import json
from collections.abc import Awaitable, Callable
from http import HTTPMethod
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from dgs.api.body import read_body
from dgs.api.checkpoints import creator_of
from dgs.api.health import state_shown
from dgs.api.openapi import ADMIN, texts
from dgs.api.parts import Parts
from dgs.api.problems import problem_of
from dgs.core.errors import ConflictError, DgsError, InputError, PlanError
from dgs.telemetry import logs

PREFIX = "/admin/"
METHODS = [str(method) for method in HTTPMethod]
JSON = {"schema", "query", "init-info/dataloader"}
"""What answers JSON when all is well."""
REFUSALS: dict[str, tuple[int, ...]] = {
    "barrier/status": (400,),
    "query": (400,),
    "init": (400, 409, 413),
    "barrier/set": (400, 413),
}
"""With what a path refuses, beside 503, which everything answers while the service is starting."""
_CHECKPOINT = "Creating Sampling Worker Checkpoint {0}.\nCreating Serving Worker Checkpoint {0}.\n"
Handler = Callable[[Request], Awaitable[Response]]

_log = logs.get(__name__)


class _Refused(Exception):
    """An answer with status 400 and this text."""


class Admin:
    """The handlers, by the path below `/admin/`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._coordinator = parts.coordinator
        self.get: dict[str, Handler] = {
            "barrier/status": self._barrier_status,
            "schema": self._schema,
            "init-info/dataloader": self._init_info,
            "query": self._query,
        }
        self.post: dict[str, Handler] = {
            "init": self._init,
            "barrier/set": self._barrier_set,
            "checkpoint": self._checkpoint,
        }

    async def answer(self, request: Request) -> Response:
        """Answer one request; every error is plain text."""
        handlers = {"GET": self.get, "POST": self.post}.get(request.method, {})
        handler = handlers.get(request.scope["path"].removeprefix(PREFIX).rstrip("/"))
        if handler is None:
            return _text(f"Unsupported {request.method} Request.\n", 400)
        try:
            return await handler(request)
        except _Refused as e:
            return _text(str(e), 400)
        except Exception as e:  # the last frame: everything becomes plain text
            if not isinstance(e, DgsError) or e.http_status == 500:
                _log.error("request failed", exc_info=e, method=request.method, path=request.scope["path"])
            problem = problem_of(e)
            return Response("".join(f"{p}\n" for p in problem.problems), problem.status, problem.headers, "text/plain")

    async def _body(self, request: Request) -> bytes:
        return await read_body(request.scope, request.receive, self._parts.settings.body_bytes_max)

    async def _init(self, request: Request) -> Response:
        """Install a query"""
        try:
            await self._coordinator.install(await self._body(request))
        except PlanError as e:
            # The reference looks only whether it is JSON; a wrong plan ended its workers. The reasons follow its text.
            raise _Refused("".join(f"{line}\n" for line in ("Invalid Query Plan", *e.problems))) from None
        return _text("Install Successfully.\n")

    async def _query(self, request: Request) -> Response:
        """The document of the installed query"""
        queries = self._coordinator.operators.queries
        if not queries:
            raise _Refused("Query has not been registered.\n")
        # The reference has one query, and its clients ask for id 0.
        query = self._coordinator.operators.query(0) or queries[0]
        return Response(json.dumps(query.plan.document, ensure_ascii=False), media_type="application/json")

    async def _barrier_set(self, request: Request) -> Response:
        """Set a barrier: a form of name, count and id"""
        try:
            form = parse_qs((await self._body(request)).decode(), keep_blank_values=True, errors="strict")
            name, count, loader_id = (_single(form, key) for key in ("name", "count", "id"))
            await self._coordinator.set_barrier(name, _integer(count), _integer(loader_id))
        except ConflictError as e:
            raise _Refused(f"{e}\n") from None
        except (InputError, ValueError):
            raise _Refused("Wrong Parameters.\n") from None
        return _text("Done")

    async def _barrier_status(self, request: Request) -> Response:
        """NOT_SET, PRODUCED, SAMPLED or READY"""
        name = request.query_params.get("name")
        if not name:
            raise _Refused("Wrong Parameters: Missing Barrier Name.\n")
        return _text(state_shown(self._coordinator.barrier(name), self._parts.partitions))

    async def _schema(self, request: Request) -> Response:
        """The graph schema, verbatim"""
        return Response(self._coordinator.deployment.schema.text, media_type="application/json")

    async def _init_info(self, request: Request) -> Response:
        """What a loader needs to begin"""
        return Response(json.dumps(await self._coordinator.init_info(), ensure_ascii=False), media_type="application/json")

    async def _checkpoint(self, request: Request) -> Response:
        """Create a checkpoint, and answer when it is complete"""
        # The reference answers 200 when it has begun, and whatever becomes of it. Here, too, a script may trust in the text.
        try:
            await creator_of(self._parts).create()
        except (DgsError, OSError) as e:
            _log.error("no checkpoint", cause=e)
            return _text(_CHECKPOINT.format("Failed") + f"{e}\n", 503)
        return _text(_CHECKPOINT.format("Successfully"))


def admin_router(parts: Parts) -> APIRouter:
    """Return the routes."""
    router, admin = APIRouter(tags=["admin"]), Admin(parts)
    for method, handlers in (("GET", admin.get), ("POST", admin.post)):
        for path, handler in handlers.items():
            router.add_api_route(
                PREFIX + path,
                admin.answer,
                methods=[method],
                summary=handler.__doc__,
                response_class=JSONResponse if path in JSON else PlainTextResponse,
                responses=texts(*REFUSALS.get(path, ()), 503),
                openapi_extra=ADMIN.get(path),
            )
    for path in (PREFIX.rstrip("/"), PREFIX + "{rest:path}"):
        router.add_api_route(path, admin.answer, methods=METHODS, include_in_schema=False)
    return router


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, media_type="text/plain")


def _single(form: dict[str, list[str]], key: str) -> str:
    (value,) = form.get(key, [])
    return value


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{text!r} is no number")
    return int(text)
