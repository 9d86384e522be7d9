"""What the system tells about a process: CPU time and memory. Linux only, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """Bytes that a process has in memory: all (rss), and what no other process shares (uss)."""

    rss: int
    uss: int


def children_of(pid: int) -> dict[str, list[int]]:
    """Return the children of a supervisor by role: "frontend" and "sampler", of a cluster "coordinator", "sampler" and "serve"."""
    found: dict[str, list[int]] = {"frontend": [], "sampler": [], "coordinator": [], "serve": []}
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        for role, own in found.items():
            if role in words:
                own.append(child)
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it does not only wait to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used so far, in steps of a clock tick (mostly 10 ms)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> Memory:
    """Return how much memory a process takes now."""
    kib: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        kib[name] = int(value.split()[0])
    return Memory(kib["Rss"] * 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024)


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder; one that is deleted meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
