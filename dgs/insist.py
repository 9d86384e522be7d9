"""Doing something again and again until it goes well, while it fails in a way that says that it may succeed later."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dgs.backoff import Backoff
from dgs.core.errors import DgsError
from dgs.telemetry import logs

_log = logs.get(__name__)
T = TypeVar("T")

RETRY_FIRST_S, RETRY_LAST_S = 0.2, 5.0


async def insist(what: str, call: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Call with these arguments until that goes well, and return what it returns; `what` is told in the log where it does not.

    Raises:
        DgsError: it failed with an error that is not `retriable`.
    """
    backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
    told = ""
    while True:
        try:
            return await call(*arguments)
        except DgsError as e:
            if not e.retriable:
                raise
            if str(e) != told:
                _log.warning("trying again until it succeeds", what=what, cause=e)
            told = str(e)
        await asyncio.sleep(backoff.next())
