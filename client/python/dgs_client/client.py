"""The client of a service, as applications use it: ego-graphs, queries, barriers, positions.

It asks and reads answers; all that it knows of the graph is in what it returns. Threads share one client, processes do not.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar
from urllib.parse import quote

from dgs.backoff import Backoff
from dgs.core.errors import ConflictError, DeadlineError, DgsError, InputError
from dgs.core.token import PositionToken, Tokens, read_tokens
from dgs_client.barrier import Barrier
from dgs_client.connection import DEFAULT_PORT, Document, Patience, Response, with_parameters
from dgs_client.pool import ConnectionPool
from dgs_client.query import Query
from dgs_client.request import GRACE_S, left_ms_until, message_from, parameters, seed

if TYPE_CHECKING:
    from dgs_client.batch import EgoGraphs
    from dgs_client.direct import Direct, Share
    from dgs_client.egograph import EgoGraph
    from dgs_client.graph import Graph
    from dgs_client.message import Head

T = TypeVar("T")
SEEDS_MAX = 1024
"""Seeds of one request; more are asked for in several. The default of the service's setting `seeds_max`."""
_POLL_FIRST_S, _POLL_LAST_S = 0.01, 0.5


class Client:
    """A client of one service; also a context manager, which closes it.

    Args:
        server: a URL, `host:port`, or a host.
        timeout_s: how long one connect or one answer may take, where a request has no deadline of its own.
        retry_timeout_s: how long a request is repeated while the service is away; 0 for never.
        pool_size: how many requests may be under way at once; further threads wait.
        seeds_max: the service's setting of that name, where it is not the default.
        direct: ask for samples those processes of the deployment that have them, and the server only where none of these answers;
            then `pool_size` and `timeout_s` are for each of them.

    All methods raise, besides what they say:
        UnreachableError: the service was away for `retry_timeout_s`, or the client is closed.
        NotReadyError: it is starting or catching up, where nothing is retried.
        DgsError: what answers is no dgs service.
    """

    def __init__(
        self,
        server: str = f"http://127.0.0.1:{DEFAULT_PORT}",
        *,
        timeout_s: float = 30.0,
        retry_timeout_s: float = 10.0,
        pool_size: int = 8,
        seeds_max: int = SEEDS_MAX,
        direct: bool = False,
    ) -> None:
        if seeds_max < 1:
            raise InputError(f"seeds_max is at least 1, not {seeds_max}")
        self.server = server
        self._patience = Patience(timeout_s, retry_timeout_s)
        self._pool = ConnectionPool(server, size=pool_size, patience=self._patience)
        self._seeds_max = seeds_max
        self._direct = _direct(self._pool, pool_size, timeout_s) if direct else None

    # Ego-graphs ------------------------------------------------------------------------------------------------------------------

    def samples(
        self,
        vid: SupportsIndex,
        query: str | int | None = None,
        *,
        fanouts: Iterable[SupportsIndex] | None = None,
        min_position: Tokens | None = None,
        timeout_ms: int | None = None,
        scores: bool = False,
    ) -> "EgoGraph":
        """Return the ego-graph of one seed; of a seed that nobody has loaded, one of itself.

        Args:
            vid: the seed, an int64.
            query: name or id; may be left out while exactly one is installed.
            fanouts: fewer neighbours than the query has, one number per plan node that samples edges, in plan order.
            min_position: answer only when everything before these positions is reflected.
            timeout_ms: how long the answer may take.
            scores: whether edges come with what they were chosen by.

        Raises:
            NotFoundError: there is no such query.
            InputError: an argument is wrong.
            ConflictError: a position is of another generation, or beyond the end of its log.
            DeadlineError: the time has passed.
        """
        from dgs_client.egograph import EgoGraph
        from dgs_client.message import read_message

        own = seed(vid)
        asked = {"vid": own} | parameters(query, fanouts, min_position, timeout_ms, scores)
        direct = self._direct
        message = message_from(self._pool, asked) if direct is None else direct.message(asked, direct.owners(own))
        head, graphs = read_message(message, scores=scores)
        if len(graphs) != 1 or len(graphs[0].seeds) != 1:
            raise DgsError(f"{self.server} answered {len(graphs)} graphs for one seed; is it the right host and port?")
        return EgoGraph(head, graphs[0])

    def samples_many(
        self,
        vids: Iterable[SupportsIndex],
        query: str | int | None = None,
        *,
        fanouts: Iterable[SupportsIndex] | None = None,
        min_position: Tokens | None = None,
        timeout_ms: int | None = None,
        scores: bool = False,
    ) -> "EgoGraphs":
        """Return the ego-graphs of many seeds, in their order; a seed may come several times.

        More than `seeds_max` seeds are asked for in several requests, one after the other; `timeout_ms` is for all of them.

        Args:
            vids: the seeds: a list, an array, or anything that gives integers.
            query, fanouts, min_position, timeout_ms, scores: as of `samples`.

        Raises:
            NotFoundError, InputError, ConflictError, DeadlineError: as `samples`.
            TooLargeError: the service takes fewer than `seeds_max` seeds in one request.
        """
        from dgs_client.batch import EgoGraphs
        from dgs_client.message import placed, read_message

        plain = vids.tolist() if hasattr(vids, "tolist") else vids
        seeds = [seed(v) for v in plain]
        deadline = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        graphs: list[Graph] = []
        heads: list[Head] = []
        for start in range(0, max(1, len(seeds)), self._seeds_max):
            left_ms = timeout_ms if start == 0 else left_ms_until(deadline)
            asked = parameters(query, fanouts, min_position, left_ms, scores)
            for places, message in self._messages(seeds[start : start + self._seeds_max], asked):
                head, found = read_message(message, scores=scores)
                heads.append(head)
                graphs += placed(found, [start + place for place in places])
        batch = EgoGraphs(replace(heads[-1], caught_up=all(h.caught_up for h in heads)), graphs)
        if len(batch) != len(seeds):
            raise DgsError(f"{self.server} answered {len(batch)} seeds where {len(seeds)} were asked for")
        return batch

    # Queries ---------------------------------------------------------------------------------------------------------------------

    def install_query(self, document: Mapping[str, Any] | str | bytes | os.PathLike[str], name: str | None = None) -> Query:
        """Install a query; the same again is fine.

        Args:
            document: an install-query document as a mapping or as JSON text, or the path of a file that holds one.
            name: its name; the file's stem, or `q` and its id, unless given.

        Raises:
            PlanError, InputError: it is wrong, with every reason.
            ConflictError: another query stands under that id or name, or loading has begun.
            OSError: the file cannot be read.
        """
        if isinstance(document, Mapping):
            body = json.dumps(document).encode()
        elif isinstance(document, bytes) or (isinstance(document, str) and document.lstrip().startswith("{")):
            body = document.encode() if isinstance(document, str) else document
        else:
            path = Path(document)
            body, name = path.read_bytes(), path.stem if name is None else name
        params = {} if name is None else {"name": name}
        return _query(self._ask("POST", with_parameters("/queries", params), body).json())

    def queries(self) -> list[Query]:
        """Return all installed queries, without their documents."""
        return [_query(q) for q in self._ask("GET", "/queries").json()["queries"]]

    def query(self, name: str | int) -> Query:
        """Return one query, by name or id, with its document.

        Raises:
            NotFoundError: there is none.
        """
        return _query(self._ask("GET", f"/queries/{quote(str(name), safe='')}").json())

    # Barriers and positions ------------------------------------------------------------------------------------------------------

    def set_barrier(self, name: str, *, count: int = 1, loader_id: int = 0) -> Barrier:
        """Set a barrier behind what was loaded before, as one of `count` loaders; the same again is fine.

        Raises:
            ConflictError: it is set with another count, or all its loaders have set it.
        """
        return _barrier(self._ask("POST", _path(name), json.dumps({"count": count, "loader_id": loader_id}).encode()).json())

    def barrier(self, name: str) -> Barrier:
        """Return how far a barrier is; one that nobody has set is NOT_SET."""
        return _barrier(self._ask("GET", _path(name)).json())

    def wait_barrier(self, name: str, timeout_s: float | None = None) -> Barrier:
        """Return when a barrier is READY: all that was loaded before it is in the answers.

        Raises:
            DeadlineError: it was not within `timeout_s` seconds (None: wait for as long as it takes); says how far it got.
        """

        def look(patience: Patience) -> tuple[Barrier | None, str]:
            found = _barrier(self._ask("GET", _path(name), patience=patience).json())
            return (found if found.ready else None), f"barrier {name} is {found.state}"

        return self._wait(look, timeout_s)

    def wait_position(self, positions: Tokens, timeout_s: float | None = None) -> None:
        """Return when every serving partition reflects everything before these positions, as `dgs-loader` prints them.

        To wait for one answer, give them to `samples` as `min_position`: that waits for less.

        Raises:
            ConflictError: a position is of another generation, or beyond the end of its log.
            InputError: it is of a partition that is not there, or no position at all.
            DeadlineError: they were not within `timeout_s` seconds (None: wait for as long as it takes).
        """
        wanted = read_tokens(positions)

        def look(patience: Patience) -> tuple[bool | None, str]:
            cluster = self._ask("GET", "/cluster", patience=patience).json()
            behind = [p for p in wanted if not _reflects(cluster, p)]
            return (None if behind else True), f"{', '.join(map(str, behind))} is not reflected"

        self._wait(look, timeout_s)

    # The deployment --------------------------------------------------------------------------------------------------------------

    def schema(self) -> dict[str, Any]:
        """Return the graph schema, as it was given."""
        return dict(self._ask("GET", "/schema").json())

    def cluster(self) -> dict[str, Any]:
        """Return the deployment: partition counts, positions, the ends of the logs; `GET /cluster` in docs/http.md."""
        return dict(self._ask("GET", "/cluster").json())

    def close(self) -> None:
        """End all connections; requests that are under way in other threads end with UnreachableError."""
        if self._direct is not None:
            self._direct.close()
        self._pool.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.server!r})"

    def _ask(self, method: str, path: str, body: bytes | None = None, *, patience: Patience | None = None) -> Response:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        wait_s = None if patience is None else patience.timeout_s
        with self._pool.connection(wait_s) as connection:
            return connection.request(method, path, body, headers, patience=patience)

    def _messages(self, vids: Sequence[int], asked: Mapping[str, Any]) -> list[tuple[Sequence[int], bytes]]:
        """Return the messages that answer for the seeds of one request, each with the places of its own."""
        direct = self._direct
        if direct is None:
            return [(range(len(vids)), message_from(self._pool, {**asked, "vids": vids}))]

        def ask(share: "Share") -> tuple[Sequence[int], bytes]:
            return share.places, direct.message({**asked, "vids": [vids[place] for place in share.places]}, share.owners)

        return direct.together(ask, direct.shares(vids))

    def _wait(self, look: Callable[[Patience], tuple[T | None, str]], timeout_s: float | None) -> T:
        """Ask again and again, ever more rarely, until there is an answer."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        backoff = Backoff(_POLL_FIRST_S, _POLL_LAST_S)
        while True:
            patience = self._patience
            if deadline is not None:
                left_s = max(deadline - time.monotonic(), 0.0)
                patience = Patience(min(patience.timeout_s, left_s + GRACE_S), min(patience.retry_timeout_s, left_s))
            found, instead = look(patience)
            if found is not None:
                return found
            left_s = _POLL_LAST_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                raise DeadlineError(f"{instead} after {timeout_s:g} s")
            time.sleep(min(backoff.next(), left_s))


def _direct(server: ConnectionPool, pool_size: int, timeout_s: float) -> "Direct":
    from dgs_client.direct import Direct

    return Direct(server, pool_size=pool_size, timeout_s=timeout_s)


def _path(barrier: str) -> str:
    return f"/barriers/{quote(barrier, safe='')}"


def _query(answer: Mapping[str, Any]) -> Query:
    return Query(answer["id"], answer["name"], answer["ready"], answer.get("document"))


def _barrier(answer: Document) -> Barrier:
    return Barrier(answer["name"], answer["state"], answer["count"], tuple(answer["loaders"]))


def _reflects(cluster: Document, wanted: PositionToken) -> bool:
    """Whether all serving partitions reflect a position.

    Raises:
        InputError, ConflictError: they never will.
    """
    generation, partitions, ends = cluster["generation"], cluster["partitions"], cluster["record_ends"]
    if wanted.generation != generation:
        raise ConflictError(f"position {wanted} is of generation {wanted.generation}; the service has generation {generation}")
    if wanted.partition >= partitions:
        raise InputError(f"position {wanted} is of partition {wanted.partition}; there are record partitions 0 to {partitions - 1}")
    if ends is not None and wanted.position > ends[wanted.partition]:
        raise ConflictError(
            f"position {wanted} is beyond the end of its log ({ends[wanted.partition]}): it is of another deployment, or this one "
            "was put back to an older state; load the data again"
        )
    return bool(cluster["positions"][wanted.partition] >= wanted.position)
