"""What a run of the simulator says: one line of counts at its end, and how to meet a failure again."""

import subprocess
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.sim.history import Outcome, script
from tests.sim.shrink import shrunk

ROOT = Path(__file__).parents[2]


@dataclass
class Tally:
    """The counts of a run."""

    histories: int = 0
    entries: int = 0
    answers: int = 0
    crashes: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one more history."""
        self.histories += 1
        self.entries += outcome.entries
        self.answers += outcome.answers
        self.crashes += outcome.crashes
        self.faults += outcome.faults

    def line(self, violations: int, seconds: float) -> str:
        """Return all of it in one line."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        return (
            f"{self.histories} histories, {violations} violations, {self.entries} entries, {self.answers} answers checked,"
            f" {self.crashes} crashes; faults: {kinds or 'none'}; {seconds:.1f} s"
        )


def explain(seed: int, failure: str) -> str:
    """Return what to do about a seed whose history fails: how to meet it again, and the smallest history that fails like it."""
    small = shrunk(script(seed))
    load = small.workload
    lines = [
        f"seed {seed} at commit {_commit()}: {failure}",
        f"meet it again: make sim SEEDS={seed}-{seed}",
        f"when it is mended, add {seed} to tests/sim/regressions.txt",
        f"shrunk: {replace(load, steps=())}",
        *(f"  plan {plan}" for plan in load.plans),
        *(f"  {step}" for step in load.steps),
        *(f"  {fault}" for fault in small.faults),
    ]
    return "\n".join(lines)


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10
    )
    return found.stdout.strip() or "unknown"
