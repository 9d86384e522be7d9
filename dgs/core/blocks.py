"""Blocks: what a sampler partition tells a serving partition about one row, and how rows look in memory.

A block is the net difference that one log entry made to a row (an operator and a vertex), or the whole row in answer to a
subscription. Because a serving row always equals the sampler's row of one block earlier, the difference is told by places and needs
no score to be compared: take the old row without the removed places, put the additions at their places, fill the rest in order,
and cut at `count`. `checksum` asserts that both rows are the same afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dgs.core.types import Bytes, Int64s, Records, UInt16s

SLOT = np.dtype(
    [
        ("score", "<u8"),  # order-preserving bits of the score
        ("tie", "<u8"),  # h: breaks ties
        ("timestamp", "<i8"),
        ("dst", "<i8"),
        ("dst_type", "<i4"),
        (
            "place",
            "<i4",
        ),  # in a block: place in the new row; in a serving table: the destination's row; in a sampler table: 0
    ]
)
"""One sampled edge of a row; 40 bytes. In a vertex row only `timestamp` is meant."""

DELTA, WHOLE, MARK, CONTROL = 1, 2, 3, 4
"""Kinds of items: a difference; a whole row, echoing the subscribe's number; a barrier mark; a control item passed on."""

BLOCK = np.dtype(
    [
        ("kind", "u1"),
        ("reserved", "u1"),
        ("count", "<u2"),  # slots of the row afterwards; of a mark: rounds
        ("added", "<u2"),
        ("removed", "<u2"),
        ("operator", "<i4"),  # of a mark: this round
        ("payload_bytes", "<u4"),
        ("vertex", "<i8"),  # of a mark: the barrier's id
        ("echo", "<u8"),  # of a whole row: number of the subscribe; of a control item: its number
        ("checksum", "<u8"),
    ]
)
"""Head of one item on the channel from a sampler partition to a serving partition; 40 bytes."""

_PLAIN_SLOT, _PLAIN_BLOCK = (np.dtype(f"V{dtype.itemsize}") for dtype in (SLOT, BLOCK))


@dataclass(frozen=True, slots=True)
class Blocks:
    """A run of items of one channel.

    Attributes:
        heads: BLOCK [n].
        additions: SLOT [sum of added], in the order of heads.
        removals: uint16 [sum of removed], places in the old row, ascending within a block.
        payload: uint8 [sum of payload_bytes]; per addition the attributes, of a control item its JSON.
        strings: what string references in `payload` index, where it left the sender's memory.
    """

    heads: Records
    additions: Records
    removals: UInt16s
    payload: Bytes
    strings: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.heads)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return self.heads.nbytes + self.additions.nbytes + self.removals.nbytes + self.payload.nbytes

    def pieces(self, bytes_most: int) -> "list[Blocks]":
        """Return the same blocks, in order, in pieces of that many bytes at most, but at least one block. They share memory."""
        if self.nbytes <= bytes_most:
            return [self]
        heads = self.heads
        added, removed, payload = (heads[name].astype(np.int64) for name in ("added", "removed", "payload_bytes"))
        ends = np.cumsum(BLOCK.itemsize + payload + added * SLOT.itemsize + removed * self.removals.itemsize)
        # Where each block's columns begin; slices of them are no copies.
        additions, removals, payloads = (np.concatenate(([0], np.cumsum(c))).tolist() for c in (added, removed, payload))
        pieces, start = [], 0
        while start < len(heads):
            limit = (int(ends[start - 1]) if start else 0) + bytes_most
            end = max(start + 1, int(np.searchsorted(ends, limit, side="right")))
            pieces.append(
                Blocks(
                    heads[start:end],
                    self.additions[additions[start] : additions[end]],
                    self.removals[removals[start] : removals[end]],
                    self.payload[payloads[start] : payloads[end]],
                    self.strings,
                )
            )
            start = end
        return pieces

    def take(self, which: Int64s) -> "Blocks":
        """Return the blocks at these indices, in this order."""
        heads = self.heads[which]
        return Blocks(
            heads,
            self.additions[_ranges(self.heads["added"], which)],
            self.removals[_ranges(self.heads["removed"], which)],
            self.payload[_ranges(self.heads["payload_bytes"], which)],
            self.strings,
        )

    @staticmethod
    def concat(parts: Sequence["Blocks"]) -> "Blocks":
        """Join runs, in order. Those that have strings must share them."""
        if len(parts) == 1:
            return parts[0]
        strings: list[bytes] = next((p.strings for p in parts if p.strings), [])
        assert all(p.strings is strings for p in parts if p.strings)
        if not parts:
            return Blocks(np.zeros(0, BLOCK), np.zeros(0, SLOT), np.zeros(0, np.uint16), np.zeros(0, np.uint8))
        # numpy joins records field by field, unless it takes them for plain bytes.
        return Blocks(
            np.concatenate([p.heads.view(_PLAIN_BLOCK) for p in parts]).view(BLOCK),
            np.concatenate([p.additions.view(_PLAIN_SLOT) for p in parts]).view(SLOT),
            np.concatenate([p.removals for p in parts]),
            np.concatenate([p.payload for p in parts]),
            strings,
        )


def _ranges(lengths: Records, which: Int64s) -> Int64s:
    """Indices of the elements of the chosen blocks, where block i owns `lengths[i]` consecutive elements."""
    lengths64 = lengths.astype(np.int64)
    starts = np.cumsum(lengths64) - lengths64
    chosen = lengths64[which]
    ends = np.cumsum(chosen)
    total = int(ends[-1]) if len(ends) else 0
    indices: Int64s = np.arange(total, dtype=np.int64) + np.repeat(starts[which] - (ends - chosen), chosen)
    return indices


def single(kind: int, *, vertex: int = 0, operator: int = 0, count: int = 0, echo: int = 0, payload: bytes = b"") -> Blocks:
    """Return one item that is not about a row: a mark or a control item."""
    heads = np.zeros(1, BLOCK)
    heads[0] = (kind, 0, count, 0, 0, operator, len(payload), vertex, echo, 0)
    return Blocks(heads, np.zeros(0, SLOT), np.zeros(0, np.uint16), np.frombuffer(bytearray(payload), np.uint8), [])
