"""The simulator can fail: it finds each planted bug within a number of seeds, from the same one on."""

import pytest

from tests.sim.bugs import BUGS, planted
from tests.sim.history import run

SEEDS = 100
"""Within so many; most bugs take fewer than ten, and none shows in less than a twentieth of its histories."""

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # a process that is killed closes no file


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    for seed in range(SEEDS):
        history = BUGS[name].script(seed)
        with planted(name):
            try:
                run(history)
            except Exception:
                break
    else:
        pytest.fail(f"{SEEDS} seeds, and nothing was noticed")
    run(history)  # without the bug nothing is wrong with it
