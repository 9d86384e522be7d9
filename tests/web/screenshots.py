"""Takes the pictures of docs/page.md: `make screenshots`, or `python -m tests.web.screenshots [FOLDER]`.

It starts a service of its own with the made-up shop, event times as seconds since 1970, and streams updates into it while the
second picture is taken. It is no test; the tests of the page are beside it.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from dgs.cli.examples import example
from dgs.demo.u2i import PATTERN, generate
from tests.e2e.service import Service
from tests.web.browser import MISSING, chromium, find_chromium

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SEED = 42
BEGAN = 1_717_200_000
"""When the shop opened, in seconds since 1970."""
SECONDS_PER_EPOCH = 37
LIVE_S = 25.0


def main(folder: Path) -> None:
    """Write page-ego-graph.png and page-cluster.png into a folder."""
    executable = find_chromium()
    if executable is None:
        sys.exit(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dgs-screenshots-") as temporary:
        work = Path(temporary)
        lines = _shop(work)
        service = Service(work, "--schema", example("u2i") / "schema.json", "--query", work / "u2i.json", "--partitions", 4)
        try:
            service.start()
            _take(service, executable, lines, folder)
        finally:
            service.stop()


def _take(service: Service, executable: str, lines: list[str], folder: Path) -> None:
    work, half = service.folder, len(lines) // 2
    data = work / "shop.data"
    data.write_text("".join(lines[:half]))
    loaded = service.load(work / "shop.pattern", data, "--reversed-edges", "i2i", "--barrier", "first-half")
    assert loaded.code == 0, loaded.err
    service.wait("first-half")
    with chromium(executable) as browser:
        _ego_graph(browser, service, folder / "page-ego-graph.png")
        loader = service.begin_load(work / "shop.pattern", "--reversed-edges", "i2i", "--barrier", "second-half")
        loader.feed(lines[half:], LIVE_S)
        _cluster(browser, service, folder / "page-cluster.png")
        loader.finish()


def _ego_graph(browser: Browser, service: Service, file: Path) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 800}, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{service.url}/?vid={SEED}&scores=true")
    vertices = page.locator('.vertex[aria-label*="hop 1"]')
    expect(vertices).not_to_have_count(0)
    heights = [box["y"] for vertex in vertices.all() if (box := vertex.bounding_box())]
    vertices.nth(heights.index(max(heights))).hover()  # the lowest: its card hides least
    expect(page.locator("#card")).to_be_visible()
    page.screenshot(path=file)
    page.close()


def _cluster(browser: Browser, service: Service, file: Path) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 800}, color_scheme="light")
    page.goto(f"{service.url}/?view=cluster")
    page.wait_for_timeout(LIVE_S * 800)
    page.screenshot(path=file)
    page.close()


def _shop(work: Path) -> list[str]:
    """Write query and pattern; return the lines of the made-up shop, with an hour between its opening and the first update."""
    (work / "u2i.json").write_bytes((example("u2i") / "query.json").read_bytes())
    (work / "shop.pattern").write_text(PATTERN)
    streaming = generate(work / "u2i", user_num=100, item_num=1000, streaming_epoch=8000).streaming / "u2i.streaming"
    lines = []
    for line in streaming.read_text().splitlines(keepends=True):
        fields = line.split(",")
        place = 2 if fields[0] in ("user", "item") else 3
        epoch = int(fields[place])
        fields[place] = str(BEGAN + (3600 + epoch * SECONDS_PER_EPOCH if epoch else 0))
        lines.append(",".join(fields))
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
