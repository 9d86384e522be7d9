"""The documents are complete, their links lead somewhere, and their examples are true."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urldefrag

import click
import httpx
import pytest
from dgs_loader.cli import main as dgs_loader
from dgs_loader.pattern import PatternFile

from dgs.api import make_app
from dgs.bus.memory import MemoryBus
from dgs.cli import main as dgs
from dgs.config import SETTINGS, Settings
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.state_file import StateFile
from dgs.core.control import BARRIER, DIMENSION, INSTALL
from dgs.core.deployment import Deployment
from dgs.core.query import KNOWN, LATER, parse_query
from dgs.core.schema import Schema
from dgs.core.strategies import Strategy
from dgs.telemetry.telemetry import Telemetry
from tests.e2e.service import Service

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def read(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced blocks of one language in a page, in order."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", read(name), re.MULTILINE | re.DOTALL)
    return [text for kind, text in fenced if kind == language]


def commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Give every visible command that does something, with its name as users type it."""
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        if not child.hidden:
            yield from commands(child, (*words, name))


COMMANDS = dict([*commands(dgs, ("dgs",)), ("dgs-loader", dgs_loader)])


# Complete ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described(name: str) -> None:
    page = read("docs/cli.md")
    assert name in page
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option) and not p.hidden]
    flags = [opt for o in options for opt in o.opts if opt.startswith("--")]
    assert [f for f in flags if f not in page and f not in ("--help", "--version")] == []


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


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_every_setting_is_described_with_its_default(setting: Any) -> None:
    rows = [line.split("|") for line in read("docs/cli.md").splitlines() if f"`{setting.env}`" in line]
    assert len(rows) == 1, "one line of the table"
    _, flag, _, default, *_ = (cell.strip() for cell in rows[0])
    # The only setting that no flag of `dgs up` gives is told to commands, which leave its unit out.
    assert flag == f"`{setting.flag.removesuffix('-s') if setting.name == 'retry_timeout_s' else setting.flag}`"
    assert default == ("unset" if setting.default is None else str(setting.default))


async def test_every_route_is_described(tmp_path: Path) -> None:
    schema = Schema.parse(blocks("docs/data-format.md", "json")[0])
    deployment = Deployment("log", 1, 1, 1, schema)
    bus = MemoryBus()
    coordinator = Coordinator(deployment, bus, StateFile(tmp_path / "state.json", deployment), bus_url="memory://")
    telemetry = Telemetry.of(bus, tmp_path, tmp_path, clock=time.monotonic, wall_clock=time.time)
    app = make_app(coordinator, [cast(Any, None)], Settings(), telemetry=telemetry)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://service") as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    routes = [f"`{method.upper()} {path}" for path, methods in paths.items() for method in methods]
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
