"""What the figures were measured on: cores, processor, Python, and how busy others kept the machine meanwhile."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """A description that stands beside every figure. `load` is the average over a minute, before anything is measured."""

    cores: int
    cpu: str
    memory_gib: float
    system: str
    python: str
    dgs: str
    load: float

    def __str__(self) -> str:
        hardware = f"{self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB"
        return f"{hardware}, {self.system}, Python {self.python}, load {self.load:.1f}"


def this_machine() -> Machine:
    """Describe the machine as it is now."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0] if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return Machine(os.cpu_count() or 1, cpu, memory, system, platform.python_version(), version("dgs"), os.getloadavg()[0])
