"""The way straight to the owners of seeds: who is asked for which, and who instead where one does not answer.

It keeps the partition map and fetches it again when an owner has failed, and now and then, as copies come and go. An old map makes
no answer wrong, as any frontend answers for any seed; so nobody waits for a new one. `dgs_client.client` goes this way.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, TypeVar

from dgs.core.errors import DgsError, NotReadyError, UnreachableError
from dgs_client.connection import Patience, is_loopback
from dgs_client.partition_map import PartitionMap
from dgs_client.pool import ConnectionPool
from dgs_client.request import left_ms_until, message_from

T = TypeVar("T")
MAP = "/cluster/map"
MAP_WAIT_S = 1.0
"""How long a request lets the map take at most."""
RENEWED_AFTER_S = 10.0
"""A map of this age is fetched again."""
RENEWED_AGAIN_AFTER_S = 1.0
"""Where an owner has failed or is missing, one of this age."""
ANSWER_S = 2.0
"""How long an owner may take over a request that waits for no positions, before the next one is asked."""
PASSED_OVER_S = 5.0
"""An owner that has failed is not asked for so long; by then the deployment has noticed, too, where it is gone."""
THREADS_MAX = 32
"""Shares of batches that are asked for beside their first, of all threads together."""


@dataclass(frozen=True, slots=True)
class Share:
    """Seeds of a request that are asked for together.

    Attributes:
        places: theirs in the request.
        owners: connections to those who may be asked, in this order; none where only the server may be.
    """

    places: Sequence[int]
    owners: Sequence[ConnectionPool] = ()


class Direct:
    """The owners of one deployment's seeds, for several threads.

    Args:
        server: whom to ask for the map.
        pool_size: how many requests may be under way at once at each owner.
        timeout_s: how long one connect or one answer of an owner may take; nothing is repeated there.
    """

    def __init__(self, server: ConnectionPool, *, pool_size: int, timeout_s: float) -> None:
        self._server = server
        self._pool_size = pool_size
        self._patience = Patience(timeout_s, 0.0)
        self._known: tuple[PartitionMap, dict[str, ConnectionPool]] = PartitionMap(), {}
        self._away: dict[str, float] = {}
        # Many short-lived clients are not all to begin with the same copy.
        self._turns = count(int.from_bytes(os.urandom(2)))
        self._renewed_at = self._due_at = time.monotonic()
        self._renewing, self._lock = threading.Lock(), threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS_MAX, "dgs-client")
        self._closed = False

    def owners(self, vid: int) -> Sequence[ConnectionPool]:
        """Return connections to those who may be asked for a seed, in this order."""
        known, pools = self._newest()
        return [pools[url] for url in known.of_seed(vid, next(self._turns))]

    def shares(self, vids: Sequence[int]) -> list[Share]:
        """Return the parts of a request that are asked for on their own."""
        known, pools = self._newest()
        split = known.split(vids, next(self._turns))
        return [Share(places, [pools[url] for url in owners]) for owners, places in split.items()]

    def message(self, asked: Mapping[str, Any], owners: Sequence[ConnectionPool]) -> bytes:
        """Return the message of the first owner that answers a request, at last the server's; errors as `message_from`."""
        timeout_ms = asked.get("timeout_ms")
        deadline = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        for owner in owners:
            try:
                return message_from(owner, asked, answer_s=ANSWER_S)
            except (UnreachableError, NotReadyError):
                self._failed(owner)
                if deadline is not None:
                    asked = {**asked, "timeout_ms": left_ms_until(deadline)}
        return message_from(self._server, asked)

    def together(self, ask: Callable[[Share], T], shares: Sequence[Share]) -> list[T]:
        """Ask for all shares at once; return the answers in their order.

        Raises:
            UnreachableError: the client is closed; besides what `ask` raises.
        """
        try:
            others = [self._threads.submit(ask, share) for share in shares[1:]]
        except RuntimeError:
            raise UnreachableError("the client was closed") from None
        return [ask(shares[0]), *(other.result() for other in others)]

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            self._closed = True
            for pool in self._known[1].values():
                pool.close()
        self._threads.shutdown(wait=False)

    def _failed(self, owner: ConnectionPool) -> None:
        """Hear that an owner did not answer: it is passed over for a while, and the map may be old."""
        with self._lock:
            self._away[owner.server] = time.monotonic() + PASSED_OVER_S
            known, pools = self._known
            self._known = known.without(lambda url: url == owner.server), pools
        self._due_at = min(self._due_at, self._renewed_at + RENEWED_AGAIN_AFTER_S)

    def _newest(self) -> tuple[PartitionMap, dict[str, ConnectionPool]]:
        """Return what is known; one thread at a time fetches the map when it is due, and others go on with the old one."""
        if time.monotonic() >= self._due_at and self._renewing.acquire(blocking=False):
            try:
                self._renew()
            finally:
                self._renewing.release()
        return self._known

    def _renew(self) -> None:
        complete = False
        try:
            with self._server.connection(MAP_WAIT_S) as connection:
                answer = connection.request("GET", MAP, patience=Patience(MAP_WAIT_S, 0.0))
            self._take(PartitionMap.read(answer.json()))
            complete = self._known[0].complete
        except DgsError:  # the server is away, or older than the map: what is known goes on
            pass
        self._renewed_at = time.monotonic()
        self._due_at = self._renewed_at + (RENEWED_AFTER_S if complete else RENEWED_AGAIN_AFTER_S)

    def _take(self, known: PartitionMap) -> None:
        """Go by a new map; who is not in it is not waited for any longer."""
        if not is_loopback(self._server.server):  # there it is this host that a loopback address names, not the owner's
            known = known.without(is_loopback)
        with self._lock:
            if self._closed:
                return
            now = time.monotonic()
            self._away = {url: until for url, until in self._away.items() if until > now}
            known, before = known.without(self._away.__contains__), self._known[1]
            pools = {url: before.get(url) or self._new(url) for url in set(chain.from_iterable(known.owners))}
            self._known = known, pools
        for url in before.keys() - pools.keys():
            before[url].close()

    def _new(self, url: str) -> ConnectionPool:
        return ConnectionPool(url, size=self._pool_size, patience=self._patience)
