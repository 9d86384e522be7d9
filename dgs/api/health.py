"""Whether the process lives and whether it is ready for requests, for people, load balancers and scripts that wait."""

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from dgs.api.openapi import problems
from dgs.api.parts import Parts, SeenPartition
from dgs.api.problems import MEDIA_TYPE, RETRY_AFTER_S, Problem
from dgs.coordinator.barriers import BarrierState, BarrierView

OK = "ok"
STORAGE = "storage"
"""The check that does not count for being ready."""


def readiness(parts: Parts) -> dict[str, str]:
    """Return each condition of readiness with OK or the reason why it does not hold."""
    found = {"queries": OK if parts.coordinator.accept_loaders.is_set() else "the first queries are being installed"}
    for index, partition in enumerate(parts.partitions):
        found[f"serving-{index}"] = OK if partition.answers else "still reading what was there before its start"
    return found


def state_shown(barrier: BarrierView, partitions: Sequence[SeenPartition]) -> str:
    """Return a barrier's state as users may rely on it: what a serving partition has not read again yet is not servable now."""
    if barrier.state is BarrierState.READY and not all(p.caught_up for p in partitions):
        return BarrierState.SAMPLED
    return barrier.state


def health_router(parts: Parts) -> APIRouter:
    """Return the routes; load balancers ask with HEAD, too."""
    router = APIRouter(tags=["health"])

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="The process lives", response_class=PlainTextResponse)
    async def livez() -> Response:
        return Response("ok\n", media_type="text/plain")

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", summary="Requests can be answered", responses=problems(503))
    async def readyz(response: Response) -> object:
        checks = readiness(parts)
        reasons = [f"{name}: {state}" for name, state in checks.items() if state != OK]
        # What cannot be written does not keep anybody from reading, and starting again would not make room: it is only told.
        checks[STORAGE] = "; ".join(await asyncio.to_thread(parts.storage)) or OK
        degraded = checks[STORAGE] != OK
        if not reasons:
            behind = {f"serving-{i}": p.behind_bytes for i, p in enumerate(parts.partitions) if not p.caught_up}
            catching_up = {"catching_up": behind} if behind else {}
            return {"ready": True, "degraded": degraded, "checks": checks, **catching_up}
        problem = Problem(503, "Not ready", reasons, more={"ready": False, "degraded": degraded, "checks": checks})
        return Response(problem.body(), 503, {"retry-after": str(RETRY_AFTER_S)}, MEDIA_TYPE)

    return router
