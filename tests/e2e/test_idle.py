"""A running service with little to do costs next to nothing."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.service import Service

SECONDS = 8.0
SHARE_MAX = 0.02
"""Of one core, for all processes together."""


def used_s(service: Service) -> dict[int, float]:
    """Seconds of a core that each process of the service has used."""
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    found = {}
    for pid in service.members():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found[pid] = (int(fields[11]) + int(fields[12])) / ticks_per_s
    return found


@pytest.mark.slow
def test_an_idle_service_uses_less_than_a_fiftieth_of_a_core(loaded: Service, figure: Callable[[str], None]) -> None:
    time.sleep(1.0)  # what the load left to do
    before = used_s(loaded)
    assert len(before) == 3
    began = time.monotonic()
    time.sleep(SECONDS)
    passed = time.monotonic() - began
    after = used_s(loaded)
    assert after.keys() == before.keys()
    share = sum(after[pid] - before[pid] for pid in after) / passed
    roles = loaded.members()
    each = ", ".join(f"{roles[pid]} {(after[pid] - before[pid]) / passed:.2%}" for pid in sorted(after))
    figure(f"idle: {share:.2%} of a core ({each})")
    assert share < SHARE_MAX, each
