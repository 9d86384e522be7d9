"""`GET /metrics`, for Prometheus. What the metrics mean stands in `dgs.telemetry.metrics`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from dgs.api.observer import Observer, ends_of, sampler_seen, serving_seen
from dgs.api.openapi import problems
from dgs.api.parts import Parts, SeenPartition
from dgs.api.protocols import QueryDirectory
from dgs.bus.base import SAMPLES
from dgs.membership.heartbeat import SamplerReport
from dgs.telemetry.metrics import MEDIA_TYPE
from dgs.telemetry.observation import Observation
from dgs.telemetry.telemetry import Telemetry


def metrics_router(parts: Parts) -> APIRouter:
    """Return the route of a process that has the coordinator: it shows all of the deployment."""
    return _router(parts.telemetry, Observer(parts).observe)


def serving_metrics_router(partitions: Mapping[int, SeenPartition], directory: QueryDirectory, telemetry: Telemetry) -> APIRouter:
    """Return the route of a frontend without a coordinator: it shows what is here."""

    async def observe() -> Observation:
        ends = await ends_of(telemetry.bus, SAMPLES, list(partitions))
        now = telemetry.wall_clock()
        serving = [serving_seen(s, seen, end, now) for (s, seen), end in zip(partitions.items(), ends, strict=True)]
        return Observation([], serving, len(directory.operators.queries), {}, None, counts_entries=telemetry.counts_entries)

    return _router(telemetry, observe)


def sampler_metrics_router(reports: Callable[[], Sequence[SamplerReport]], telemetry: Telemetry) -> APIRouter:
    """Return the route of a process that has sampler partitions alone: it shows what is here."""

    async def observe() -> Observation:
        return Observation([sampler_seen(r) for r in reports()], [], None, {}, None)

    return _router(telemetry, observe)


def _router(telemetry: Telemetry, observe: Callable[[], Awaitable[Observation]]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Metrics in Prometheus' text format", response_class=PlainTextResponse, responses=problems(503))
    async def metrics() -> Response:
        return Response(telemetry.metrics.text(await observe()), media_type=MEDIA_TYPE)

    return router
