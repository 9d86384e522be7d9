"""Limits so low that what is rare in production happens all the time."""

import pytest

from dgs.core import slab
from dgs.core.strings import StringTable


@pytest.fixture(autouse=True)
def rare_things_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slab, "_LEAST", 64)  # nearly every reserve moves memory
    monkeypatch.setattr(StringTable, "wants_sweep", property(lambda _: True))
