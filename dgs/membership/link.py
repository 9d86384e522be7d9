"""The two ways to the coordinator: within its own process, and over HTTP to another. A member uses either through `Link`."""

import asyncio
from collections.abc import Callable

from dgs_client.connection import Connection, Response

from dgs.core.errors import ConflictError, StateError
from dgs.membership.heartbeat import HEARTBEAT, NEWS, ROUND, STANDING, Heartbeat, News, RoundReport, StandingReport

HEARTBEATS = "/cluster/heartbeats"
ROUNDS = "/cluster/rounds"
DEPLOYMENT_PATH = "/cluster/deployment"
STANDING_PATH = "/cluster/standing"
TIMEOUT_S = 5.0
"""A coordinator that says nothing for so long is away."""


class OwnLink:
    """To the coordinator of this process.

    Args:
        hear: takes a heartbeat and returns the news.
    """

    def __init__(self, hear: Callable[[Heartbeat], News]) -> None:
        self._hear = hear

    async def beat(self, heartbeat: Heartbeat) -> News:
        """See `dgs.membership.heart.Link`."""
        return self._hear(heartbeat)


class HttpLink:
    """To a coordinator elsewhere. Requests wait in threads, one at a time for each kind; nothing is repeated here.

    Args:
        coordinator: a URL, `host:port`, or a host.

    Raises:
        InputError: that is not understood.
    """

    def __init__(self, coordinator: str) -> None:
        self._beats = _Line(coordinator)
        self._rounds = _Line(coordinator)

    async def beat(self, heartbeat: Heartbeat) -> News:
        """See `dgs.membership.heart.Link`."""
        try:
            response = await self._beats.send("POST", HEARTBEATS, HEARTBEAT.write(heartbeat))
        except ConflictError as e:
            raise StateError(str(e)) from None
        return NEWS.read(response.body)

    async def report(self, serving_partition: int, barrier: int, round_number: int) -> None:
        """Report a round of a barrier, see `dgs.coordinator.coordinator.Coordinator.report`.

        Raises:
            UnreachableError, NotReadyError: report it again.
        """
        await self._rounds.send("POST", ROUNDS, ROUND.write(RoundReport(serving_partition, barrier, round_number)))

    async def standing(self, sampler: int, serving: int) -> StandingReport:
        """Ask what stands in a serving partition's log of what a sampler partition has written.

        Raises:
            UnreachableError, NotReadyError: ask again.
        """
        path = f"{STANDING_PATH}?sampler={sampler}&serving={serving}"
        return STANDING.read((await self._rounds.send("GET", path)).body)

    def close(self) -> None:
        """End the connections."""
        self._beats.close()
        self._rounds.close()


class _Line:
    """A connection that one thread at a time uses."""

    def __init__(self, server: str) -> None:
        self._connection = Connection(server, retry_timeout_s=0, timeout_s=TIMEOUT_S)
        self._turn = asyncio.Lock()
        self.close = self._connection.close

    async def send(self, method: str, path: str, body: bytes | None = None) -> Response:
        await self._turn.acquire()
        answer = asyncio.ensure_future(
            asyncio.to_thread(self._connection.request, method, path, body, {"Content-Type": "application/json"})
        )
        answer.add_done_callback(self._done)
        # Who does not wait for it leaves connection and turn with the thread, until the answer comes or `close` ends it.
        return await asyncio.shield(answer)

    def _done(self, answer: "asyncio.Future[Response]") -> None:
        self._turn.release()
        if not answer.cancelled():
            answer.exception()  # there need not be anybody any more who takes it
