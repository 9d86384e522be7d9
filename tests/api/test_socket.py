"""What only a real connection shows: pipelined requests, and bodies that are refused before they have come."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from dgs.core.operators import InstalledQuery
from dgs.http.gate import Application
from dgs.http.listener import listen
from dgs.http.server import Server

ANSWER_S = 10


@dataclass
class Connection:
    """A connection that speaks HTTP by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Read one response."""
        async with asyncio.timeout(ANSWER_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            content = await self.reader.readexactly(int(headers["content-length"])) if body else b""
        return int(head[0].split()[1]), headers, content

    async def closed(self) -> bool:
        """Whether the server has ended the connection."""
        async with asyncio.timeout(ANSWER_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


@pytest.fixture
async def connection(app: Application, installed: InstalledQuery) -> AsyncIterator[Connection]:
    with listen("127.0.0.1", 0) as listening:
        async with Server(listening) as server:
            server.gate.open(app)
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            yield Connection(reader, writer)
            writer.close()


async def test_pipelined_requests_are_answered_in_their_order(connection: Connection) -> None:
    body = b'{"vids": [9]}'
    get = b"GET /samples?vid=%d HTTP/1.1\r\nhost: x\r\n\r\n"
    post = b"POST /samples HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    connection.writer.write(get % 7 + post + b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" + get % 8)
    for expected in (b'"id":7', b'"id":9', b"ok\n", b'"id":8'):
        status, _, content = await connection.answer()
        assert status == 200
        assert expected in content


async def test_a_large_body_is_refused_before_it_comes(connection: Connection) -> None:
    connection.writer.write(b"POST /samples HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
    status, headers, content = await connection.answer()
    assert status == 413
    assert headers["connection"] == "close"
    assert b"body_bytes_max" in content
    assert await connection.closed()


async def test_a_client_that_asks_before_it_sends(connection: Connection) -> None:
    """`Expect: 100-continue` is answered with the refusal, not with an invitation."""
    connection.writer.write(b"POST /queries HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000000000\r\n\r\n")
    assert (await connection.answer())[0] == 413
    assert await connection.closed()


async def test_an_endless_body_is_cut(connection: Connection) -> None:
    connection.writer.write(b"POST /samples HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.writer.write(b"".join(b"400\r\n" + b" " * 1024 + b"\r\n" for _ in range(5)))
    assert (await connection.answer())[0] == 413
    assert await connection.closed()


async def test_a_refused_method_keeps_the_connection(connection: Connection) -> None:
    connection.writer.write(b"HEAD /samples?vid=1 HTTP/1.1\r\nhost: x\r\n\r\nGET /samples?vid=5 HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await connection.answer(body=False))[0] == 405
    assert (await connection.answer())[0] == 200


async def test_a_client_that_goes_away_in_its_body(connection: Connection) -> None:
    connection.writer.write(b"POST /samples HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    await connection.writer.drain()
    connection.writer.close()
    assert await connection.closed()


async def test_a_probe_and_a_path_that_is_no_text(connection: Connection) -> None:
    """What the server makes of HEAD and of a path that is not UTF-8."""
    probe = b"HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    connection.writer.write(probe + b"POST /barriers/a%ffb HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
    assert (await connection.answer(body=False))[0] == 200
    status, _, content = await connection.answer()
    assert status == 422
    assert b"not UTF-8" in content
