"""An HTTP connection whose answers leave together with those of the other requests that came in with it.

A loop that is busy reads many requests at a time and answers them one after the other. Each answer that is sent on its own, head
and body apart, wakes up a client that sleeps, and that costs the server as much as a small answer. So what is written is held while
requests that have been read wait for their turn, and goes out behind the last of them, before anybody else's turn. Used by
`dgs.http.server`.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HELD_BYTES_MOST = 1 << 16
"""Of a connection: more is sent at once, so that what a client does not take is noticed."""


class Turn:
    """Tells when the requests that have been read have had their turn; all connections of a server share one."""

    def __init__(self) -> None:
        self._waiting = 0
        self._holding: list[HeldTransport] = []

    @property
    def is_on(self) -> bool:
        """Whether there are requests that wait for their turn."""
        return self._waiting > 0

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note that a request has been read, and that it runs from here on as soon as the loop comes to it."""
        self._waiting += 1
        loop.call_soon(self._end)

    def hold(self, transport: "HeldTransport") -> None:
        """Release a transport at the end of the turn."""
        self._holding.append(transport)

    def _end(self) -> None:
        self._waiting -= 1
        if not self._waiting and self._holding:
            holding, self._holding = self._holding, []
            for transport in holding:
                transport.release()


class HeldTransport(asyncio.Transport):
    """A transport that holds what is written until the end of the turn, if there is one."""

    def __init__(self, transport: asyncio.Transport, turn: Turn) -> None:
        super().__init__()
        self._transport = transport
        self._turn = turn
        self._held: list[Any] = []
        self._held_bytes = 0
        # What a server asks for at every request goes straight there.
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known about the connection."""
        return self._transport.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send some bytes, at the end of the turn at the latest."""
        if not self._turn.is_on:
            self._transport.write(data)
            return
        if not self._held:
            self._turn.hold(self)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MOST:
            self.release()

    def release(self) -> None:
        """Send what is held, unless the connection has gone meanwhile."""
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.writelines(held)

    def close(self) -> None:
        """Close the connection behind all that has been written."""
        self.release()
        self._transport.close()


class TurnProtocol(HttpToolsProtocol):
    """uvicorn's connection on a `HeldTransport`."""

    def __init__(self, *arguments: Any, turn: Turn, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._turn = turn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(HeldTransport(transport, self._turn))

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._turn.begin(self.loop)
