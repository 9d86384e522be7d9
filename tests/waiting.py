"""Tests that run beside the workers that they watch wait here for what they shall see."""

import asyncio
from collections.abc import Callable

LIMIT_S = 30.0


async def until(condition: Callable[[], object]) -> None:
    """Return once a condition holds; other tasks run meanwhile.

    Raises:
        TimeoutError: it does not within `LIMIT_S`.
    """
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110  # what it looks at tells nobody
            await asyncio.sleep(0.002)
