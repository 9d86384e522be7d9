"""Runs: items of several channels that are applied together, in the order of the log.

Many small entries cost more than one large one with the same items, so the machine joins what it is given. It may, as packing
carries no meaning.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from dgs.core.blocks import WHOLE, Blocks
from dgs.core.types import Int32s, Int64s


class Run(NamedTuple):
    """Items, and for each the sampler partition that it comes from: int32 [n]."""

    blocks: Blocks
    senders: Int32s

    def slice(self, begin: int, end: int) -> "Run":
        """Return the items from one index up to another."""
        if (begin, end) == (0, len(self.senders)):
            return self
        return Run(self.blocks.take(np.arange(begin, end)), self.senders[begin:end])

    def early_answer(self, begin: int, end: int, sent: Sequence[int]) -> int | None:
        """Return the first whole row behind an item that answers a request which nobody had sent so far; None if there is none.

        Args:
            begin: the item.
            end: where to stop looking.
            sent: per sampler partition, the last number that was emitted before that item.
        """
        heads, at = self.blocks.heads[begin + 1 : end], begin + 1
        wholes: Int64s = np.flatnonzero(heads["kind"] == WHOLE)
        if not len(wholes):
            return None
        early = heads["echo"][wholes] > np.array(sent, np.uint64)[self.senders[at + wholes]]
        return at + int(wholes[early.argmax()]) if early.any() else None


def runs_of(parts: Iterable[tuple[int, Blocks]]) -> Iterator[Run]:
    """Join items, each part with its sender. A part with texts stays alone, as its references are indices into its own texts."""
    for index, group in groupby(enumerate(parts), lambda numbered: numbered[0] if numbered[1][1].strings else -1):
        own = [part for _, part in group]
        assert index < 0 or len(own) == 1, "texts of several entries in one run"
        senders: Int32s = np.repeat(np.array([sender for sender, _ in own], np.int32), [len(blocks) for _, blocks in own])
        yield Run(Blocks.concat([blocks for _, blocks in own]), senders)
