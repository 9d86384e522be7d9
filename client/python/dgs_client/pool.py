"""Connections that several threads share: each request borrows one, the one that was used last, and gives it back.

It opens connections when they are needed, at most `size`, and never ends one that another thread is using, except by `close`.
`dgs_client.client` sends every request through it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dgs.core.errors import DeadlineError, InputError, UnreachableError
from dgs_client.connection import Connection, Patience


class ConnectionPool:
    """At most `size` connections to one server.

    Args:
        server: as `Connection` takes it.
        size: how many requests may be under way at once; further threads wait for their turn.
        patience: of requests that have none of their own.

    Attributes:
        server, patience: as given.

    Raises:
        InputError: the server cannot be understood, or the size is below 1.
    """

    def __init__(self, server: str, *, size: int, patience: Patience) -> None:
        if size < 1:
            raise InputError(f"pool_size is at least 1, not {size}")
        self.server = server
        self.patience = patience
        self._free = [self._new()]
        self._borrowed: set[Connection] = set()
        self._turns = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def connection(self, wait_s: float | None = None) -> Iterator[Connection]:
        """Lend a connection for the length of a block.

        Raises:
            DeadlineError: all were in use for `wait_s` seconds (None: wait for as long as it takes).
            UnreachableError: the pool is closed.
        """
        if not self._turns.acquire(timeout=wait_s):
            raise DeadlineError(f"all connections to {self.server} were in use for {wait_s:g} s; a larger pool_size allows more")
        try:
            with self._lock:
                if self._closed:
                    raise UnreachableError(f"the client of {self.server} was closed")
                connection = self._free.pop() if self._free else self._new()
                self._borrowed.add(connection)
            try:
                yield connection
            finally:
                with self._lock:
                    self._borrowed.discard(connection)
                    if self._closed:
                        connection.close()
                    else:
                        self._free.append(connection)
        finally:
            self._turns.release()

    def close(self) -> None:
        """End all connections; requests that are under way in other threads end with UnreachableError."""
        with self._lock:
            self._closed = True
            connections = [*self._free, *self._borrowed]
            self._free.clear()
        for connection in connections:
            connection.close()

    def _new(self) -> Connection:
        return Connection(self.server, timeout_s=self.patience.timeout_s, retry_timeout_s=self.patience.retry_timeout_s)
