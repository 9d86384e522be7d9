"""States of the page that a real service is in for a moment only, or hardly ever; the page itself is the real one."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dgs.api.page import Page as PageFile
from tests.web.conftest import NOWHERE
from tests.web.mocked import STARTING, MockedService, answer

OpenMocked = Callable[..., tuple[Page, MockedService]]
BEYOND = 1 << 60


def replies(**changed: Any) -> Callable[[MockedService], None]:
    """Change what is answered, paths without their slash."""
    return lambda mocked: mocked.replies.update({f"/{path}": reply for path, reply in changed.items()})


def test_where_no_query_is_installed_it_says_how_to_install_one(open_mocked: OpenMocked) -> None:
    page, mocked = open_mocked("/?vid=7", before=replies(queries=(200, {"queries": []})))
    expect(page.locator("#state")).to_contain_text("No query is installed")
    expect(page.locator("#state code")).to_have_text(f"dgs query install FILE --server {NOWHERE}")
    mocked.change(queries=(200, {"queries": [{"id": 0, "name": "follows", "ready": True}]}))
    expect(page.locator("#graph .vertex")).to_have_count(10)


@pytest.mark.parametrize("gone", [None, (503, STARTING)], ids=["away", "starting"])
def test_a_service_that_comes_back_is_noticed(open_mocked: OpenMocked, gone: tuple[int, Any] | None) -> None:
    page, mocked = open_mocked("/?vid=7", before=replies(queries=gone, samples=gone))
    expect(page.locator("#state")).to_contain_text("The page asks again by itself.")
    if gone is None:
        expect(page.locator("#away")).to_contain_text("has not answered")
        expect(page.locator("#health")).to_have_text("away")
    else:
        expect(page.locator("#state li")).to_have_text(STARTING["problems"])
    mocked.change(queries=(200, {"queries": [{"id": 0, "name": "follows", "ready": True}]}), samples=(200, answer(7, [1])))
    expect(page.locator("#graph .vertex")).to_have_count(2)
    expect(page.locator("#away")).to_be_hidden()
    expect(page.locator("#health")).to_have_text("live")


def test_what_is_drawn_stays_while_a_watched_service_is_away(open_mocked: OpenMocked) -> None:
    page, mocked = open_mocked("/?vid=7")
    expect(page.locator("#graph .vertex")).to_have_count(10)
    page.locator("#watch").click()
    mocked.change(samples=None)
    expect(page.locator("#away")).to_be_visible()
    expect(page.locator("#graph .vertex")).to_have_count(10)
    mocked.change(samples=(200, answer(7, [1, 2, -3, 4], 2)))
    expect(page.locator('.edge.fresh[data-key="2:user/7>user/4@1714999460"]')).to_have_count(1)
    expect(page.locator("#graph .vertex")).to_have_count(13)
    expect(page.locator("#away")).to_be_hidden()


@pytest.mark.parametrize("by", ["click", "keyboard"])
def test_a_vertex_of_the_seeds_type_becomes_the_seed(open_mocked: OpenMocked, by: str) -> None:
    page, mocked = open_mocked("/?vid=7")
    neighbour = page.locator('.vertex[data-key="user/-3"]')
    expect(neighbour).to_be_visible()
    mocked.replies["/samples"] = (200, answer(-3, [7]))
    if by == "click":
        neighbour.click()
    else:
        page.locator('.vertex[data-key="user/7"]').focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowLeft")
        expect(neighbour).to_be_focused()
        page.keyboard.press("Enter")
    expect(page.locator("#facts")).to_contain_text("user -3")
    expect(neighbour).to_be_focused()
    assert mocked.asked[-1].startswith("/samples?vid=-3")
    page.locator('.vertex[data-key="user/7"]').wait_for()
    page.go_back()
    expect(page.locator("#vid")).to_have_value("7")


def test_fanouts_are_offered_and_asked_in_the_order_of_the_plan(open_mocked: OpenMocked) -> None:
    page, mocked = open_mocked("/")
    labels = page.locator("#fanouts label")
    expect(labels).to_have_text(["Hop 1: follows", "Hop 2: bought"])
    labels.nth(0).locator("input").fill("4")
    page.locator("#vid").fill("7")
    page.locator("#scores").check()
    page.locator("#vid").press("Enter")
    expect(page.locator("#graph .vertex")).not_to_have_count(0)
    assert mocked.asked[-1] == "/samples?vid=7&query=follows&fanouts=4,10&scores=true"


def test_of_several_queries_one_is_chosen(open_mocked: OpenMocked) -> None:
    both = {"queries": [{"id": 0, "name": "follows", "ready": True}, {"id": 1, "name": "it's", "ready": True}]}
    page, mocked = open_mocked("/", before=replies(queries=(200, both)))
    expect(page.locator("#query option")).to_have_text(["choose…", "follows", "it's"])
    mocked.replies["/queries/it's"] = mocked.replies["/queries/it%27s"] = mocked.replies["/queries/follows"]
    page.locator("#vid").fill("7")
    page.locator("#query").select_option("it's")
    expect(page.locator("#graph .vertex")).not_to_have_count(0)
    assert mocked.asked == ["/samples?vid=7&query=it%27s"]


def test_a_large_answer_is_drawn_whole_and_its_labels_are_dropped(open_mocked: OpenMocked) -> None:
    large = answer(BEYOND + 1, [BEYOND + 3 + 2 * i for i in range(25)], 10)
    page, _ = open_mocked(f"/?vid={BEYOND + 1}", before=replies(samples=(200, large)))
    expect(page.locator("#graph .vertex")).to_have_count(276)
    expect(page.locator("#graph .edge")).to_have_count(275)
    expect(page.locator(f'.vertex[data-id="{BEYOND + 51}"]')).to_have_count(1)
    label = page.locator('.vertex[data-id="1007"] text')
    expect(label).to_be_hidden()
    for _ in range(6):
        page.locator("#zoom button").first.click()
    assert label.evaluate("text => getComputedStyle(text).display") != "none"


def test_event_time_that_looks_like_a_date_is_shown_as_one(open_mocked: OpenMocked) -> None:
    page, _ = open_mocked("/?vid=7")
    page.locator('.vertex[data-key="user/2"]').hover()
    expect(page.locator("#card")).to_contain_text("1714996400 · 1.0 h before the watermark · 2024-05-06 11:53:20 UTC")
    expect(page.locator("#card")).to_contain_text("weight 2, 3.0 min before the watermark")
    expect(page.locator("#card")).to_contain_text("64 values")


def test_kinds_of_not_knowing_are_told_apart(open_mocked: OpenMocked) -> None:
    told = answer(7, [1], 4)
    told["vertices"]["user"]["known"] = [True, None]
    told["pending"] = 3
    told["query"]["ready"] = False
    page, _ = open_mocked("/?vid=7", before=replies(samples=(200, told)))
    expect(page.locator("#graph .vertex.unknown")).to_have_count(1)
    expect(page.locator("#graph .vertex.unasked")).to_have_count(1)
    expect(page.locator("#legend")).to_contain_text("no record yet")
    expect(page.locator("#legend")).to_contain_text("record not in the plan")
    expect(page.locator("#facts")).to_contain_text("3 rows on the way")
    expect(page.locator("#facts")).to_contain_text("not in all partitions yet")


def test_edges_to_oneself_twice_and_back_are_all_drawn(open_mocked: OpenMocked) -> None:
    told = answer(7, [1, 7, 1, 7, 1])
    page, _ = open_mocked("/?vid=7", before=replies(samples=(200, told)))
    expect(page.locator("#graph .edge")).to_have_count(5)
    expect(page.locator("#graph .vertex")).to_have_count(2)
    shafts = [shaft.get_attribute("d") for shaft in page.locator(".edge .shaft").all()]
    assert len(set(shafts)) == 5, "no two lie upon each other"
    assert not any("NaN" in str(d) for d in shafts)


def test_what_users_have_stored_is_text_and_nothing_else(open_mocked: OpenMocked) -> None:
    told = answer(7, [1])
    told["vertices"]["user"]["attrs"]["name"] = ["<img src=x onerror=alert(1)>", "</script>"]
    page, _ = open_mocked("/?vid=7", before=replies(samples=(200, told)))
    page.locator('.vertex[data-key="user/7"]').hover()
    expect(page.locator("#card")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("img").count() == 0


def test_copying_works_where_the_browser_has_no_clipboard_for_pages(open_mocked: OpenMocked) -> None:
    page, _ = open_mocked("/?vid=7")
    assert page.evaluate("navigator.clipboard === undefined"), "plain http, not from this host"
    expect(page.locator("#graph .vertex")).not_to_have_count(0)
    page.locator("#curl").click()
    expect(page.locator("#curl")).to_have_text("Copied")
    page.locator("#vid").fill("")
    page.locator("#vid").press("Control+V")
    expect(page.locator("#vid")).to_have_value(f"curl '{NOWHERE}/samples?vid=7&query=follows'")


def brightness(page: Page) -> float:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)")
    return float(sum(colour))


def test_it_is_dark_where_the_system_is_or_the_user_wants(open_mocked: OpenMocked) -> None:
    page, _ = open_mocked("/?vid=7", color_scheme="dark")
    assert brightness(page) < 150
    page.locator("#theme").click()
    assert brightness(page) > 600
    page.reload()
    assert brightness(page) > 600, "the choice is kept"
    light, _ = open_mocked("/", color_scheme="light")
    assert brightness(light) > 600


@pytest.mark.parametrize("path", ["/?vid=7", "/?view=cluster"])
def test_a_narrow_screen_needs_no_scrolling_sideways(open_mocked: OpenMocked, path: str) -> None:
    page, _ = open_mocked(path, viewport={"width": 360, "height": 740})
    page.locator(".vertex, .tile").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_moves_where_the_user_wants_no_motion(open_mocked: OpenMocked) -> None:
    page, mocked = open_mocked("/?vid=7", reduced_motion="reduce")
    page.locator("#watch").click()
    mocked.change(samples=(200, answer(7, [1, 2, -3, 4], 2)))
    fresh = page.locator(".edge.fresh .shaft").first
    assert fresh.evaluate("shaft => getComputedStyle(shaft).animationName") == "none"


def test_the_file_needs_nothing_else(page_file: PageFile) -> None:
    text = page_file.html.decode()
    assert len(page_file.compressed) < 24_000
    assert "innerHTML" not in text
    assert ' style="' not in text, "its policy would not let it"
