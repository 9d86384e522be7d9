"""Slabs grow in place, zero filled, and refuse to move memory that someone looks at."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.blocks import SLOT
from dgs.core.slab import HUGE_BYTES, Slab


@pytest.mark.parametrize(("dtype", "columns"), [("u1", None), ("<i4", None), ("<u8", 3), ("u1", 7), ("u1", 100_000)])
def test_growth_keeps_contents_and_new_elements_are_zero(dtype: str, columns: int | None) -> None:
    slab, used = Slab(dtype, columns), 0
    for rows in (1, 5, 6, 300, 4):
        array = slab.reserve(rows)
        assert array is slab.array
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert len(array) >= rows
        assert (array[:used] == 7).all()
        assert not array[used:].any()
        used = max(rows, used)
        array[:used] = 7
        del array
    assert slab.array.shape[1:] == (() if columns is None else (columns,))
    assert slab.nbytes >= slab.array.nbytes


def test_records_have_all_their_fields() -> None:
    slab = Slab(SLOT)
    slab.reserve(1000)["dst"][999] = -5
    assert slab.reserve(100_000)["dst"][999] == -5
    assert slab.array.dtype == SLOT


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 20_000), max_size=8), st.sampled_from([None, 1, 3]))
def test_room_is_at_least_what_was_asked_for_and_never_shrinks(asked: list[int], columns: int | None) -> None:
    slab, most = Slab("<i4", columns), 0
    assert len(slab.array) == 0
    for rows in asked:
        before = len(slab.array)
        slab.reserve(rows)
        most = max(most, rows)
        assert len(slab.array) >= max(most, before)


def test_growth_under_a_view_is_refused_and_the_slab_stays_as_it_was() -> None:
    slab = Slab("<i4", 2)
    held = slab.reserve(10)
    held[3] = 5
    with pytest.raises(BufferError):
        slab.reserve(1_000_000)
    assert slab.array.shape == held.shape
    assert slab.array[3].tolist() == [5, 5]
    assert slab.reserve(10)[3].tolist() == [5, 5]
    del held
    assert slab.reserve(1_000_000)[3].tolist() == [5, 5]


def test_an_array_taken_out_counts_as_a_view() -> None:
    slab = Slab("<i4")
    part = slab.reserve(10)[2:4]
    with pytest.raises(BufferError):
        slab.reserve(1_000_000)
    assert part.tolist() == [0, 0]
    copied = np.array(part)
    del part
    slab.reserve(1_000_000)
    assert copied.tolist() == [0, 0]


def test_large_slabs_ask_for_huge_pages_also_after_they_have_grown() -> None:
    slab = Slab("u1")
    slab.reserve(HUGE_BYTES // 2)
    assert "hg" not in _flags(slab.address)
    for size in (HUGE_BYTES, 8 * HUGE_BYTES):
        slab.reserve(size)
        assert ("hg" in _flags(slab.address)) == _has_huge_pages()


def _has_huge_pages() -> bool:
    return hasattr(mmap, "MADV_HUGEPAGE") and Path("/sys/kernel/mm/transparent_hugepage").exists()


def _flags(address: int) -> list[str]:
    """What the system knows about the mapping at an address; nothing where it does not tell."""
    smaps = Path("/proc/self/smaps")
    inside = False
    for line in smaps.read_text().splitlines() if smaps.exists() else []:
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            begin, end = (int(part, 16) for part in first.split("-"))
            inside = begin <= address < end
        elif inside and first == "VmFlags:":
            return rest
    return []
