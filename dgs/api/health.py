"""Whether the process lives and whether it is ready for requests, for people, load balancers and scripts that wait."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from dgs.api.openapi import problems
from dgs.api.parts import Parts, SeenPartition
from dgs.api.problems import MEDIA_TYPE, RETRY_AFTER_S, Problem
from dgs.api.protocols import QueryDirectory
from dgs.coordinator.barriers import BarrierState, BarrierView
from dgs.membership.heartbeat import SamplerReport

OK = "ok"
STORAGE = "storage"
"""The check that does not count for being ready."""


def state_shown(barrier: BarrierView, partitions: Sequence[SeenPartition]) -> str:
    """Return a barrier's state as users may rely on it: READY once every partition that may be asked, and each copy, has passed it.

    One that has started again from an older state has not, until it has read again what leads to it.
    """
    if barrier.state is BarrierState.READY and not all(p.barrier >= barrier.id for p in partitions):
        return BarrierState.SAMPLED
    return barrier.state


def health_router(parts: Parts) -> APIRouter:
    """Return the routes of a process that has the coordinator."""
    partitions = dict(enumerate(parts.partitions))

    def checks() -> dict[str, str]:
        installed = OK if parts.coordinator.accept_loaders.is_set() else "the first queries are being installed"
        return {"queries": installed, **_checks(partitions)}

    return _router(checks, partitions, parts.storage)


def serving_health_router(
    partitions: Mapping[int, SeenPartition], directory: QueryDirectory, storage: Callable[[], Sequence[str]]
) -> APIRouter:
    """Return the routes of a frontend without a coordinator."""

    def checks() -> dict[str, str]:
        return {"queries": OK if directory.operators.queries else "no query has arrived yet", **_checks(partitions)}

    return _router(checks, partitions, storage)


def sampler_health_router(
    partitions: Sequence[int], reports: Callable[[], Sequence[SamplerReport]], storage: Callable[[], Sequence[str]]
) -> APIRouter:
    """Return the routes of a process that has sampler partitions alone: it is ready once all of them run, stand-bys included."""

    def checks() -> dict[str, str]:
        running = {r.partition for r in reports()}
        return {f"sampler-{p}": OK if p in running else "its state is being read" for p in partitions}

    return _router(checks, {}, storage)


def _checks(partitions: Mapping[int, SeenPartition]) -> dict[str, str]:
    return {f"serving-{i}": OK if p.answers else "still reading what was there before its start" for i, p in partitions.items()}


def _router(
    conditions: Callable[[], dict[str, str]], partitions: Mapping[int, SeenPartition], storage: Callable[[], Sequence[str]]
) -> APIRouter:
    """Return the routes; load balancers ask with HEAD, too.

    Args:
        conditions: returns each condition of readiness with OK or the reason why it does not hold.
        partitions: that have to answer.
        storage: tells what cannot be written.
    """
    router = APIRouter(tags=["health"])

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="The process lives", response_class=PlainTextResponse)
    async def livez() -> Response:
        return Response("ok\n", media_type="text/plain")

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", summary="Requests can be answered", responses=problems(503))
    async def readyz(response: Response) -> object:
        checks = conditions()
        reasons = [f"{name}: {state}" for name, state in checks.items() if state != OK]
        # What cannot be written does not keep anybody from reading, and starting again would not make room: it is only told.
        checks[STORAGE] = "; ".join(await asyncio.to_thread(storage)) or OK
        degraded = checks[STORAGE] != OK
        if not reasons:
            behind = {f"serving-{i}": p.behind_bytes for i, p in partitions.items() if not p.caught_up}
            catching_up = {"catching_up": behind} if behind else {}
            return {"ready": True, "degraded": degraded, "checks": checks, **catching_up}
        problem = Problem(503, "Not ready", reasons, more={"ready": False, "degraded": degraded, "checks": checks})
        return Response(problem.body(), 503, {"retry-after": str(RETRY_AFTER_S)}, MEDIA_TYPE)

    return router
