"""The page's second view: the deployment, live."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.e2e.inputs import Graph
from tests.e2e.service import Service
from tests.web.conftest import OpenPage
from tests.web.mocked import CLUSTER, MockedService

OpenMocked = Callable[..., tuple[Page, MockedService]]
RECORDS, SERVING = "table:has-text('Record partitions')", "table:has-text('Serving partitions')"


def test_it_shows_the_deployment(open_page: OpenPage, service: Service) -> None:
    page = open_page()
    page.locator("#to-cluster").click()
    expect(page).to_have_url(f"{service.url}/?view=cluster")
    told = service.get("/cluster").json()
    rows = page.locator(f"{RECORDS} tbody tr")
    expect(rows).to_have_count(told["partitions"])
    for sampler, row in zip(told["samplers"], rows.all(), strict=True):
        expect(row).to_contain_text(f"up pid {sampler['pid']}")
        expect(row).to_contain_text(str(sampler["end"]))
    expect(page.locator(f"{SERVING} tbody tr")).to_have_count(told["serving_partitions"])
    cluster = page.locator("#cluster")
    for text in (told["log_id"], "u2i (id 0)", "loaded", "READY", "64.0 MiB of lag"):
        expect(cluster).to_contain_text(text)
    page.go_back()
    expect(page.locator("#ego")).to_be_visible()
    expect(cluster).to_be_hidden()


def test_it_moves_when_data_arrives(open_page: OpenPage, service: Service, shop: Graph) -> None:
    page = open_page("/?view=cluster")
    ends = page.locator(f"{RECORDS} tbody tr td:nth-child(5)")
    expect(ends).not_to_have_count(0)
    before = ends.all_inner_texts()
    news = service.folder / "news"
    news.write_text("".join(f"user,{user},2000,0.5:0.5:0.5:0.5:0.5:0.5:0.5:0.5:0.5:0.5\n" for user in range(200)))
    assert service.load(shop.pattern_file, news, "--reversed-edges", "i2i", "--barrier", "news").code == 0
    service.wait("news")
    expect(ends).not_to_have_text(before)
    expect(ends).to_have_text([str(end) for end in service.get("/cluster").json()["record_ends"]])
    expect(page.locator("#cluster li", has_text="news")).to_contain_text("READY")
    expect(page.locator(".spark polyline").first).to_be_attached()


def test_it_takes_what_older_services_say(open_mocked: OpenMocked) -> None:
    page, _ = open_mocked("/?view=cluster")
    rows = page.locator(f"{RECORDS} tbody tr")
    expect(rows.nth(0)).to_contain_text("100 B")
    assert [bar.get_attribute("aria-label") for bar in page.locator(".bar").all()] == ["90.0 % of the log", "100.0 % of the log"]
    expect(page.locator(SERVING)).to_contain_text("catching up")
    expect(page.locator("#cluster")).to_contain_text("dgs query install FILE")
    assert "undefined" not in page.locator("#cluster").inner_text()
    assert "NaN" not in page.locator("#cluster").inner_text()


def test_a_sampler_that_is_down_and_a_lag_are_seen(open_mocked: OpenMocked) -> None:
    told = {
        **CLUSTER,
        "samplers": [{"partition": 1, "up": False, "pid": None}, {"partition": 0, "up": True, "pid": 9, "lag_seconds": 90.0}],
        "freshness_s": {"p50": 0.004, "p99": 2.5, "samples": 12},
        "dead_letters": 3,
    }
    page, _ = open_mocked("/?view=cluster", before=lambda mocked: mocked.replies.update({"/cluster": (200, told)}))
    rows = page.locator(f"{RECORDS} tbody tr")
    expect(rows.nth(0)).to_contain_text("1.5 min")
    expect(rows.nth(1)).to_contain_text("down")
    tiles = page.locator(".tile")
    expect(tiles.nth(1)).to_contain_text("4.0 msp99 2.5 s, 12 samples")
    expect(tiles.nth(3)).to_contain_text("3see dead-letters/")


def test_it_asks_only_while_it_is_looked_at(open_mocked: OpenMocked) -> None:
    page, mocked = open_mocked("/?view=cluster")
    for _ in range(2):
        with page.expect_request("**/cluster"):
            mocked.change()
    page.locator("#to-ego").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#vid").fill("7")
    page.locator("#watch").click()
    page.locator("#vid").press("Enter")
    for _ in range(2):  # the other view's own rhythm is the measure
        with page.expect_request("**/samples?*"):
            mocked.change()
    assert [url for url in asked if "/cluster" in url] == []
    assert len(mocked.asked) >= 2


def test_a_service_that_is_away_leaves_the_last_figures(open_mocked: OpenMocked) -> None:
    page, mocked = open_mocked("/?view=cluster")
    expect(page.locator("#cluster")).to_contain_text("00c0ffee")
    mocked.change(cluster=None)
    expect(page.locator("#away")).to_be_visible()
    expect(page.locator("#cluster.stale")).to_contain_text("00c0ffee")
    mocked.change(cluster=(200, CLUSTER))
    expect(page.locator("#away")).to_be_hidden()
    expect(page.locator("#cluster.stale")).to_have_count(0)
