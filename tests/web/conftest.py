"""A browser, pages that may not err nor talk to strangers, and services to look at."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from dgs.api.page import Page as PageFile
from dgs.api.page import read_page
from dgs.cli.examples import example
from dgs.demo.u2i import generate
from tests.e2e.inputs import Graph, of_files
from tests.e2e.service import Service
from tests.lacking import lacking
from tests.web.browser import MISSING, chromium, find_chromium
from tests.web.mocked import MockedService

ODD_IDS = (9_007_199_254_740_993, -(1 << 63))
"""Users that a double cannot tell from their neighbours."""
NOWHERE = "http://dgs.test"
OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The made-up shop, and users with odd ids in it."""
    folder = tmp_path_factory.mktemp("shop")
    streaming = generate(folder, user_num=20, item_num=100, streaming_epoch=100).streaming
    with (streaming / "u2i.streaming").open("a") as data:
        for user in ODD_IDS:
            data.write(f"user,{user},100,0.5:0.25\nu2i,{user},7,{(1 << 62) + 1},1.5\nu2i,{user},{user},99,0.5\n")
    query = folder / "u2i.json"
    query.write_bytes((example("u2i") / "query.json").read_bytes())
    return of_files(example("u2i") / "schema.json", query, streaming / "u2i.pattern", streaming / "u2i.streaming", "i2i")


@pytest.fixture(scope="session")
def service(shop: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with the shop in it."""
    service = Service(tmp_path_factory.mktemp("service"), *shop.start_flags)
    try:
        service.start()
        loaded = service.load(shop.pattern_file, shop.data_file, "--reversed-edges", "i2i", "--barrier", "loaded")
        assert loaded.code in (0, 5), loaded.err
        service.wait("loaded")
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. It keeps an event loop running in this thread, so it ends with the module.

    Where it is missing tests are skipped; in continuous integration they fail.
    """
    executable = find_chromium()
    if executable is None:
        lacking(MISSING)
    with chromium(executable) as browser:
        yield browser


class Watched:
    """Pages of a context, with all that they asked for and all that went wrong in them."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.context: BrowserContext = browser.new_context(**options)  # type: ignore[arg-type]  # as they come
        self.context.set_default_timeout(10_000)
        self.wrong: list[str] = []
        self.requests: list[str] = []

    def page(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        # What a browser says of an answer that is an error is the business of the test that makes it.
        page.on(
            "console",
            lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") and "Failed to load" not in m.text else None,
        )
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def check(self, origin: str) -> None:
        assert self.wrong == []
        assert self.requests, "nothing was looked at"
        assert [url for url in self.requests if not url.startswith((f"{origin}/", "data:"))] == []


@pytest.fixture
def open_page(browser: Browser, service: Service) -> Iterator[OpenPage]:
    """Open paths of the service in a browser of the first day: nothing is remembered."""
    opened: list[Watched] = []

    def visit(path: str = "/", **options: object) -> Page:
        opened.append(Watched(browser, **options))
        page = opened[-1].page()
        page.goto(f"{service.url}{path}")
        return page

    yield visit
    for watched in opened:
        watched.check(service.url)
        watched.context.close()


@pytest.fixture(scope="session")
def page_file() -> PageFile:
    """The page as it is served."""
    return read_page()


@pytest.fixture
def open_mocked(browser: Browser, page_file: PageFile) -> Iterator[Callable[..., tuple[Page, MockedService]]]:
    """Open paths of a service that is not there: nothing of it but the page itself and what is mocked."""
    opened: list[Watched] = []

    def visit(
        path: str = "/", *, before: Callable[[MockedService], None] | None = None, **options: object
    ) -> tuple[Page, MockedService]:
        opened.append(Watched(browser, **options))
        page = opened[-1].page()
        headers = {**page_file.headers, "content-type": "text/html; charset=utf-8"}

        def served(route: Route) -> None:
            route.fulfill(body=page_file.html, headers=headers)

        page.clock.install()
        page.route(lambda url: urlsplit(url).path == "/", served)
        mocked = MockedService(page, NOWHERE)
        if before is not None:
            before(mocked)
        page.goto(f"{NOWHERE}{path}")
        return page, mocked

    yield visit
    for watched in opened:
        watched.check(NOWHERE)
        watched.context.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser; a browser is never quick."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
