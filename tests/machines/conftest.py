"""Limits so low that what is rare in production happens all the time."""

import os

import pytest

from dgs.core import slab
from dgs.core.strings import StringTable
from dgs.serving import image, state


@pytest.fixture(autouse=True)
def rare_things_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # thousands of snapshots; no power is lost here
    monkeypatch.setattr(slab, "_LEAST", 64)  # nearly every reserve moves memory
    monkeypatch.setattr(StringTable, "wants_sweep", property(lambda _: True))
    monkeypatch.setattr(image, "PIECE_BYTES", 64)
    monkeypatch.setattr(image, "TEXTS_A_PIECE", 1)
    monkeypatch.setattr(state, "SWEEP_ROWS", 3)
    monkeypatch.setattr(state, "SWEEP_TEXTS", 2)
