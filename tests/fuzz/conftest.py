"""Every target runs twice: over the same examples every time, and over fresh ones."""

import pytest

from tests.fuzz.fuzzing import SECONDS, SEED, Fuzzer

ROUND_S_MOST = 60


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Share the time among the fresh runs that were chosen."""
    fresh = [item for item in items if _is_fresh(item)]
    if not fresh:
        return
    share = SECONDS / len(fresh)
    for item in fresh:
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.timeout(share + 2 * ROUND_S_MOST))
    config.stash[_SHARE] = share


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say which examples are tried before any of them ends the interpreter."""
    share = session.config.stash.get(_SHARE, None)
    if share is not None:
        session.config.get_terminal_writer().line(f"fuzzing from seed {SEED}, {share:.1f} s a target")


@pytest.fixture(params=["same", "fresh"])
def fuzzer(request: pytest.FixtureRequest) -> Fuzzer:
    return Fuzzer(request.param == "fresh", request.config.stash.get(_SHARE, 0.0), request.node.nodeid)


_SHARE = pytest.StashKey[float]()


def _is_fresh(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "fuzzer" in item.fixturenames and "fresh" in item.name.rpartition("[")[2]
