"""What every process of a deployment has: an event loop that SIGTERM ends, and a bus."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Literal, cast
from urllib.parse import quote

import uvloop

from dgs.bus import open_bus
from dgs.bus.base import Bus
from dgs.bus.kafka.options import KafkaOptions
from dgs.config import Settings
from dgs.core.errors import DgsError
from dgs.datadir import DataDir
from dgs.telemetry import logs

_log = logs.get(__name__)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process until SIGTERM, when all that is under way is done; raises what starting again would not mend."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_sigterm(main))


def root_cause(error: BaseException) -> BaseException:
    """Return the error of a group that counts: one that ends the service before any other."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [root_cause(e) for e in error.exceptions]
    return next((e for e in leaves if isinstance(e, DgsError)), leaves[0])


def bus_url(settings: Settings, directory: DataDir) -> str:
    """Return the URL of the bus: the one that was given, or that of the data directory's own log."""
    return settings.bus or f"local://{quote(str(directory.log.absolute()))}"


async def opened_bus(url: str, settings: Settings, stack: AsyncExitStack) -> Bus:
    """Return a bus that is closed with the stack."""
    fsync = cast(Literal["never", "batch"], settings.fsync)
    bus = open_bus(url, fsync=fsync, kafka=KafkaOptions.of(settings))
    stack.push_async_callback(bus.close)
    return bus


async def _until_sigterm(main: Coroutine[Any, Any, None]) -> None:
    """Cancel `main` at the first SIGTERM; that it ends then is its proper end. Further ones do not disturb it."""
    task = asyncio.create_task(main)
    told = False

    def stop() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        await task
    except asyncio.CancelledError:
        _log.info("stopped")
    except BaseExceptionGroup as group:
        raise root_cause(group) from None
