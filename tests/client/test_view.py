"""Ego-graphs to look at: trees in a terminal, tables in a notebook; the data cannot pass for markup."""

import io
import re
import subprocess
import sys
from typing import Any

from dgs_client import EgoGraph
from dgs_client.view import NEIGHBOURS, cell, tree
from rich.console import Console

from tests.client.making import CHAIN, HEAD, World, read, samples

NASTY = "[red]<script>alert('x')</script>&amp;"


def small_world() -> World:
    return World(
        CHAIN,
        {(2, 5): [("user", 6, 40, None), ("user", 7, 30, None)], (3, 6): [("item", 5, 9, 0.5)]},
        {("user", 5): {"vec": [0.0, 0.25, 1.0]}, ("item", 5): {"title": NASTY, "timestamp": 3}},
    )


def small() -> EgoGraph:
    return EgoGraph(HEAD, read(small_world().graph([5]))[0])


LINES = [
    "user 5 (known), query dag  vec 0, 0.25, 1",
    "├── follows → user 6  timestamp 40",
    f"│   └── clicked → item 5  timestamp 9  weight 0.5  title {NASTY}",
    "└── follows → user 7  timestamp 30",
]


def test_a_tree_of_plain_text() -> None:
    assert str(small()).splitlines() == LINES


def test_the_same_tree_for_rich() -> None:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as shown:
        console.print(small())
    assert [line.rstrip() for line in shown.get().splitlines()] == LINES


def test_plain_text_needs_no_rich() -> None:
    message = samples(small_world().graph([5])).hex()
    program = f"""
import sys
sys.modules["rich"] = None
from dgs_client import EgoGraphs
print(EgoGraphs.read(bytes.fromhex("{message}"))[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == LINES


def test_many_neighbours_are_cut_short() -> None:
    slots: list[tuple[str, int, int, float | None]] = [("user", v, 99 - v, None) for v in range(10, 13 + NEIGHBOURS)]
    answer = EgoGraph(HEAD, read(World(CHAIN, {(2, 5): slots}).graph([5]))[0]).to_dict()
    below = [branch.text for branch in tree(answer).children]
    assert len(below) == NEIGHBOURS + 1
    assert below[-1] == "follows → and 3 more"
    assert len(tree(answer, 2).children) == 3


def test_a_vertex_that_leads_to_itself_is_shown_once_a_hop() -> None:
    world = World(CHAIN, {(2, 5): [("user", 5, 9, None)]})
    assert str(EgoGraph(HEAD, read(world.graph([5]))[0])).splitlines()[1:] == ["└── follows → user 5  timestamp 9"]


def test_a_notebook_shows_tables_in_which_nothing_is_markup() -> None:
    html = small()._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert re.findall(r"<caption>(.*?)</caption>", html) == [
        "hop 1, follows: 2 edges",
        "hop 2, clicked: 1 edge",
        "user: 3 vertices",
        "item: 1 vertex",
    ]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert ["5", "6", "40"] in rows
    assert ["6", "5", "9", "0.5"] in rows
    assert ["5", "yes", "–", "0, 0.25, 1"] in rows
    assert sorted(re.findall(r"<(\w+)", html)) == sorted([*re.findall(r"</(\w+)", html), "br"])


def test_long_tables_of_a_notebook_are_cut_short() -> None:
    slots: list[tuple[str, int, int, float | None]] = [("user", v, 99 - v, None) for v in range(10, 30)]
    html = EgoGraph(HEAD, read(World(CHAIN, {(2, 5): slots}).graph([5]))[0])._repr_html_()
    assert "and 10 more" in html
    assert "and 11 more" in html


def test_cells() -> None:
    values: list[Any] = [None, True, False, 0.1234567, "x" * 50, [1.5] * 40, [], [None, 1]]
    assert [cell(v) for v in values[:4]] == ["–", "yes", "no", "0.123457"]
    assert cell(values[4]) == "x" * 39 + "…"
    assert cell(values[5]).endswith(", … (40)")
    assert [cell(v) for v in values[6:]] == ["", "–, 1"]
