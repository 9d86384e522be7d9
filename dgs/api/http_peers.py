"""Other frontends of the deployment, asked over HTTP for what is not here.

One hop: who is asked on behalf of a client answers from its own partitions or not at all. Connections are kept and shared. A peer
that is away is passed over for the next one that answers for the partition.
"""

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import aiohttp
from dgs_client.connection import Response, error_of

from dgs.api.peers import LINES, SHARE
from dgs.api.protocols import Body
from dgs.api.request import WAIT_MS, Wanted, write_share
from dgs.codec.messages import MEDIA_TYPE as PROTOBUF
from dgs.core.errors import NotReadyError

CONNECT_S = 1.0
SILENT_S = 1.0
ANSWER_S = 10.0
"""How long a peer may take where a request does not say how long it may take itself."""
KEPT_ALIVE_S = 4.0
"""Less than the server keeps an idle connection, so that it is not closed under a request."""


class HttpPeers:
    """See `dgs.api.protocols.Peers`; to be entered before it is asked.

    Args:
        owners: returns by serving partition the URLs of those who answer for it.
        refresh: has the owners be those of now; None where they always are.
        own: the URL of this process, which is not asked.
    """

    def __init__(
        self,
        owners: Callable[[], Mapping[int, Sequence[str]]],
        refresh: Callable[[], Awaitable[None]] | None = None,
        *,
        own: str = "",
    ) -> None:
        self._owners = owners
        self._refresh = refresh
        self._own = own
        self._turn = itertools.count()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_S)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._session is not None, "left before it was entered"
        await self._session.close()

    async def answers(self, partition: int, vids: Sequence[int], wanted: Wanted) -> list[bytes]:
        """See `Peers.answers`."""
        answers = (await self._ask(partition, vids, range(len(vids)), wanted, LINES)).split(b"\n")
        if len(answers) != len(vids):
            raise NotReadyError(f"a peer gave {len(answers)} answers for {len(vids)} seeds; is it of the same version?")
        return answers

    async def message(self, partition: int, vids: Sequence[int], places: Sequence[int], wanted: Wanted) -> Body:
        """See `Peers.message`."""
        return await self._ask(partition, vids, places, wanted, PROTOBUF)

    async def _ask(self, partition: int, vids: Sequence[int], places: Sequence[int], wanted: Wanted, media_type: str) -> bytes:
        body = write_share(vids, list(places), wanted)
        failures: list[str] = []
        found = await self._first_answer(partition, body, wanted, media_type, failures)
        if found is None and self._refresh is not None:
            await self._refresh()
            failures.clear()
            found = await self._first_answer(partition, body, wanted, media_type, failures)
        if found is not None:
            return found
        told = "; ".join(failures) or "no process that is up serves it; `dgs status` shows who is missing"
        raise NotReadyError(f"serving partition {partition} cannot be asked at present: {told}")

    async def _first_answer(
        self, partition: int, body: bytes, wanted: Wanted, media_type: str, failures: list[str]
    ) -> bytes | None:
        """Return the answer of the first owner that gives one; None where none does, and add why."""
        wait_ms = WAIT_MS if wanted.timeout_ms is None and wanted.after else wanted.timeout_ms
        wait_s = ANSWER_S if wait_ms is None else CONNECT_S + wait_ms / 1000
        urls = [url for url in self._owners().get(partition, ()) if url != self._own]
        first = next(self._turn)
        for i in range(len(urls)):
            url = urls[(first + i) % len(urls)]
            try:
                # While there is another one to ask, one that is silent is not waited for, unless it was asked to wait.
                patience_s = wait_s if wanted.after or i + 1 == len(urls) else min(wait_s, SILENT_S)
                try:
                    response = await self._post(url, body, media_type, patience_s)
                except aiohttp.ServerDisconnectedError:  # it closed an idle connection, or it died: the next attempt shows which
                    response = await self._post(url, body, media_type, patience_s)
            except (aiohttp.ClientError, TimeoutError, OSError) as e:
                failures.append(f"{url}: {e or type(e).__name__}")
                continue
            if response.status == 200:
                return response.body
            error = error_of(response)
            if not isinstance(error, NotReadyError):
                raise error
            failures.append(f"{url}: {error}")
        return None

    async def _post(self, url: str, body: bytes, media_type: str, wait_s: float) -> Response:
        assert self._session is not None, "asked before it was entered"
        timeout = aiohttp.ClientTimeout(total=wait_s, connect=CONNECT_S)
        headers = {"accept": media_type, "content-type": "application/json"}
        async with self._session.post(url + SHARE, data=body, headers=headers, timeout=timeout) as answer:
            content = await answer.read()
            return Response(url, answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)
