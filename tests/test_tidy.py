"""House style that no linter checks."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("dgs", "loader", "client")
LINES_MAX = 400
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

GENERATED = "*_pb2.py"
MODULES = [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py")) if not p.match(GENERATED)]
SOURCES = [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "perf").rglob("*.py"))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_modules_are_found() -> None:
    assert len(MODULES) > 80


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert not text or ast.get_docstring(ast.parse(text)), "only an empty file needs no words"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


def test_module_names_say_what_is_inside() -> None:
    assert [name(p) for p in SOURCES if {p.stem, p.parent.name} & EMPTY_NAMES] == []


def test_nothing_is_put_off_in_a_comment() -> None:
    put_off = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = [f"{name(p)}:{i}" for p in SOURCES for i, line in enumerate(p.read_text().splitlines(), 1) if put_off.search(line)]
    assert found == []


def test_no_merge_was_left_half_done() -> None:
    texts = [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    marked = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert [name(p) for p in texts if marked.search(p.read_text())] == []


def test_exports_exist() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text())
        bound = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        for node in tree.body:
            if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
                assert set(ast.literal_eval(node.value)) <= bound, name(path)


def test_types_of_the_core_are_all_used() -> None:
    """A name that nobody uses is a name too many."""
    tree = ast.parse((ROOT / "dgs" / "core" / "types.py").read_text())
    names = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    others = "\n".join(p.read_text() for p in MODULES if p.name != "types.py")
    assert {n for n in names if not re.search(rf"\b{n}\b", others)} == set()
