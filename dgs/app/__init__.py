"""The composition root: puts the parts together to processes. Only here a bus, a store and the clock become real ones.

A process runs some of three: the coordinator (`coordinating`), serving partitions (`serving`), sampler partitions (`sampling`).
Each of these modules knows how to put its own together; `processes` says which of them a process has. Nothing here knows what the
parts do.
"""

from dgs.app.processes import run_coordinator, run_frontend, run_samplers, run_serving

__all__ = ["run_coordinator", "run_frontend", "run_samplers", "run_serving"]
