"""Snapshots of a serving machine in a world: begun at any entry, written piece by piece between other steps, used after a crash."""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

from dgs.core.deployment import Deployment
from dgs.core.types import PartitionIndex, Position
from dgs.serving.image import StateImage
from dgs.serving.machine import ServingMachine
from dgs.serving.restore import restore
from dgs.store.snapshots import SnapshotDraft, SnapshotFile, SnapshotFolder

Rounds = dict[int, int]
"""Rounds of barriers that have been told."""


class Snapshots:
    """The snapshots of one serving machine.

    Attributes:
        restored: how often a machine went on from one.
    """

    def __init__(self, deployment: Deployment, partition: PartitionIndex) -> None:
        self._deployment = deployment
        self._partition = partition
        path = Path(tempfile.mkdtemp(prefix="dgs-world-"))
        weakref.finalize(self, shutil.rmtree, path)
        self._folder = SnapshotFolder(path)
        self._durable: tuple[SnapshotFile, Rounds] | None = None
        self._taking: tuple[StateImage, SnapshotDraft, Rounds] | None = None
        self._written = False
        self._cut_at = 0
        self.restored = 0

    def start(self) -> tuple[ServingMachine, int, Rounds]:
        """Return a machine as it starts after a crash, or for the first time; with its position, and the rounds that were told."""
        self._drop()
        self._cut_at = 0
        if self._durable is None:
            return ServingMachine(self._deployment, self._partition), 0, {}
        file, rounds = self._durable
        state, position = restore(file, self._deployment, self._partition)
        self._cut_at = position
        self.restored += 1
        return ServingMachine(self._deployment, self._partition, state), position, dict(rounds)

    def may_begin(self, position: int) -> bool:
        """Whether a snapshot would hold more than the last."""
        return self._taking is None and position > self._cut_at

    def may_write(self, unsent: Sequence[int | None]) -> bool:
        """Whether there is a piece to write, or all that was emitted up to the cut is sent.

        Args:
            unsent: per channel, the first number that is not sent; None where there is none.
        """
        if self._taking is None:
            return False
        image, _, _ = self._taking
        return not self._written or all(n is None or n > sent for n, sent in zip(unsent, image.sent, strict=True))

    def begin(self, machine: ServingMachine, position: int, rounds: Rounds) -> None:
        """Make the cut."""
        self._cut_at = position
        image = StateImage(machine.state, Position(position))
        draft = self._folder.draft(image.position)
        draft.add(image.meta)
        self._taking, self._written = (image, draft, dict(rounds)), False

    def write(self, pieces: int) -> bool:
        """Write so many pieces; once the last is written, the next call lets the snapshot count. Return whether that was it."""
        assert self._taking is not None, "none is under way"
        image, draft, rounds = self._taking
        if self._written:
            draft.finish()
            self._durable, self._taking = (self._folder.keep(1)[0], rounds), None
            return True
        for _ in range(pieces):
            if (piece := image.take()) is None:
                break
            draft.add(piece)
        else:
            return False
        if image.abandoned:
            self._drop()
        else:
            self._written = True
        return False

    def _drop(self) -> None:
        if self._taking is not None:
            self._taking[1].discard()
            self._taking = None
