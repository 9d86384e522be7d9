"""Limits so low that what is rare in production happens all the time, and a disk that syncs as its process is told to."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from unittest.mock import PropertyMock, patch

from dgs.bus import outbox
from dgs.coordinator import checkpoints, truncation
from dgs.core.strings import StringTable
from dgs.sampler import worker as sampler
from dgs.serving import checkpoints as serving_checkpoints
from dgs.serving import image, pace, snapshots, state
from dgs.serving import worker as serving
from dgs.store import participation
from dgs.testing.process import SYNC, running_life
from tests.sim.workload import Workload

LIMITS: dict[ModuleType, dict[str, float]] = {
    outbox: {"_ENTRIES_MOST": 4},
    sampler: {"NOTE_PAUSE_S": 0.03, "UNSENT_BYTES_MOST": 4000, "UNCOMMITTED_BYTES_MOST": 6000},
    serving: {"PACK_REQUESTS": 1, "UNSENT_BYTES_MOST": 1000},
    checkpoints: {"PARTS_WAIT_S": 5.0, "POLL_S": 0.02, "RETRY_FIRST_S": 0.2, "RETRY_MOST_S": 1.0},
    participation: {"POLL_S": 0.1},
    truncation: {"INTERVAL_S": 0.1, "START_S": 0.1},
    serving_checkpoints: {"PREPARE_WAIT_S": 1.0, "PATIENCE_S": 0.1},
    pace: {"PIECE_BYTES_LEAST": 40},
    snapshots: {"MOVED_BYTES_LEAST": 300, "MOVED_SHARE_LEAST": 0.0},
    image: {"PIECE_BYTES": 4000, "TEXTS_A_PIECE": 1},
    state: {"SWEEP_ROWS": 3, "SWEEP_TEXTS": 2},
}


@contextmanager
def low_limits(load: Workload) -> Iterator[None]:
    """Have limits low for the length of a block, those that a workload has among them."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(sampler, "PACK_BYTES", load.pack_bytes))
        stack.enter_context(patch.object(pace, "PIECE_BYTES_MOST", load.piece_bytes))
        stack.enter_context(patch.object(serving, "GATHER_S", load.gather_s))
        for module, values in LIMITS.items():
            for name, value in values.items():
                stack.enter_context(patch.object(module, name, value))
        stack.enter_context(patch.object(StringTable, "wants_sweep", PropertyMock(return_value=True)))
        stack.enter_context(patch.object(os, "fsync", _fsync))
        yield


def _fsync(_: int) -> None:
    """Pass a point in the middle of a write."""
    life = running_life()
    if life is not None:
        life.touch(SYNC)
        if life.process.refused():
            raise OSError("a fault of the simulation: the disk refuses to sync")
