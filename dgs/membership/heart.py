"""The heart of a member: tells the coordinator about once a second how the member fares, and keeps what it is answered.

The member works on without the coordinator, with what it heard last.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from dgs.core.errors import DgsError, StateError
from dgs.membership.heartbeat import Heartbeat, News
from dgs.telemetry import logs

INTERVAL_S = 1.0
LEAVE_S = REFRESH_S = 1.0
"""So long a member that stops, or a request, waits for the coordinator."""

_log = logs.get(__name__)


class Link(Protocol):
    """The way to the coordinator."""

    async def beat(self, heartbeat: Heartbeat) -> News:
        """Tell how a member fares; return what it is to know.

        Raises:
            StateError: the member does not belong to this deployment.
            DgsError: the coordinator is away, or refuses.
        """


class Heart:
    """The heart of one member.

    Args:
        link: the way to the coordinator.
        heartbeat: returns what to say now.

    Attributes:
        news: what was heard last.
        heard: whether anything was heard yet.
    """

    def __init__(self, link: Link, heartbeat: Callable[[], Heartbeat]) -> None:
        self._link = link
        self._heartbeat = heartbeat
        self._told = ""
        self._refreshing: asyncio.Future[None] | None = None
        self._leaving = False
        self.news = News()
        self.heard = False

    async def run(self) -> None:
        """Beat until cancelled.

        Raises:
            StateError: the member does not belong to the coordinator's deployment.
        """
        while True:
            await self.beat()
            await asyncio.sleep(INTERVAL_S)

    async def leave(self) -> None:
        """Say that the member is stopping, so that nobody asks it any more; whether that is heard or not."""
        self._leaving = True
        with suppress(DgsError, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._beat()

    async def refresh(self) -> None:
        """Hear the news at once, if the coordinator is there; all who ask meanwhile share one beat."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self.beat())
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_S):
                await asyncio.shield(self._refreshing)

    async def beat(self) -> None:
        """Beat once; that the coordinator is away is said in the log, once."""
        try:
            news = await self._beat()
            # A coordinator that has just started does not know all owners yet; one that is gone is passed over by who asks it.
            owners = {s: urls or self.news.owners.get(s, []) for s, urls in news.owners.items()}
            self.news = replace(news, owners=owners)
        except StateError:
            raise
        except DgsError as e:
            if not self._told and self.heard:
                _log.warning("the coordinator does not hear this process, which works on; it is told again", cause=e)
            elif not self._told:
                _log.info("waiting for the coordinator", cause=e)
            self._told = str(e)
        else:
            if self._told:
                _log.info("the coordinator hears this process")
            self._told, self.heard = "", True

    async def _beat(self) -> News:
        return await self._link.beat(replace(self._heartbeat(), leaving=self._leaving))
