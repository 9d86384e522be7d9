"""The control plane over REST: queries, barriers, dimensions, the schema, the deployment. It translates; the coordinator acts."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from dgs.api.body import read_body
from dgs.api.checkpoints import checkpoint_shown
from dgs.api.health import state_shown
from dgs.api.map import hash_description
from dgs.api.models import (
    Barrier,
    Barriers,
    BarrierSetting,
    BarrierSummary,
    Cluster,
    Copy,
    DimensionProposal,
    Dimensions,
    FreshnessQuantiles,
    Lag,
    Member,
    Queries,
    Query,
    QueryWithDocument,
    Sampler,
    SamplerCopy,
    Serving,
    Snapshot,
    read_model,
)
from dgs.api.observer import Observer
from dgs.api.openapi import problems
from dgs.api.parameters import check_path, given_parameters
from dgs.api.parts import Parts
from dgs.coordinator.barriers import BarrierView
from dgs.coordinator.membership import MemberSeen
from dgs.core.errors import InputError, NotFoundError
from dgs.core.operators import InstalledQuery
from dgs.core.query import QueryPlan
from dgs.telemetry.observation import RecordPartition, ServingPartitionSeen

NAME = {
    "name": "name",
    "in": "query",
    "schema": {"type": "string"},
    "description": "name of the query; `q` and its id unless given",
}


def control_router(parts: Parts) -> APIRouter:
    """Return the routes."""
    # 503 is also what everything answers while the service is starting.
    router = APIRouter(tags=["control"], dependencies=[Depends(_path_is_text)], responses=problems(503))
    Control(parts).add_to(router)
    return router


class Control:
    """The handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._coordinator = parts.coordinator
        self._observer = Observer(parts)

    def add_to(self, router: APIRouter) -> None:
        """Add the routes; URLs and bodies are read by this package, strictly and up to the limit, and described here."""
        get, post = router.get, router.post
        get("/queries", summary="Installed queries")(self.queries)
        document = {"type": "object", "title": "Install-query document", "required": ["query_plan"]}
        description = _body(document) | {"parameters": [NAME]}
        post("/queries", summary="Install a query", responses=problems(409, 413, 422), openapi_extra=description)(self.install)
        get("/queries/{name:path}", summary="One query, by name or id", responses=problems(404, 422))(self.query)
        get("/barriers", summary="Barriers that are set")(self.barriers)
        how_far = "How far a barrier is; one that nobody has set is NOT_SET"
        get("/barriers/{name:path}", summary=how_far, responses=problems(404, 422))(self.barrier)
        setting = _body(BarrierSetting.model_json_schema())
        refusals = problems(404, 409, 413, 422)  # 404: a name with a line end in it is no path
        post("/barriers/{name:path}", summary="Set a barrier", responses=refusals, openapi_extra=setting)(self.set_barrier)
        proposal = _body(DimensionProposal.model_json_schema())
        refusals = problems(413, 422)
        post("/dimensions", summary="Propose the length of a list", responses=refusals, openapi_extra=proposal)(self.propose)
        get("/schema", summary="The graph schema, verbatim")(self.schema)
        get("/cluster", summary="What is fixed, and how far it is")(self.cluster)
        get("/lag", summary="How far the answers are behind the logs")(self.lag)

    async def queries(self) -> Queries:
        """List the installed queries in the order of their installation."""
        return Queries(queries=[self._shown(q) for q in self._coordinator.operators.queries])

    async def install(self, request: Request) -> Query:
        """Install a query. The same query again is fine; another plan under a used id or name is 409."""
        wrong: list[str] = []
        given = given_parameters(request.scope["query_string"], wrong)
        name = given.pop("name", None)
        wrong += [f"unknown parameter {n!r}; known is name" for n in given]
        if wrong:
            raise InputError(wrong)
        return self._shown(await self._coordinator.install(await self._body(request), name))

    async def query(self, name: str) -> QueryWithDocument:
        """Show a query and its document."""
        found = self._coordinator.operators.query(name)
        if found is None:
            raise NotFoundError(f"there is no query {name!r}")
        return QueryWithDocument(**self._shown(found).model_dump(), document=_document(found.plan))

    async def barriers(self) -> Barriers:
        """List the barriers in the order in which they were first set."""
        return Barriers(barriers=[self._barrier(b) for b in self._coordinator.barriers()])

    async def barrier(self, name: str) -> Barrier:
        """Show a barrier."""
        return self._barrier(self._coordinator.barrier(name))

    async def set_barrier(self, request: Request, name: str) -> Barrier:
        """Set a barrier in the name of one loader. The same again is fine; another count, or too many loaders, is 409."""
        setting = read_model(BarrierSetting, await self._body(request))
        return self._barrier(await self._coordinator.set_barrier(name, setting.count, setting.loader_id))

    async def propose(self, request: Request) -> Dimensions:
        """Fix the length of a list attribute unless it is fixed; the answer says what holds."""
        p = read_model(DimensionProposal, await self._body(request))
        return Dimensions(dimensions=await self._coordinator.propose_dimension(p.kind, p.type, p.attribute, p.dim))

    async def schema(self) -> Response:
        """Give the schema as it was given."""
        return Response(self._coordinator.deployment.schema.text, media_type="application/json")

    async def cluster(self) -> Cluster:
        """Show the deployment."""
        d, seen = self._coordinator.deployment, await self._observer.observe()
        ends = [r.end for r in seen.records if r.end is not None]
        fresh = self._parts.membership.freshness()
        newest = None if self._parts.checkpoints is None else self._parts.checkpoints.newest
        return Cluster(
            log_id=d.log_id,
            generation=d.generation,
            partitions=d.partitions,
            serving_partitions=d.serving_partitions,
            hash=hash_description(d),
            positions=[r.reflected for r in seen.records],
            record_ends=ends if len(ends) == d.partitions else None,
            lag_bytes_max=self._parts.settings.lag_bytes_max,
            lag_entries_max=self._parts.settings.lag_entries_max,
            freshness_s=None if fresh is None else FreshnessQuantiles(p50=fresh.p50, p99=fresh.p99, samples=fresh.samples),
            members=[_member(m) for m in self._parts.membership.members()],
            samplers=[self._sampler(r, entries=seen.counts_entries) for r in seen.records],
            serving=[self._serving(s, entries=seen.counts_entries) for s in seen.serving],
            queries=(await self.queries()).queries,
            barriers=[BarrierSummary(name=b.name, state=self._state(b)) for b in self._coordinator.barriers()],
            dead_letters=seen.dead_letters,
            orders_pending=self._coordinator.pending,
            checkpoint=None if newest is None else checkpoint_shown(newest, self._parts.telemetry.wall_clock),
        )

    def _sampler(self, r: RecordPartition, *, entries: bool) -> Sampler:
        figures = r.figures
        copies = [
            SamplerCopy(
                member=c.member.member,
                up=c.up,
                stands_by=c.report.stands_by,
                position=c.report.figures.position,
                committed=c.report.figures.committed,
            )
            for c in self._parts.membership.samplers(r.partition)
        ]
        return Sampler(
            partition=r.partition,
            up=r.up,
            member=r.member,
            pid=r.pid,
            position=None if figures is None else figures.position,
            committed=None if figures is None else figures.committed,
            end=r.end,
            lag_bytes=None if entries else r.lag,
            lag_entries=r.lag if entries else None,
            lag_seconds=r.lag_seconds,
            records_per_second=r.records_per_second,
            records_applied=None if figures is None else figures.records_applied,
            records_rejected=None if figures is None else sum(figures.rejected.values()),
            state_bytes=None if figures is None else figures.state_bytes,
            reported_s_ago=r.reported_s_ago,
            copies=copies,
        )

    def _serving(self, s: ServingPartitionSeen, *, entries: bool) -> Serving:
        figures, age_s = s.figures, s.snapshot_age_s
        snapshot = None
        if figures.snapshot_position is not None and age_s is not None:
            snapshot = Snapshot(position=figures.snapshot_position, age_s=age_s)
        copies = [
            Copy(
                member=member.heartbeat.member,
                up=member.up,
                answers=report.answers,
                caught_up=report.caught_up,
                position=report.figures.position,
            )
            for member, report in self._parts.membership.reports(s.partition, up=False)
        ]
        return Serving(
            partition=s.partition,
            answers=s.answers,
            caught_up=s.caught_up,
            positions=list(s.positions),
            watermark=s.watermark,
            lag_bytes=None if entries else s.lag,
            lag_entries=s.lag if entries else None,
            rows_pending=figures.rows_pending,
            vertices=figures.vertices,
            state_bytes=figures.state_bytes,
            snapshot=snapshot,
            copies=copies,
        )

    async def lag(self) -> Lag:
        """Show how far the answers are behind the logs; loaders ask about once a second, so this is cheap."""
        settings, entries, lags = self._parts.settings, self._parts.telemetry.counts_entries, await self._observer.lags()
        return Lag(
            lag_bytes=None if entries else lags,
            lag_bytes_max=settings.lag_bytes_max,
            lag_entries=lags if entries else None,
            lag_entries_max=settings.lag_entries_max,
        )

    async def _body(self, request: Request) -> bytes:
        return await read_body(request.scope, request.receive, self._parts.settings.body_bytes_max)

    def _shown(self, query: InstalledQuery) -> Query:
        return Query(id=query.id, name=query.name, ready=self._coordinator.is_active(query.id))

    def _barrier(self, b: BarrierView) -> Barrier:
        return Barrier(name=b.name, state=self._state(b), count=b.count, loaders=list(b.loaders))

    def _state(self, b: BarrierView) -> Any:
        return str(state_shown(b, self._parts.partitions))


def _member(m: MemberSeen) -> Member:
    beat = m.heartbeat
    return Member(
        name=beat.member,
        up=m.up,
        host=beat.host,
        pid=beat.pid,
        url=beat.url or None,
        samplers=[r.partition for r in beat.samplers],
        serving=[r.partition for r in beat.serving],
        heard_s_ago=round(m.age_s, 3),
    )


async def _path_is_text(request: Request) -> None:
    check_path(request.scope)


def _document(plan: QueryPlan) -> dict[str, Any]:
    return dict(plan.document)


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}
