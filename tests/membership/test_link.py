"""The way to a coordinator elsewhere, while that is silent."""

import asyncio
import socket

import pytest

from dgs.membership import link as links
from dgs.membership.link import HttpLink
from tests.membership.test_heart import BEAT


async def test_who_gives_up_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "TIMEOUT_S", 20.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = HttpLink(f"127.0.0.1:{silent.getsockname()[1]}")
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await link.beat(BEAT)
        link.close()
        async with asyncio.timeout(10):
            await asyncio.get_running_loop().shutdown_default_executor()
