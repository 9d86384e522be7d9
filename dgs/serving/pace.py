"""How much is applied at a time, so that requests have their turn soon: part of a large entry, or several small ones.

What an entry holds can be applied in pieces, and with others, as packing carries no meaning. How long a byte takes depends on
plans, on rows and on what it runs on, so it is measured as it goes. The serving worker asks for pieces and tells how long each
took; nothing here has a clock.
"""

from collections.abc import Iterable, Iterator

from dgs.bus.base import Entry
from dgs.codec.entries import BlockPack

PIECE_BYTES_LEAST, PIECE_BYTES_MOST = 8 << 10, 256 << 10
"""Smaller pieces would mostly be overhead; larger ones save nothing any more."""
_FIRST_S_PER_BYTE = 5e-8
_WEIGHT = 0.25
"""Of the newest measurement."""
_SHARE = 0.75
"""Of a slice that a piece is to take, so that one and what goes with it fit into it. Smaller ones cost more altogether."""


class Pace:
    """Cuts packs of blocks so that applying a piece takes most of a slice, and not more.

    Args:
        slice_s: how long the event loop may be held.
    """

    def __init__(self, slice_s: float) -> None:
        self._piece_s = slice_s * _SHARE
        self._s_per_byte = _FIRST_S_PER_BYTE

    @property
    def piece_bytes(self) -> int:
        """How large a piece is at present, at most, unless one block is larger."""
        return int(min(max(self._piece_s / self._s_per_byte, PIECE_BYTES_LEAST), PIECE_BYTES_MOST))

    def groups(self, entries: Iterable[Entry]) -> Iterator[list[Entry]]:
        """Yield entries, in order, in groups that make a piece; one that is larger by itself stays alone, see `pieces`."""
        group: list[Entry] = []
        nbytes = 0
        for entry in entries:
            if group and nbytes + len(entry.data) > self.piece_bytes:
                yield group
                group, nbytes = [], 0
            group.append(entry)
            nbytes += len(entry.data)
        if group:
            yield group

    def pieces(self, pack: BlockPack) -> Iterator[BlockPack]:
        """Yield a pack in pieces, in order; the note, which is about all of them, goes with the last."""
        first = pack.first
        blocks = pack.blocks.pieces(self.piece_bytes)
        for piece in blocks[:-1]:
            yield BlockPack(pack.generation, pack.sender, first, piece)
            first += len(piece)
        yield BlockPack(pack.generation, pack.sender, first, blocks[-1], pack.note)

    def expected_s(self, nbytes: int) -> float:
        """Return how long so many bytes will take."""
        return nbytes * self._s_per_byte

    def took(self, nbytes: int, seconds: float) -> None:
        """Take note of how long a piece took. Small ones tell nothing about bytes: they are mostly overhead."""
        if nbytes >= PIECE_BYTES_LEAST // 2:
            self._s_per_byte += _WEIGHT * (max(seconds, 1e-9) / nbytes - self._s_per_byte)
