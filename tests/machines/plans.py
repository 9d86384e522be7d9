"""Hypothesis strategies: any plan of one to four operators over the test schema, and any history of records."""

import random
from typing import Any

from hypothesis import strategies as st

from dgs.testing.draws import plan, record
from dgs.testing.graph import Raw


def plans() -> st.SearchStrategy[dict[str, Any]]:
    """Install-query documents."""
    return _randoms().map(plan)


def histories() -> st.SearchStrategy[list[list[Raw]]]:
    """Batches of records."""
    return st.lists(st.lists(_randoms().map(record), min_size=1, max_size=6), max_size=25)


def _randoms() -> st.SearchStrategy[random.Random]:
    return st.randoms(use_true_random=False)
