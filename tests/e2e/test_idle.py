"""A running service with little to do costs next to nothing."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.service import Service

SECONDS = 8.0
WAKEUPS_MAX = 300.0
"""A second, for all processes together: as many as cost what the service costs. A host that is slow is slow for both."""
WAKE_UP = f"""
import asyncio, time

async def main():
    began, used, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < {SECONDS}:
        await asyncio.sleep(0.02)
        count += 1
    print((time.process_time() - used) / count)

asyncio.run(main())
"""
"""A process that does nothing but wake up; it prints what that costs each time, in seconds of a core."""


def used_s(service: Service) -> dict[int, float]:
    """Seconds of a core that each process of the service has used."""
    return {pid: sum(map(thread_s, Path(f"/proc/{pid}/task").iterdir())) for pid in service.members()}


def thread_s(thread: Path) -> float:
    """Seconds of a core that a thread has used; to the nanosecond, unlike /proc/PID/stat."""
    return int((thread / "schedstat").read_text().split()[0]) / 1e9


@pytest.mark.slow
def test_an_idle_service_costs_no_more_than_a_few_wake_ups(loaded: Service, figure: Callable[[str], None]) -> None:
    time.sleep(1.0)  # what the load left to do
    before = used_s(loaded)
    assert len(before) == 3
    began = time.monotonic()
    wakeup_s = float(subprocess.run([sys.executable, "-c", WAKE_UP], check=True, capture_output=True, text=True).stdout)
    passed = time.monotonic() - began
    after = used_s(loaded)
    assert after.keys() == before.keys()
    share = sum(after[pid] - before[pid] for pid in after) / passed
    roles = loaded.members()
    each = ", ".join(f"{roles[pid]} {(after[pid] - before[pid]) / passed:.2%}" for pid in sorted(after))
    wakeups = share / wakeup_s
    figure(f"idle: {share:.2%} of a core ({each}), as {wakeups:.0f} wake-ups a second of {wakeup_s * 1e6:.0f} µs")
    assert wakeups < WAKEUPS_MAX, each
