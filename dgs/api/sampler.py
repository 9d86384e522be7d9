"""What a process of samplers answers: whether it lives, whether its partitions run, and its metrics. It takes no orders."""

from collections.abc import Callable, Sequence

from fastapi import FastAPI

from dgs.api.health import sampler_health_router
from dgs.api.metrics import sampler_metrics_router
from dgs.http.gate import Application
from dgs.membership.heartbeat import SamplerReport
from dgs.telemetry.telemetry import Telemetry


def make_sampler_app(
    partitions: Sequence[int],
    reports: Callable[[], Sequence[SamplerReport]],
    storage: Callable[[], Sequence[str]],
    telemetry: Telemetry,
) -> Application:
    """Return the application of a process that has sampler partitions alone.

    Args:
        partitions: those that it is to run.
        reports: returns those that run now.
        storage: tells what cannot be written at present, in words for people.
        telemetry: how the process fares.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(sampler_health_router(partitions, reports, storage))
    app.include_router(sampler_metrics_router(reports, telemetry))
    return app
