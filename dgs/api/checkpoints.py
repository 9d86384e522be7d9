"""Checkpoints over REST: which there are, how the one under way fares, and a new one. It translates; the creator acts."""

from collections.abc import Callable

from fastapi import APIRouter, Request

from dgs.api.models import CheckpointCreation, CheckpointInfo, CheckpointList
from dgs.api.openapi import problems
from dgs.api.parameters import check_path
from dgs.api.parts import Parts
from dgs.coordinator.checkpoints import CheckpointCreator, Creation, CreationState
from dgs.core.errors import ConflictError, DgsError, UnreachableError
from dgs.store.manifest import Manifest


def checkpoints_router(parts: Parts) -> APIRouter:
    """Return the routes."""
    router, handlers = APIRouter(tags=["checkpoints"], responses=problems(409, 503)), CheckpointHandlers(parts)
    router.get("/checkpoints", summary="Checkpoints at the destination")(handlers.list)
    router.post("/checkpoints", summary="Begin to create a checkpoint", status_code=202)(handlers.create)
    found = problems(404, 422)
    router.get("/checkpoints/{checkpoint:path}", summary="One checkpoint, or latest", responses=found)(handlers.one)
    return router


class CheckpointHandlers:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self) -> CheckpointList:
        """List the checkpoints, newest first, of other deployments too; and what was begun last since the service started."""
        creator = creator_of(self._parts)
        try:
            found = await creator.manifests()
        except OSError as e:
            raise refused(e) from e
        creation = creator.creation
        return CheckpointList(
            checkpoints=[checkpoint_shown(m, self._parts.telemetry.wall_clock) for m in found],
            creation=None if creation is None else _creation(creation),
        )

    async def create(self) -> CheckpointCreation:
        """Begin to create a checkpoint; while one is under way, that one is it. Ask for its id to see how far it is."""
        return _creation(creator_of(self._parts).begin())

    async def one(self, request: Request, checkpoint: str) -> CheckpointCreation:
        """Show one: complete with its manifest's facts, or under way, or why it failed."""
        check_path(request.scope)
        creator = creator_of(self._parts)
        creation = creator.creation
        if creation is not None and creation.id == checkpoint and creation.state is not CreationState.COMPLETE:
            return _creation(creation)
        try:
            manifest = await creator.manifest(checkpoint)
        except OSError as e:
            raise refused(e) from e
        shown, parts = checkpoint_shown(manifest, self._parts.telemetry.wall_clock), len(manifest.parts)
        return CheckpointCreation(
            id=manifest.id, state=CreationState.COMPLETE.value, parts_sent=parts, parts=parts, reason="", checkpoint=shown
        )


def creator_of(parts: Parts) -> CheckpointCreator:
    """Return what creates checkpoints.

    Raises:
        ConflictError: this deployment has none.
    """
    if parts.checkpoints is None:
        raise ConflictError("checkpoints need a bus in files, and this deployment's is not; its own tools back it up")
    return parts.checkpoints


def refused(error: OSError) -> DgsError:
    """Return what to raise where the destination refuses."""
    return UnreachableError(f"the destination of checkpoints refuses: {error}; look after it, or give another checkpoint_url")


def checkpoint_shown(manifest: Manifest, wall_clock: Callable[[], float]) -> CheckpointInfo:
    """Return a checkpoint as users see it."""
    return CheckpointInfo(
        id=manifest.id,
        log_id=manifest.log_id,
        generation=int(manifest.deployment["generation"]),
        age_s=manifest.age_s(wall_clock()),
        duration_s=manifest.duration_s,
        bytes=manifest.nbytes,
        sent_bytes=manifest.sent_bytes,
    )


def _creation(creation: Creation) -> CheckpointCreation:
    return CheckpointCreation(
        id=creation.id,
        state=creation.state.value,
        parts_sent=creation.parts_sent,
        parts=creation.parts,
        reason=creation.reason,
        checkpoint=None,
    )
