"""The page's first view over a real service: what it draws is what `/samples` answers."""

import json
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.inputs import Graph
from tests.e2e.service import Service
from tests.web.conftest import ODD_IDS, OpenPage


def keys(page: Page, of: str) -> list[str]:
    found: list[str] = page.locator(f"#graph {of}").evaluate_all("all => all.map(element => element.dataset.key)")
    return found


def drawn(page: Page) -> tuple[set[str], Counter[str]]:
    return set(keys(page, ".vertex")), Counter(keys(page, ".edge"))


def told(answer: dict[str, Any]) -> tuple[set[str], Counter[str]]:
    """What `drawn` has to be."""
    ids = {name: [f"{name}/{v}" for v in table["ids"]] for name, table in answer["vertices"].items()}
    edges = [
        f"{e['operator']}:{ids[e['src_type']][s]}>{ids[e['dst_type']][d]}@{t}"
        for e in answer["edges"]
        for s, d, t in zip(e["src"], e["dst"], e["timestamp"], strict=True)
    ]
    return {key for column in ids.values() for key in column}, Counter(edges)


def show(page: Page, vid: object) -> None:
    page.locator("#vid").fill(str(vid))
    page.locator("#vid").press("Enter")
    expect(page.locator("#facts")).to_contain_text(f"user {vid}")


def test_all_vertices_and_edges_of_the_answer_are_drawn(open_page: OpenPage, service: Service) -> None:
    page = open_page()
    expect(page.locator("#state")).to_contain_text("Type a vertex id")
    expect(page.locator("#query")).to_have_value("u2i")
    for vid in (7, 19):
        show(page, vid)
        answer = service.get(f"/samples?vid={vid}").json()
        vertices, edges = told(answer)
        assert len(vertices) > 15
        assert edges.total() > 30
        assert drawn(page) == (vertices, edges)
    expect(page).to_have_url(f"{service.url}/?vid=19&query=u2i")
    expect(page.locator("#graph .vertex.unknown")).to_have_count(0)


def test_a_vertex_stands_on_the_ring_of_its_first_hop(open_page: OpenPage, service: Service) -> None:
    page = open_page("/?vid=7")
    expect(page.locator('.vertex[data-key="user/7"]')).to_have_attribute("transform", "translate(0.0 0.0)")
    answer = service.get("/samples?vid=7").json()
    first = {answer["vertices"]["item"]["ids"][row] for row in answer["edges"][0]["dst"]}
    assert first
    items = page.locator('.vertex[data-type="item"]')
    for vid, label in items.evaluate_all("all => all.map(v => [v.dataset.id, v.getAttribute('aria-label')])"):
        assert f"hop {1 if int(vid) in first else 2}" in label


@pytest.mark.parametrize("vid", ODD_IDS)
def test_ids_and_timestamps_that_no_double_holds_survive(open_page: OpenPage, service: Service, vid: int) -> None:
    page = open_page()
    show(page, vid)
    assert drawn(page) == told(service.get(f"/samples?vid={vid}").json())
    assert f"2:user/{vid}>item/7@4611686018427387905" in keys(page, ".edge")
    page.locator("summary").click()
    expect(page.locator("#tables tr", has_text=f"user {vid}").first).to_contain_text("4611686018427387905")
    expect(page).to_have_url(f"{service.url}/?vid={vid}&query=u2i")


def test_a_seed_that_nobody_loaded_is_a_friendly_sight(open_page: OpenPage) -> None:
    page = open_page("/?vid=123456")
    expect(page.locator("#state")).to_contain_text("Nothing is known of user 123456 yet")
    expect(page.locator("#graph .vertex.unknown")).to_have_count(1)
    expect(page.locator("#state.error")).to_have_count(0)


@pytest.mark.parametrize("asked", ["vid=x", "vid=9223372036854775808", "vid=7&query=none", "vid=7&fanouts=1,2,3"])
def test_what_the_service_says_against_a_request_is_shown_as_it_is(open_page: OpenPage, service: Service, asked: str) -> None:
    problem = service.get(f"/samples?{asked}").json()
    page = open_page(f"/?{asked}")
    expect(page.locator("#state.error li")).to_have_text(problem["problems"])
    expect(page.locator("#state h2")).to_have_text(f"{problem['title']} ({problem['status']})")
    expect(page.locator("#graph .vertex")).to_have_count(0)


def test_fanouts_change_the_request_and_the_address(open_page: OpenPage, service: Service) -> None:
    page = open_page("/?vid=7")
    offered = page.locator("#fanouts input")
    expect(offered).to_have_count(2)
    assert [field.get_attribute("max") for field in offered.all()] == ["10", "5"]
    whole = drawn(page)
    offered.nth(0).fill("3")
    offered.nth(1).fill("2")
    offered.nth(1).press("Enter")
    expect(page).to_have_url(f"{service.url}/?vid=7&query=u2i&fanouts=3,2")
    expect(page.locator("#graph .edge")).to_have_count(9)
    assert drawn(page) == told(service.get("/samples?vid=7&fanouts=3,2").json())
    page.reload()
    expect(page.locator("#graph .edge")).to_have_count(9)
    assert [field.input_value() for field in offered.all()] == ["3", "2"]
    show(page, 8)
    page.go_back()
    expect(page.locator("#facts")).to_contain_text("user 7")
    page.go_back()
    expect(page.locator("#graph .edge")).to_have_count(whole[1].total())
    assert page.locator("#vid").input_value() == "7"
    offered.nth(0).fill("11")
    offered.nth(0).press("Enter")
    assert offered.nth(0).evaluate("field => field.validity.rangeOverflow")
    expect(page).to_have_url(f"{service.url}/?vid=7")


def test_the_tables_say_the_same(open_page: OpenPage, service: Service) -> None:
    page = open_page("/?vid=7&scores=true")
    page.locator("summary").click()
    answer = service.get("/samples?vid=7&scores=true").json()
    vertices, edges = page.locator("#tables table").all()
    expect(vertices.locator("tbody tr")).to_have_count(sum(len(t["ids"]) for t in answer["vertices"].values()))
    expect(edges.locator("tbody tr")).to_have_count(sum(len(e["src"]) for e in answer["edges"]))
    first, items = answer["edges"][0], answer["vertices"]["item"]["ids"]
    row = [f"{items[first['dst'][0]]}", str(first["timestamp"][0]), str(first["score"][0]), str(first["attrs"]["weight"][0])]
    expect(edges.locator("tbody tr").first).to_have_text(re.compile(".*".join(map(re.escape, row))))


def test_hovering_shows_what_is_known_of_a_vertex(open_page: OpenPage, service: Service) -> None:
    page = open_page("/?vid=7&scores=true")
    answer = service.get("/samples?vid=7&scores=true").json()
    first, items = answer["edges"][0], answer["vertices"]["item"]
    item = items["ids"][first["dst"][0]]
    page.locator(f'.vertex[data-key="item/{item}"]').hover()
    card = page.locator("#card")
    expect(card).to_contain_text(f"item {item}")
    expect(card).to_contain_text(f"score {first['score'][0]}")
    expect(card).to_contain_text("10 values")
    gap = answer["watermark"] - items["attrs"]["timestamp"][first["dst"][0]]
    expect(card).to_contain_text(f"{gap:,} before the watermark" if gap else "at the watermark")


def test_what_is_copied_works(open_page: OpenPage, service: Service) -> None:
    page = open_page("/?vid=7&fanouts=3,2", permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator("#graph .edge")).to_have_count(9)
    page.locator("#curl").click()
    expect(page.locator("#curl")).to_have_text("Copied")
    curl = str(page.evaluate("navigator.clipboard.readText()"))
    found = re.fullmatch(rf"curl '{re.escape(service.url)}(/samples\?[^']+)'", curl)
    assert found is not None, curl
    assert drawn(page) == told(service.get(found[1]).json())
    page.locator("#python").click()
    expect(page.locator("#python")).to_have_text("Copied")
    code = str(page.evaluate("navigator.clipboard.readText()"))
    assert f'Client("{service.url}").samples(7, query="u2i", fanouts=[3, 2])' in code
    checked = f"{code}\nimport json\nprint(json.dumps(ego.to_dict()['seed']))"
    ran = subprocess.run([sys.executable, "-c", checked], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["id"] == 7


def test_everything_is_within_reach_of_the_keyboard(open_page: OpenPage, service: Service) -> None:
    page = open_page()
    expect(page.locator("#vid")).to_be_focused()
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    seed = page.locator('.vertex[data-key="user/7"]')
    expect(seed).to_be_visible()
    passed: list[str] = []
    while "vertex" not in passed and len(passed) < 20:
        page.keyboard.press("Tab")
        passed.append(
            str(page.evaluate("(document.activeElement.id || document.activeElement.getAttribute('class') || '').split(' ')[0]"))
        )
    assert [x for x in passed if x] == ["query", "scores", "primary", "watch", "vertex"]
    expect(page.locator("#card")).to_contain_text("user 7")
    page.keyboard.press("ArrowUp")
    visited = [page.evaluate("document.activeElement.dataset.key")]
    for _ in range(page.locator('.vertex[aria-label*="hop 1"]').count()):
        page.keyboard.press("ArrowRight")
        visited.append(page.evaluate("document.activeElement.dataset.key"))
    assert visited[0] == visited[-1], "a ring has no end"
    answer = service.get("/samples?vid=7").json()
    assert set(visited) == {f"item/{answer['vertices']['item']['ids'][row]}" for row in answer["edges"][0]["dst"]}
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.key") == visited[-2]
    page.keyboard.press("Escape")
    expect(page.locator("#card")).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(seed).to_be_focused()
    expect(page.locator(".vertex[tabindex='0']")).to_have_count(1)


def test_watching_highlights_what_is_new(open_page: OpenPage, service: Service, shop: Graph) -> None:
    page = open_page("/?vid=3")
    expect(page.locator("#graph .edge")).not_to_have_count(0)
    page.locator("#watch").click()
    expect(page.locator("#watch")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".edge.fresh")).to_have_count(0)
    news = service.folder / "news"
    news.write_text("u2i,3,-77,1000,2.5\n")
    assert service.load(shop.pattern_file, news, "--reversed-edges", "i2i").code == 0
    expect(page.locator('.edge.fresh[data-key="2:user/3>item/-77@1000"]')).to_have_count(1)
    expect(page.locator('.vertex.unknown[data-id="-77"]')).to_have_count(1)
