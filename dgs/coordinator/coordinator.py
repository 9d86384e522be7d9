"""The coordinator: takes orders (queries, dimensions, barriers), numbers them, and writes each into every record partition.

An order goes through four steps: 1. the state with the order in it is saved; 2. the order is appended to every record partition;
3. that it is written is saved; 4. the caller gets its answer. A crash after 1 leaves the order pending: it is appended again at the
start, and partitions drop the number that they have seen. So whatever was acknowledged stands, and whatever was begun is completed.

It never reads a log and never serves anything; the API asks it, `dgs.app` starts it. One event loop, one process per deployment.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dgs.backoff import Backoff
from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.bus.limits import NO_LIMITS, AppendLimits
from dgs.bus.topics import ensure_topics
from dgs.codec.entries import encode_control
from dgs.coordinator.barriers import BarrierState, BarrierView, complete_round, set_barrier, view
from dgs.coordinator.dimensions import propose
from dgs.coordinator.loader_info import loader_info
from dgs.coordinator.queries import install, operators_of
from dgs.coordinator.state import State
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import NotReadyError, PlanError, StateError, UnreachableError
from dgs.core.layout import Dimension, Layouts
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.query import parse_query
from dgs.core.repair import ANEW
from dgs.core.types import PartitionIndex, Position
from dgs.telemetry import logs
from dgs.troubles import Troubles

APPEND_WAIT_S = 20.0
"""How long appending an order to all partitions may take before it counts as failed."""
LOST_AFTER_S = 10.0
"""So long a log has to be too short before that is believed: brokers that change their leader tell an older end for a moment."""
RETRY_FIRST_S = 0.1
RETRY_LAST_S = 5.0

_log = logs.get(__name__)


class Coordinator:
    """One deployment's coordinator.

    Args:
        deployment: what is fixed.
        bus: where orders go.
        file: keeps the state.
        bus_url: what loaders are told about the bus.
        fsync: what their appends have to survive, too.
        limits: beyond which their records are refused.
        troubles: told when the state cannot be saved.

    Attributes:
        deployment: what is fixed.
        bus_url: as it was given.
        accept_loaders: to be set once the first queries are installed; until then `init_info` is refused.
    """

    def __init__(
        self,
        deployment: Deployment,
        bus: Bus,
        file: StateFile,
        *,
        bus_url: str,
        fsync: str = "never",
        limits: AppendLimits = NO_LIMITS,
        troubles: Troubles | None = None,
    ) -> None:
        self.deployment = deployment
        self.accept_loaders = asyncio.Event()
        self._bus = bus
        self.bus_url = bus_url
        self._fsync = fsync
        self._limits = limits
        self._troubles = troubles or Troubles()
        self._file = file
        self._state = State()
        self._operators = OperatorSet()
        self._layouts = Layouts(deployment.schema)
        self._ordering = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._unwritten = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retrying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the state, make or check the topics, and write what is pending; a bus that refuses that is tried again later.

        Raises:
            StateError: the state file, the topics or the logs cannot be used; says what to do.
        """
        state = await asyncio.to_thread(self._file.load)
        try:
            self._adopt(state)
        except PlanError as e:
            raise StateError(
                f"{self._file.path} holds a query that this program refuses: {e}; start the dgs that wrote it"
            ) from None
        await ensure_topics(self._bus, self.deployment)
        await self._check_logs()
        self._retrying = asyncio.create_task(self._retry())
        try:
            async with self._ordering:
                await self._write_pending()
        except (NotReadyError, UnreachableError) as e:
            _log.warning("pending orders not written yet", cause=e)
        _log.info("coordinator started", orders=self._state.last, queries=len(self._state.queries))

    async def close(self) -> None:
        """End orders under way; those that were not written stay pending for the next start. Orders after this are refused."""
        if self._retrying is not None:
            self._retrying.cancel()
        await asyncio.gather(*filter(None, [self._retrying]), *self._tasks, return_exceptions=True)
        self._retrying = None

    @property
    def operators(self) -> OperatorSet:
        """All queries that were ordered, and what runs for them."""
        return self._operators

    @property
    def layouts(self) -> Layouts:
        """The layouts under the dimensions that stand in all record partitions."""
        return self._layouts

    @property
    def pending(self) -> int:
        """How many orders are not known to stand in all record partitions."""
        return self._state.last - self._state.written

    def is_active(self, query_id: int) -> bool:
        """Whether a query stands in all record partitions."""
        for query in self._state.queries:  # a loop, as every request asks
            if query.id == query_id:
                return query.number <= self._state.written
        return False

    async def install(self, document: str | bytes, name: str | None = None) -> InstalledQuery:
        """Install a query from the JSON text of an install-query document; the same query again changes nothing.

        Raises:
            PlanError, InputError: the document or the name is wrong.
            ConflictError: the id or the name stands for another query, or a loader has begun.
            UnreachableError, NotReadyError: not written yet; it is tried again, and asking again tells how that went.
        """
        plan = parse_query(document, self.deployment.schema)
        await self._order(lambda state: install(state, plan, name, self.deployment.schema))
        installed = self._operators.query(plan.query_id)
        assert installed is not None, "an order without effect"
        return installed

    async def propose_dimension(self, kind: str, type_id: int, attribute: int, dim: int) -> list[dict[str, Any]]:
        """Fix the dimension of a list attribute of a "vertex" or "edge" type, unless it is fixed; return all fixed ones, in order.

        Raises:
            InputError: the schema has no such attribute, or no such dimension is possible.
            UnreachableError, NotReadyError: as `install`.
        """
        wanted = Dimension(kind, type_id, attribute, dim)
        await self._order(lambda state: propose(state, wanted, self.deployment.schema))
        return self._layouts.to_json()

    async def set_barrier(self, name: str, count: int = 1, loader_id: int = 0) -> BarrierView:
        """Set a barrier in the name of one of `count` loaders; durable when it returns. The same again changes nothing.

        Raises:
            InputError: a parameter is wrong.
            ConflictError: `Barrier <name> Already Set.`
            UnreachableError, NotReadyError: as `install`.
        """
        size = self.deployment.serving_partitions
        await self._order(lambda state: set_barrier(state, name, count, loader_id, self._operators.rounds(), size))
        return self.barrier(name)

    async def report(self, serving_partition: int, barrier_id: int, round_number: int) -> None:
        """Take note that a serving partition has completed a round of a barrier; durable when it returns. May be repeated.

        Raises:
            StateError: this coordinator never gave that barrier.
            NotReadyError: it could not be saved; report it again.
        """
        task = asyncio.ensure_future(self._change(lambda state: complete_round(state, serving_partition, barrier_id, round_number)))
        await self._finish(task)

    def barrier(self, name: str) -> BarrierView:
        """Return a barrier; one that nobody has set is NOT_SET."""
        return view(self._state, name)

    def barriers(self) -> list[BarrierView]:
        """Return all barriers that a loader has set, in the order of their first setting."""
        return [view(self._state, name) for name in self._state.barriers]

    async def wait_barrier(self, name: str, wanted: BarrierState, timeout_s: float) -> BarrierView:
        """Return the barrier once it is in the wanted state or a later one, or as it is when the time has passed."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.barrier(name).state.includes(wanted):
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.barrier(name)

    async def init_info(self) -> dict[str, Any]:
        """Return what a loader needs to begin. From the first call on no further query can be installed.

        Raises:
            NotReadyError: the first queries are not installed yet.
            UnreachableError: an order is not written yet.
        """
        if not self.accept_loaders.is_set():
            raise NotReadyError("the service is starting: its first queries are not installed yet; ask again")
        if not self._state.queries:
            raise NotReadyError(
                "no query is installed, and what is loaded before the first one could never be sampled: install one with "
                "`dgs query install FILE`, then load"
            )
        # In line with the orders: a query that was accepted before must stand in the log before the first record can.
        await self._order(lambda state: state if state.loaders_admitted else replace(state, loaders_admitted=True))
        return loader_info(self.deployment, self._layouts, bus_url=self.bus_url, fsync=self._fsync, limits=self._limits)

    def check_complete(self) -> None:
        """See `dgs.api.protocols.QueryDirectory`: all queries that were ordered are known here."""

    async def record_ends(self) -> list[Position]:
        """Return the end of every record partition."""
        return await asyncio.gather(*(self._bus.end(RECORDS, PartitionIndex(p)) for p in range(self.deployment.partitions)))

    async def at_one_moment(self) -> tuple[dict[str, Any], dict[str, list[Position]]]:
        """Return the state as JSON values, and then the ends of all logs: the state has every order that stands in the logs.

        A barrier's round that is reported in between is told again by whoever reads on from an older state.
        """
        async with self._ordering:
            state = self._state.to_json()
            return state, await self._bus.ends([RECORDS, SAMPLES])

    async def _check_logs(self) -> None:
        """Refuse a log that has lost an order: nobody would write it again, and partitions would take no later one.

        Also one that has entries before the first order: no query would ever see them.
        """
        believed_at = asyncio.get_running_loop().time() + LOST_AFTER_S
        while True:
            try:
                ends = await self.record_ends()
                if not self._state.last and any(ends):
                    raise StateError(
                        f"{RECORDS} has entries, and {self._file.path} knows of no order before them: that file is lost, or"
                        f" somebody wrote before the first query was there; {ANEW}"
                    )
                pairs = enumerate(zip(self._state.ends, ends, strict=False))
                lost = next(((p, standing, end) for p, (standing, end) in pairs if end < standing), None)
                if lost is None:
                    return
            except OSError as e:
                lost, away = None, e
            if asyncio.get_running_loop().time() >= believed_at:
                break
            await asyncio.sleep(RETRY_FIRST_S)
        if lost is None:
            raise UnreachableError(f"the bus does not say how far the logs go: {away}")
        p, standing, end = lost
        raise StateError(
            f"the log {RECORDS}/{p} ends at position {end}, and by {self._file.path} it has orders up to {standing}:"
            f" entries are lost (a power loss with fsync=never?); {ANEW}"
        )

    async def _order(self, change: Callable[[State], State]) -> None:
        """Carry out an order to its end, even when the caller goes away meanwhile."""
        if self._retrying is None:
            raise NotReadyError("the coordinator is not running; ask again")
        await self._finish(asyncio.create_task(self._carry_out(change)))

    async def _finish(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: the caller may have gone

    async def _carry_out(self, change: Callable[[State], State]) -> None:
        async with self._ordering:
            await self._write_pending()  # an order that failed comes first, and its caller may be asking again
            await self._change(change)  # 1.
            await self._write_pending()

    async def _write_pending(self) -> None:
        """Append pending orders to all record partitions and save that. Call it with `_ordering` held."""
        items = self._state.pending()
        if not items:
            self._unwritten.clear()
            return
        entries = [encode_control(item) for item in items]
        try:
            async with asyncio.timeout(APPEND_WAIT_S):
                partitions = map(PartitionIndex, range(self.deployment.partitions))
                ends = tuple([await self._bus.append(RECORDS, p, entries) for p in partitions])  # 2.
        except Exception as e:  # whatever it is, the order is pending and is tried again
            self._unwritten.set()
            cause = "it does not answer" if isinstance(e, TimeoutError) else str(e)
            raise UnreachableError(f"the order is kept and tried again, as the bus does not take it: {cause}") from e
        try:
            await self._change(lambda state: replace(state, written=items[-1].number, ends=ends))  # 3.
        except NotReadyError:
            self._unwritten.set()
            raise
        self._unwritten.clear()
        for item in items:
            _log.info("order written", number=item.number, kind=item.kind, **_about(item.body))

    async def _write_again(self) -> None:
        async with self._ordering:
            await self._write_pending()

    async def _retry(self) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        told = ""
        while True:
            await self._unwritten.wait()
            await asyncio.sleep(backoff.next())
            try:
                await self._finish(asyncio.create_task(self._write_again()))
            except (NotReadyError, UnreachableError) as e:
                if str(e) != told:
                    _log.warning("order not written yet; it is tried again", cause=e)
                told = str(e)
            else:
                backoff.reset()
                told = ""

    async def _change(self, change: Callable[[State], State]) -> None:
        """Replace the state by `change` of it, once that is saved; nothing shows a state that a crash could take back."""
        async with self._saving:
            state = change(self._state)
            if state is self._state:
                return
            try:
                await asyncio.to_thread(self._file.save, state)
            except OSError as e:
                self._troubles.begin("the coordinator's state", e)
                raise NotReadyError(f"{self._file.path} cannot be written ({e.strerror or e}); make room or give access") from e
            self._troubles.end("the coordinator's state")
            self._adopt(state)

    def _adopt(self, state: State) -> None:
        if state.queries is not self._state.queries:
            self._operators = operators_of(state.queries, self.deployment.schema)
        dims = state.confirmed()
        if tuple(dims) != self._layouts.dims:
            self._layouts = Layouts(self.deployment.schema, dims)
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()


def _about(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in ("plan", "kind")}
