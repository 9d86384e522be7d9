"""The documents are complete, their links lead somewhere, and their examples are true."""

import json
import re
from pathlib import Path
from urllib.parse import urldefrag

import pytest
from dgs_loader.events import Event, lines_of, parser_of
from dgs_loader.mapping import EventMapping
from dgs_loader.parser import Parser
from dgs_loader.pattern import PatternFile
from dgs_loader.reader import Block

from dgs.core.control import BARRIER, DIMENSION, INSTALL
from dgs.core.layout import Dimension, Layouts
from dgs.core.query import KNOWN, LATER, parse_query
from dgs.core.schema import Schema
from dgs.core.strategies import Strategy
from docs.generate.commands import commands
from docs.generate.paths import openapi
from tests.e2e.service import Service
from tests.loader.conftest import records_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def read(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced blocks of one language in a page, in order."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", read(name), re.MULTILINE | re.DOTALL)
    return [text for kind, text in fenced if kind == language]


COMMANDS = commands()


# Complete ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described(name: str) -> None:
    """What its options are, the reference says."""
    assert name in read("docs/cli.md")


@pytest.mark.parametrize("block", [b for page in IDS for b in blocks(page, "sh")])
def test_every_command_line_is_one(block: str) -> None:
    """Commands in examples exist and have the options that are given; what they are given is another matter."""
    for line in block.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] not in ("dgs", "dgs-loader"):
            continue
        name = max((n for n in COMMANDS if words[: len(n.split())] == n.split()), key=len)
        known = {opt for p in COMMANDS[name].params for opt in p.opts}
        assert [w for w in words if w.startswith("--") and w not in known] == []


def test_every_route_is_described() -> None:
    routes = [f"`{method.upper()} {path}" for path, methods in openapi()["paths"].items() for method in methods]
    assert len(routes) > 15
    page = read("docs/http.md")
    assert [r for r in routes if not re.search(re.escape(r) + r"[`?]", page)] == []


def test_every_strategy_and_parameter_is_described() -> None:
    page = read("docs/queries.md")
    assert [s.label for s in Strategy if f"`{s.label}`" not in page] == []
    assert [p for p in KNOWN | LATER.keys() if f"`{p}`" not in page] == []


def test_every_decision_is_in_the_index() -> None:
    index = read("docs/adr/README.md")
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [d.name for d in decisions if f"({d.name})" not in index] == []
    for number, decision in enumerate(decisions, 1):
        text = decision.read_text()
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
        assert re.search(r"^Status: ", text, re.MULTILINE)


def test_the_glossary_says_each_word_once() -> None:
    words = re.findall(r"^- \*\*(.+?)\*\*", read("docs/glossary.md"), re.MULTILINE)
    assert len(words) == len(set(words))
    assert {DIMENSION, BARRIER, "payload", "layout", "slab", "fed row", "control item", "frontend"} <= set(words)
    assert INSTALL not in words, "an install is an order of a query"


# True ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, fragment = urldefrag(target)
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert fragment in {re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", IDS)
def test_json_parses(page: str) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


def test_the_examples_fit_together() -> None:
    schema = Schema.parse(blocks("docs/data-format.md", "json")[0])
    plan = parse_query(blocks("docs/queries.md", "json")[0], schema)
    pattern = PatternFile.parse(blocks("docs/data-format.md", "")[0], schema)
    assert (plan.query_id, len(plan.nodes), len(pattern.patterns), pattern.ignored) == (0, 3, 3, ())


def test_the_events_are_the_lines_that_they_are_said_to_be() -> None:
    schema_text, mapping_text, signup, view, *_ = blocks("docs/data-format.md", "json")
    schema = Schema.parse(schema_text)
    layouts = Layouts(schema, [Dimension("vertex", 0, 2, 2)])
    mapping = EventMapping.parse(mapping_text, schema)
    found = lines_of([Event("clicks", 0, offset, text.encode()) for offset, text in enumerate((signup, view))], mapping)
    by_events = parser_of(mapping, layouts).parse(found.block)
    pattern, data = blocks("docs/data-format.md", "")[:2]
    lines = [line for line in data.splitlines(keepends=True) if f"`{line.rstrip()}`" in read("docs/data-format.md")]
    by_lines = Parser(PatternFile.parse(pattern, schema), layouts).parse(Block("".join(lines).encode(), 1))
    assert (found.letters, by_events.letters, by_lines.letters, len(lines)) == ([], [], [], 2)
    assert records_of(by_events.batch, layouts) == records_of(by_lines.batch, layouts)


@pytest.mark.slow
def test_the_examples_give_the_answer_that_is_shown(tmp_path: Path) -> None:
    pattern, data = blocks("docs/data-format.md", "")[:2]
    files = {
        "schema.json": blocks("docs/data-format.md", "json")[0],
        "looked.json": blocks("docs/queries.md", "json")[0],
        "graph.pattern": pattern,
        "graph.data": data,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    service = Service(tmp_path, "--schema", tmp_path / "schema.json", "--query", tmp_path / "looked.json")
    try:
        service.start()
        assert service.load(tmp_path / "graph.pattern", tmp_path / "graph.data", "--barrier", "loaded").code == 0
        service.wait("loaded")
        answer = service.get("/samples?vid=42").json()
        problem = service.get("/samples?vid=x&fanouts=a").json()
    finally:
        service.stop()
    shown, _, _, refused = map(json.loads, blocks("docs/http.md", "json"))
    # Positions depend on how requests of serving partitions happened to be packed.
    assert answer | {"positions": []} == shown | {"positions": []}
    assert list(answer) == list(shown)
    assert problem == refused
