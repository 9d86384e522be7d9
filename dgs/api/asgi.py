"""The service's ASGI application: `/samples` goes straight to the data plane, everything else to FastAPI.

A middleware of the framework would sit on the way of every sample, so there is none; the fork stands in front of the framework.
`dgs.app` calls `make_app` with the parts that it has put together.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPMethod
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from dgs.api.admin import admin_router
from dgs.api.checkpoints import checkpoints_router
from dgs.api.control import control_router
from dgs.api.dataplane import DataPlane
from dgs.api.health import health_router, serving_health_router
from dgs.api.map import MAP, map_router
from dgs.api.members import members_router
from dgs.api.metrics import metrics_router, serving_metrics_router
from dgs.api.openapi import DATA_PATHS, SCHEMAS
from dgs.api.page import page_router
from dgs.api.parts import Partition, Parts, SeenPartition
from dgs.api.peers import NoPeers
from dgs.api.problems import MEDIA_TYPE, Problem, problem_of, problem_of_status
from dgs.api.protocols import Peers, QueryDirectory, ServingPartition
from dgs.api.samples import PATHS, SamplesEndpoint
from dgs.config import Settings
from dgs.coordinator.checkpoints import CheckpointCreator
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.membership import Membership
from dgs.core.deployment import Deployment
from dgs.core.errors import DgsError, InputError
from dgs.http.gate import Application, Message, Receive, Scope, Send
from dgs.membership.heartbeat import Heartbeat, News
from dgs.telemetry import logs
from dgs.telemetry.metrics import RequestTimer
from dgs.telemetry.telemetry import Telemetry

OWN_PATHS = ("/livez", "/readyz", "/metrics", MAP)
"""What a frontend without a coordinator answers itself, beside samples."""
FAILED = 500
"""What the server answers in the place of an application that fails."""

_log = logs.get(__name__)


def make_app(
    coordinator: Coordinator,
    partitions: Sequence[SeenPartition],
    settings: Settings,
    storage: Callable[[], Sequence[str]] = list,
    *,
    samples: SamplesEndpoint,
    telemetry: Telemetry,
    membership: Membership,
    hear: Callable[[Heartbeat], News],
    checkpoints: CheckpointCreator | None = None,
) -> Application:
    """Return the application of a process that has the coordinator.

    Args:
        coordinator: a started one.
        partitions: all serving partitions, in order.
        settings: limits.
        storage: see `Parts`.
        samples: answers the data plane's requests.
        telemetry: see `Parts`.
        membership: see `Parts`.
        hear: see `Parts`.
        checkpoints: see `Parts`.
    """
    assert len(partitions) == coordinator.deployment.serving_partitions, "a serving partition is missing"
    framework = _framework(Parts(coordinator, partitions, settings, storage, telemetry, membership, hear, checkpoints))
    return _fork(samples, framework, telemetry.metrics.requests)


def make_serving_app(
    deployment: Deployment,
    partitions: Mapping[int, Partition],
    directory: QueryDirectory,
    others: Application,
    storage: Callable[[], Sequence[str]] = list,
    *,
    owners: Callable[[], Mapping[int, Sequence[str]]],
    samples: SamplesEndpoint,
    telemetry: Telemetry,
) -> Application:
    """Return the application of a frontend without a coordinator.

    Args:
        deployment: what is fixed.
        partitions: the serving partitions that are here.
        directory: which queries there are.
        others: gets all requests to the control plane.
        storage: see `Parts`.
        owners: see `map_router`.
        samples: answers the data plane's.
        telemetry: see `Parts`.
    """
    own = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    own.include_router(serving_health_router(partitions, directory, storage))
    own.include_router(serving_metrics_router(partitions, directory, telemetry))
    own.include_router(map_router(deployment, owners))
    own.add_exception_handler(Exception, _own_error)

    async def framework(scope: Scope, receive: Receive, send: Send) -> None:
        await (own if scope["path"] in OWN_PATHS else others)(scope, receive, send)

    return _fork(samples, framework, telemetry.metrics.requests)


def samples_endpoint(
    deployment: Deployment, partitions: Mapping[int, ServingPartition], directory: QueryDirectory, peers: Peers, settings: Settings
) -> SamplesEndpoint:
    """Return what answers `/samples`, from the partitions that are here and from peers."""
    plane = DataPlane(deployment, partitions, directory, peers, seeds_max=settings.seeds_max)
    here = DataPlane(deployment, partitions, directory, NoPeers(), seeds_max=settings.seeds_max)
    return SamplesEndpoint(plane, here, body_bytes_max=settings.body_bytes_max)


def _fork(samples: SamplesEndpoint, framework: Application, timer: RequestTimer) -> Application:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await framework(scope, receive, send)
            return
        status, path, began = FAILED, scope["path"], timer.clock()
        if path in PATHS:
            try:
                status = await samples.answer(scope, receive, send)
            finally:
                timer.observe(path, status, timer.clock() - began)
            return

        def watched(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await framework(scope, receive, watched)
        finally:
            timer.observe(_route(scope), status, timer.clock() - began)

    return application


def _route(scope: Scope) -> str:
    """Return the template of the path that the framework has found; paths as they are asked for are too many for a label."""
    path = getattr(scope.get("route"), "path_format", None)
    return path if isinstance(path, str) else "other"


def _framework(parts: Parts) -> Application:
    app = FastAPI(title="dgs", summary="Dynamic graph sampling", version=version("dgs"), redoc_url=None, redirect_slashes=False)
    app.include_router(health_router(parts))
    app.include_router(metrics_router(parts))
    app.include_router(control_router(parts))
    app.include_router(map_router(parts.coordinator.deployment, parts.membership.owners))
    app.include_router(checkpoints_router(parts))
    app.include_router(members_router(parts))
    app.include_router(admin_router(parts))
    app.include_router(page_router())

    app.add_exception_handler(DgsError, _own_error)
    app.add_exception_handler(RequestValidationError, _wrong_parameters)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(Exception, _own_error)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = described()
            document["paths"] = {**DATA_PATHS, **document["paths"]}
            document.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
        return described()

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it
    return app


async def _own_error(request: Request, error: Exception) -> Response:
    if isinstance(error, DgsError) and error.http_status == 500:
        _log.error("request failed", exc_info=error, method=request.method, path=request.scope["path"])
    return _response(problem_of(error))


async def _wrong_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for nothing else"
    return _response(problem_of(InputError([f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()])))


async def _framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for nothing else"
    path, detail, headers = request.scope["path"], error.detail, dict(error.headers or {})
    if error.status_code == 404:
        detail = f"there is no {path}; /docs lists all paths"
    elif error.status_code == 405:
        # The framework names those of the first route of the path only.
        allowed = [m for m in HTTPMethod if _takes(request, m)]
        detail = f"{path} takes {' and '.join(allowed)}, not {request.method}"
        headers = {"allow": ", ".join(allowed)}
    return _response(problem_of_status(error.status_code, detail, headers))


def _takes(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def _response(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers, MEDIA_TYPE)
