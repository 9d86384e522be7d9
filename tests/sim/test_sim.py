"""Histories of the simulator: fresh and fixed ones, those that ever failed, and what the simulator itself has to keep."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dgs.testing.loop import VirtualLoop
from tests.sim.bugs import planted
from tests.sim.faults import Crash, DiskRefuses, Fault
from tests.sim.history import Script, run, script
from tests.sim.invariants import ViolationError
from tests.sim.report import explain
from tests.sim.runner import fresh_seed, simulate
from tests.sim.shrink import shrunk
from tests.sim.watchdog import watched

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 60.0 if os.environ.get("CI") else 15.0
FAILED_ONCE = [int(line.split()[0]) for line in (HERE / "regressions.txt").read_text().splitlines() if line and line[0] != "#"]

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # a process that is killed closes no file


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_histories_hold() -> None:
    told: list[str] = []
    start, end_s = fresh_seed(), time.monotonic() + SECONDS
    well = simulate(itertools.count(start), jobs=1, tell=told.append, until=lambda: time.monotonic() >= end_s)
    assert well, "\n".join([f"seeds from {start} on", *told])


def test_what_failed_once_does_not_fail_again() -> None:
    for seed in FAILED_ONCE:
        run(script(seed))


def test_one_seed_is_one_history() -> None:
    seeds = range(3)
    digests = [run(script(seed)).digest for seed in seeds]
    assert [run(script(seed)).digest for seed in seeds] == digests
    assert len(set(digests)) == len(digests)
    code = "from tests.sim.history import run, script\nfor seed in range(3): print(run(script(seed)).digest)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert told.stdout.split() == digests


def test_scripts_have_all_faults() -> None:
    kinds = {type(fault) for seed in range(300) for fault in script(seed).faults}
    assert kinds == set(Fault.__args__)


def test_a_failure_is_shrunk_and_explained() -> None:
    with planted("additions come before removals"):
        seed, whole = next((s, script(s)) for s in itertools.count() if fails(script(s)))
        small = shrunk(whole)
        assert fails(small)
        assert small.seed == seed
        assert not small.faults, "none is needed"
        assert 0 < len(small.workload.steps) < len(whole.workload.steps)
        assert shrunk(whole) == small
        told = explain(seed, "what does not hold")
    assert f"make sim SEEDS={seed}-{seed}" in told
    assert all(f"  {step}\n" in f"{told}\n" for step in small.workload.steps)


def test_what_goes_round_in_circles_is_ended() -> None:
    async def round_and_round() -> None:
        while True:
            try:
                await asyncio.sleep(1)
            except Exception:
                continue

    loop = VirtualLoop()
    timer = signal.getitimer(signal.ITIMER_REAL)
    try:
        with pytest.raises(ViolationError, match="no end after"), watched(0.1):
            loop.run_until_complete(round_and_round())
    finally:
        loop.close()
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer[0] > 0), "that of the test goes on"


def fails(history: Script) -> bool:
    try:
        run(history)
    except Exception:
        return True
    return False


def test_faults_that_do_nothing_are_left_out() -> None:
    with planted("only subscribers are fed"):
        whole = next(
            s for s in map(script, itertools.count()) if fails(s) and any(isinstance(f, Crash | DiskRefuses) for f in s.faults)
        )
        assert shrunk(whole).faults == ()


def test_the_command_counts_and_tells() -> None:
    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tests.sim", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
        )

    told = command("--seeds", "0-3", "--jobs", "2")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("4 histories, 0 violations, ")
    assert "faults: " in told.stdout
    assert len(told.stdout.splitlines()) == 1


def test_a_violation_ends_a_run() -> None:
    told: list[str] = []
    with planted("the coordinator leaves a partition out"):
        assert not simulate(itertools.count(), jobs=1, tell=told.append)
    assert "meet it again: make sim SEEDS=" in told[0]
    assert " 1 violations, " in told[-1]
