"""`GET /metrics`, for Prometheus. What the metrics mean stands in `dgs.telemetry.metrics`."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from dgs.api.observer import Observer
from dgs.api.openapi import problems
from dgs.api.parts import Parts
from dgs.telemetry.metrics import MEDIA_TYPE


def metrics_router(parts: Parts) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["health"])
    observer = Observer(parts)

    @router.get("/metrics", summary="Metrics in Prometheus' text format", response_class=PlainTextResponse, responses=problems(503))
    async def metrics() -> Response:
        return Response(parts.telemetry.metrics.text(await observer.observe()), media_type=MEDIA_TYPE)

    return router
