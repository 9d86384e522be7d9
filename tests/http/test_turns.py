"""What is written during a turn leaves at its end, in one piece and in order; shown on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import uvloop

from dgs.http.gate import Receive, Scope, Send
from dgs.http.listener import listen
from dgs.http.server import Server
from dgs.http.turns import HELD_BYTES_MOST, HeldTransport, Turn

ANSWER_S = 10


@dataclass
class Line:
    """A held transport and the other end of its connection."""

    turn: Turn
    held: HeldTransport
    peer: socket.socket

    def begin(self) -> None:
        self.turn.begin(asyncio.get_running_loop())

    def arrived(self) -> bytes:
        """What has come so far; sockets of one host deliver at once."""
        try:
            return self.peer.recv(1 << 22)
        except BlockingIOError:
            return b""


async def line_on(turn: Turn) -> Line:
    own, peer = socket.socketpair()
    peer.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, sock=own)
    return Line(turn, HeldTransport(transport, turn), peer)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = await line_on(Turn())
    yield made
    made.held.close()
    made.peer.close()


async def test_a_write_outside_of_a_turn_leaves_at_once(line: Line) -> None:
    line.held.write(b"late")
    assert line.arrived() == b"late"


async def test_what_is_written_in_a_turn_leaves_at_its_end(line: Line) -> None:
    line.begin()
    line.held.write(b"head ")
    line.held.write(b"body")
    assert line.arrived() == b""
    await asyncio.sleep(0)
    assert not line.turn.is_on
    assert line.arrived() == b"head body"


async def test_answers_leave_behind_the_last_of_the_turn_and_before_what_comes_after_it(line: Line) -> None:
    """As a busy server has it: a request's task, the end of its turn, the next request's, and somebody else's long work."""
    other = await line_on(line.turn)
    loop, seen = asyncio.get_running_loop(), list[tuple[bytes, bytes]]()

    def answer(answering: Line, body: bytes) -> None:
        answering.held.write(body)
        seen.append((line.arrived(), other.arrived()))

    for answering, body in ((line, b"first"), (other, b"second")):
        loop.call_soon(answer, answering, body)
        answering.begin()
    loop.call_soon(lambda: seen.append((line.arrived(), other.arrived())))
    await asyncio.sleep(0)
    assert seen == [(b"", b""), (b"", b""), (b"first", b"second")]
    other.held.close()
    other.peer.close()


async def test_much_leaves_at_once_behind_what_was_held(line: Line) -> None:
    line.begin()
    line.held.write(b"head")
    line.held.write(bytes(HELD_BYTES_MOST))
    assert line.arrived()[:4] == b"head"
    line.held.write(b"tail")
    await asyncio.sleep(0)
    assert line.arrived()[-4:] == b"tail"


async def test_closing_sends_what_is_held(line: Line) -> None:
    line.begin()
    line.held.write(b"bye")
    line.held.close()
    assert line.arrived() == b"bye"
    assert line.held.is_closing()


def test_what_is_held_for_a_connection_that_has_gone_is_forgotten() -> None:
    """On the loop of the service, which refuses to write to what is closed."""

    async def lose_one() -> tuple[bytes, bytes, list[str]]:
        complaints = list[str]()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        turn = Turn()
        line, other = await line_on(turn), await line_on(turn)
        turn.begin(loop)
        line.held.write(b"lost")
        line.held._transport.abort()
        other.held.write(b"kept")
        await asyncio.sleep(0)
        found = line.arrived(), other.arrived(), complaints
        for end in (line, other):
            end.held.close()
            end.peer.close()
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(lose_one()) == (b"", b"kept", [])


async def test_the_server_answers_many_connections_each_in_its_order() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        number = int(scope["query_string"])
        if number % 3 == 0:
            await asyncio.sleep(0)  # answered in a later turn than it came in
        body = b"%d" % number * (1 if number % 5 else HELD_BYTES_MOST)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async def ask(port: int, numbers: range) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(b"GET /?%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in numbers))
        for number in numbers:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert await reader.readexactly(length) == b"%d" % number * (1 if number % 5 else HELD_BYTES_MOST)
        writer.close()

    with listen("127.0.0.1", 0) as listening:
        async with Server(listening) as server, asyncio.timeout(ANSWER_S):
            server.gate.open(application)
            await asyncio.gather(*(ask(listening.getsockname()[1], range(10 * i, 10 * i + 10)) for i in range(8)))
