"""An image is what the slab held at the cut, whatever is written, and however the slab grows, between its pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.image import Image, Part
from dgs.core.slab import Slab
from dgs.core.types import Bytes, Int32s

WRITE, TAKE, GROW = "write", "take", "grow"


def as_rows(rows: list[int]) -> Int32s:
    return np.array(rows, np.int32)


def taken(image: Image, out: Bytes) -> bytes:
    """The next piece, copied."""
    return out[: image.take(out)].tobytes()


@settings(max_examples=200, deadline=None)
@given(
    units=st.integers(0, 300),
    rows=st.sampled_from([1, 3]),
    shape=st.sampled_from([("u1", None), ("<i8", None), ("u1", 5)]),
    piece=st.integers(15, 900),
    steps=st.lists(
        st.tuples(st.sampled_from([WRITE, WRITE, TAKE, GROW]), st.lists(st.integers(0, 320), max_size=9), st.integers(0, 255)),
        max_size=40,
    ),
)
def test_an_image_is_a_copy_made_at_the_cut(
    units: int,
    rows: int,
    shape: tuple[str, int | None],
    piece: int,
    steps: list[tuple[str, list[int], int]],
) -> None:
    slab = Slab(*shape)
    slab.reserve(400 * rows)
    memory = slab.array.reshape(-1).view(np.uint8)
    memory[:] = np.arange(len(memory)) % 251
    part = Part(slab, units, rows)
    expected = memory[: part.nbytes].tobytes()
    del memory
    image, found, out = Image(part), b"", np.empty(max(piece, part.unit_bytes), np.uint8)
    for kind, changed, value in steps:
        if kind == WRITE:
            image.preserve(as_rows(changed))
            for unit in changed:
                slab.array[unit * rows : (unit + 1) * rows] = value
        elif kind == TAKE:
            found += taken(image, out)
        else:
            slab.reserve(len(slab.array) + 1)
    while data := taken(image, out):
        assert len(data) <= len(out)
        found += data
    assert found == expected
    assert not image.left
    image.preserve(as_rows([0, 1]))  # nobody needs it any more


def test_a_unit_that_does_not_fit_is_refused() -> None:
    slab = Slab("u1", 8)
    slab.reserve(10)
    with pytest.raises(ValueError, match="a unit of 16 bytes does not fit into 15"):
        Image(Part(slab, 2, 2)).take(np.empty(15, np.uint8))


def test_only_what_changes_takes_memory_and_what_is_taken_none() -> None:
    """The shadow is there for units that changed before they were taken; a unit is kept once."""
    slab = Slab("<i4")
    slab.reserve(1000)
    image, out = Image(Part(slab, 1000)), np.empty(400, np.uint8)
    slab.array[:1000] = 1
    image.preserve(as_rows([700]))
    slab.array[700] = 2
    image.preserve(as_rows([700, 700]))
    slab.array[700] = 3
    pieces = [np.frombuffer(taken(image, out), "<i4") for _ in range(10)]
    assert all((p == 1).all() for p in pieces)
    assert image.take(out) == 0
