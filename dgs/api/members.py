"""What the processes of a deployment ask of its coordinator: heartbeats, barrier rounds, and what a new one of them begins with."""

from fastapi import APIRouter, Request, Response

from dgs.api.body import read_body
from dgs.api.parts import Parts
from dgs.core.errors import NotFoundError, NotReadyError
from dgs.membership.heartbeat import DEPLOYMENT, HEARTBEAT, NEWS, ROUND, STANDING, DeploymentFacts
from dgs.membership.link import DEPLOYMENT_PATH, HEARTBEATS, ROUNDS, STANDING_PATH

BODY_BYTES_MAX = 16 << 20
"""Of a heartbeat; it grows with the number of partitions squared."""


def members_router(parts: Parts) -> APIRouter:
    """Return the routes, which are for this system's own processes and not described."""
    router = APIRouter(include_in_schema=False)

    @router.post(HEARTBEATS)
    async def heartbeat(request: Request) -> Response:
        heard = HEARTBEAT.read(await read_body(request.scope, request.receive, BODY_BYTES_MAX))
        return Response(NEWS.write(parts.hear(heard)), media_type="application/json")

    @router.post(ROUNDS)
    async def round_done(request: Request) -> Response:
        done = ROUND.read(await read_body(request.scope, request.receive, BODY_BYTES_MAX))
        await parts.coordinator.report(done.serving_partition, done.barrier, done.round)
        return Response(status_code=204)

    @router.get(STANDING_PATH)
    async def standing(sampler: int, serving: int) -> Response:
        d = parts.coordinator.deployment
        if not (0 <= sampler < d.partitions and 0 <= serving < d.serving_partitions):
            raise NotFoundError(f"there is no sampler partition {sampler}, or no serving partition {serving}")
        found = parts.membership.standing(sampler, serving)
        if found is None:
            raise NotReadyError(f"nobody has told yet how far serving partition {serving} is; ask again")
        return Response(STANDING.write(found), media_type="application/json")

    @router.get(DEPLOYMENT_PATH)
    async def deployment() -> Response:
        facts = DeploymentFacts.of(parts.coordinator.deployment, parts.coordinator.bus_url)
        return Response(DEPLOYMENT.write(facts), media_type="application/json")

    return router
