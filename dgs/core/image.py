"""The image of a slab: its elements as they were at one moment, the cut, taken piece by piece while the slab goes on changing.

Whoever changes elements says so before (`preserve`); what is not taken yet is then copied aside. What was taken, and what came
after the cut, costs nothing. A snapshot of a serving partition is made of such images; nothing here reads or writes a file.
"""

from typing import NamedTuple

from dgs.core.kernels.image import preserve, take_piece
from dgs.core.slab import Slab
from dgs.core.types import Bytes, Int32s


class Part(NamedTuple):
    """The beginning of a slab, as what a state consists of.

    Attributes:
        slab: where it stands.
        units: how many units belong to the state.
        rows: rows of the slab that are one unit, which changes as a whole.
    """

    slab: Slab
    units: int
    rows: int = 1

    @property
    def unit_bytes(self) -> int:
        """Bytes of a unit."""
        return self.slab.row_bytes * self.rows

    @property
    def nbytes(self) -> int:
        """Bytes of all units."""
        return self.units * self.unit_bytes


class Image:
    """What a part held when this object was made.

    The slab may grow meanwhile, but must stay the same object. Memory is taken for units that change before they are taken, and
    given back with the last piece.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._unit_bytes = part.unit_bytes
        self._taken = 0
        self._shadow = Slab("u1", self._unit_bytes)
        self._kept = Slab("u1")
        self._shadow.reserve(part.units)
        self._kept.reserve(part.units)

    @property
    def left(self) -> bool:
        """Whether there is something that has not been taken."""
        return self._taken < self._part.units

    def preserve(self, units: Int32s) -> None:
        """Keep units (int32 [n], repeats allowed) as they are; call it before they change. Those after the cut are passed over."""
        if self.left:
            preserve(
                units,
                self._taken,
                self._part.units,
                self._unit_bytes,
                self._part.slab.address,
                self._shadow.address,
                self._kept.address,
            )

    def take(self, out: Bytes) -> int:
        """Put the next units into `out` (uint8 [n]) and return how many bytes they are; 0 when all are taken.

        Raises:
            ValueError: not even one unit fits.
        """
        if not self.left:
            return 0
        count = min(len(out) // self._unit_bytes, self._part.units - self._taken)
        if not count:
            raise ValueError(f"a unit of {self._unit_bytes} bytes does not fit into {len(out)}")
        begin, self._taken = self._taken, self._taken + count
        live, shadow, kept = self._part.slab.address, self._shadow.address, self._kept.address
        take_piece(begin, self._taken, self._unit_bytes, live, shadow, kept, int(out.__array_interface__["data"][0]))
        if not self.left:
            self._shadow, self._kept = Slab("u1"), Slab("u1")
        return count * self._unit_bytes
