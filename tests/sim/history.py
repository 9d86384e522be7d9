"""One history: a workload and faults, drawn from a seed, run to rest on an event loop with virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dgs.testing.loop import VirtualLoop
from tests.sim import faults, workload
from tests.sim.deployment import SimDeployment, first_of
from tests.sim.faults import Crash, Fault
from tests.sim.invariants import ViolationError
from tests.sim.limits import low_limits
from tests.sim.watchdog import watched
from tests.sim.workload import Workload

REST_S = 11.0
"""So long nothing may have moved; longer than any pause between attempts."""
WITHIN_S = 300.0
"""So long it may take until then."""
POLL_S = 0.5
LATE_SHARE = 0.25
"""Of histories, in which the logs have records before their deployment."""


@dataclass(frozen=True, slots=True)
class Script:
    """All that decides how a history goes."""

    seed: int
    workload: Workload
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Outcome:
    """What a history was like."""

    digest: str
    entries: int
    answers: int
    crashes: int
    faults: Counter[str] = field(default_factory=Counter)


def script(
    seed: int, kinds: Sequence[str] = (), victims: Sequence[str] = (), *, late_share: float = LATE_SHARE, **shape: Any
) -> Script:
    """Draw any history, or one of a shape; see `faults.draw` and `workload.draw`."""
    rnd, apart = random.Random(seed), random.Random(f"{seed}/late")
    load = workload.draw(rnd, **shape)
    if apart.random() < late_share:
        load = workload.begun_late(load, apart)
    return Script(seed, load, faults.draw(rnd, load, kinds, victims))


def run(script: Script) -> Outcome:
    """Run a history.

    Raises:
        ViolationError: an invariant does not hold, or it never comes to rest, or to an end.
    """
    loop = VirtualLoop()
    loop.set_exception_handler(lambda *_: None)
    try:
        with watched(), low_limits(script.workload), TemporaryDirectory(prefix="dgs-sim-", dir=_memory_folder()) as folder:
            return loop.run_until_complete(_run(script, Path(folder)))
    finally:
        loop.close()


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


async def _run(script: Script, folder: Path) -> Outcome:
    deployment = SimDeployment(script.workload, script.seed, folder)
    running = asyncio.ensure_future(deployment.run())
    playing = asyncio.ensure_future(_play(deployment, script))
    try:
        await asyncio.wait([running, playing], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        playing.result()
        deployment.check_rest()
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    finally:
        for task in (running, playing):
            task.cancel()
        for process in deployment.processes.values():
            process.kill()
        await asyncio.wait([running, playing])
        await asyncio.sleep(0.1)
    return Outcome(
        digest=deployment.invariants.digest.hexdigest(),
        entries=sum(map(len, deployment.logs.journal.values())),
        answers=deployment.invariants.answers,
        crashes=deployment.crashes,
        faults=Counter(type(fault).__name__ for fault in script.faults),
    )


async def _play(deployment: SimDeployment, script: Script) -> None:
    """Do the faults, each at its time, and wait until all is at rest."""
    loop = asyncio.get_running_loop()
    for fault in script.faults:
        if isinstance(fault, Crash):
            await fault.do(deployment)
    timed = [fault for fault in script.faults if not isinstance(fault, Crash)]
    for fault in sorted(timed, key=lambda fault: fault.at_s):
        await asyncio.sleep(fault.at_s - loop.time())
        await fault.do(deployment)
    while not all(loader.done for loader in deployment.loaders.values()) and loop.time() < WITHIN_S / 2:  # noqa: ASYNC110 -- time is free
        await asyncio.sleep(POLL_S)
    deployment.calm()
    seen, since_s = 0, loop.time()
    while loop.time() < WITHIN_S:
        now = sum(map(len, deployment.logs.journal.values()))
        if now != seen or deployment.moving():
            seen, since_s = now, loop.time()
        elif loop.time() - since_s >= REST_S:
            return
        await asyncio.sleep(POLL_S)
    raise ViolationError(f"it does not come to rest: {deployment.moving() or 'entries go on and on'}")
