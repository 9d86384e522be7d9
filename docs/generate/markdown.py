"""Markdown for generated pages: a head that says where a page comes from, and tables."""

from collections.abc import Iterable, Sequence


def page(title: str, introduction: str, sections: Iterable[str]) -> str:
    """Return a page."""
    note = "<!-- Generated from the code by `make docs`; change it there. -->"
    return "\n\n".join([f"# {title}", note, introduction, *(s.strip("\n") for s in sections)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells may hold anything."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(text: object) -> str:
    """Return a text as code."""
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()
