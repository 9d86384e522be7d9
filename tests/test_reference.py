"""The generated reference is what the code says now, and says something about everything."""

import pytest

from dgs.config import SETTINGS
from dgs.core import errors
from dgs.telemetry.metrics import describe
from docs.generate.commands import commands
from docs.generate.pages import FOLDER, pages
from docs.generate.paths import openapi


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", ["settings.md", "cli.md", "http.md", "metrics.md", "errors.md"])
def test_pages_are_up_to_date(made: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_text() == made[name], f"docs/reference/{name} is stale: run `make docs`"


def test_no_other_page_stands_there(made: dict[str, str]) -> None:
    assert {path.name for path in FOLDER.iterdir()} == made.keys()


def test_nothing_is_left_out(made: dict[str, str]) -> None:
    own = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.DgsError)}
    routes = [f"## {method.upper()} {path}\n" for path, methods in openapi()["paths"].items() for method in methods]
    assert len(routes) > 20
    expected = {
        "settings.md": [f"`{s.env}`" for s in SETTINGS],
        "cli.md": [f"## {name}\n" for name in commands()],
        "http.md": routes,
        "metrics.md": [f"`{m.name}`" for m in describe()],
        "errors.md": [f"`{name}`" for name in own],
    }
    assert [(page, text) for page, texts in expected.items() for text in texts if text not in made[page]] == []


def test_pages_say_where_they_come_from(made: dict[str, str]) -> None:
    assert all("`make docs`" in text for text in made.values())


def test_pages_do_not_depend_on_this_machine(made: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("DGS_SERVER", "http://elsewhere:1")
    assert pages() == made
