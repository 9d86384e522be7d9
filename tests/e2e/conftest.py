"""Services and graphs for tests of real processes, and the figures that these tests have measured."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.inputs import Graph, write_graph
from tests.e2e.service import Service

FIGURES = pytest.StashKey[list[str]]()
NewService = Callable[..., Service]


@pytest.fixture
def new_service(tmp_path: Path) -> Iterator[NewService]:
    """Make services, each with its `dgs up` arguments and folder; whatever becomes of the test, nothing of them is left."""
    made: list[Service] = []

    def make(*arguments: object) -> Service:
        folder = tmp_path / f"service-{len(made)}"
        folder.mkdir()
        made.append(Service(folder, *arguments))
        return made[-1]

    yield make
    for service in made:
        service.stop()


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A small graph."""
    return write_graph(tmp_path_factory.mktemp("graph"), 4000)


@pytest.fixture(scope="module")
def loaded(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with the small graph in it, shared by the tests of a module, which only look, or load more of the same."""
    service = Service(tmp_path_factory.mktemp("loaded"), *graph.start_flags)
    try:
        service.start()
        ended = service.load(graph.pattern_file, graph.data_file, "--barrier", "loaded")
        assert ended.code == 0, ended.err
        service.wait("loaded")
        yield service
    finally:
        service.stop()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Take a line that is shown at the end of the run."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures."""
    if figures := terminalreporter.config.stash.get(FIGURES, []):
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)
