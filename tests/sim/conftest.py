"""Tests of the simulator run histories in this process, without the log of their workers."""

import gc
import logging
from collections.abc import Iterator

import pytest

from tests.sim.runner import get_ready


@pytest.fixture(autouse=True, scope="module")
def ready() -> Iterator[None]:
    get_ready()
    yield
    gc.collect()  # what killed processes have left open goes where no warning counts
    logging.disable(logging.NOTSET)
