"""An ego-graph to look at in a terminal: a tree by hop, as plain text or for rich.

It works on the plain values of a JSON answer, so that `dgs sample` shows one without numpy; rich is imported when it is asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.tree import Tree

NEIGHBOURS = 10
"""Neighbours of one vertex that a tree shows."""
ATTRIBUTES = 4
"""Attributes of one vertex or edge that a tree shows."""
CELL = 40
"""Longest text of one value."""
_KNOWN = {True: "known", False: "not known", None: "not looked for"}


@dataclass(slots=True)
class Branch:
    """One line of a tree: texts with their styles, and what hangs below."""

    parts: list[tuple[str, str]]
    children: list["Branch"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The line without styles."""
        return "".join(text for text, _ in self.parts)


def tree(answer: Mapping[str, Any], neighbours: int | None = NEIGHBOURS) -> Branch:
    """Return an ego-graph as a tree: below each vertex its best neighbours of the next hop, `neighbours` at most (None: all)."""
    seed, vertices = answer["seed"], answer["vertices"]
    row = vertices[seed["type"]]["ids"].index(seed["id"])
    root = Branch([(f"{seed['type']} {seed['id']}", "bold"), (heading(answer), "")])
    root.parts += _attributes(vertices[seed["type"]]["attrs"], row)
    root.children = _below(answer, seed["type"], row, 1, neighbours)
    return root


def text(answer: Mapping[str, Any], neighbours: int | None = NEIGHBOURS) -> str:
    """Return the tree as plain text."""
    return "\n".join(_lines(tree(answer, neighbours)))


def rich_tree(answer: Mapping[str, Any]) -> "Tree":
    """Return the tree for a console of rich."""
    from rich.text import Text
    from rich.tree import Tree

    def grown(branch: Branch, into: Tree | None) -> Tree:
        label = Text.assemble(*branch.parts)
        made = Tree(label) if into is None else into.add(label)
        for child in branch.children:
            grown(child, made)
        return made

    return grown(tree(answer), None)


def heading(answer: Mapping[str, Any]) -> str:
    """Return what is said of a seed and its query, behind the seed's name."""
    query = answer["query"]
    return f" ({_KNOWN[answer['seed']['known']]}), query {query['name']}{'' if query['ready'] else ' (not ready yet)'}"


def facts(answer: Mapping[str, Any]) -> str:
    """Return what an answer reflects, on one line."""
    told = [f"watermark {answer['watermark']}", f"positions {', '.join(map(str, answer['positions']))}"]
    if answer["pending"]:
        told.append(f"{answer['pending']} rows still pending")
    if not answer.get("caught_up", True):
        told.append("the service is catching up after its start")
    return "; ".join(told)


def cell(value: Any) -> str:
    """Return a value as a short text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        told, shown = "", 0
        for element in value:
            more = f"{', ' if told else ''}{cell(element)}"
            if len(told) + len(more) > CELL - 10:
                break
            told, shown = told + more, shown + 1
        return told if shown == len(value) else f"{told}, … ({len(value)})"
    if isinstance(value, float):
        return f"{value:.6g}"
    told = str(value)
    return told if len(told) <= CELL else told[: CELL - 1] + "…"


def count(n: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{n} {one if n == 1 else many}"


def _below(answer: Mapping[str, Any], vtype: str, row: int, hop: int, neighbours: int | None) -> list[Branch]:
    found = []
    for edges in answer["edges"]:
        if edges["hop"] != hop or edges["src_type"] != vtype:
            continue
        dst_type = edges["dst_type"]
        vertices = answer["vertices"][dst_type]
        places = [i for i, src in enumerate(edges["src"]) if src == row]
        for i in places[:neighbours]:
            dst = edges["dst"][i]
            line = Branch([(f"{edges['alias']} → ", "dim"), (f"{dst_type} {vertices['ids'][dst]}", "bold")])
            line.parts += [(f"  timestamp {edges['timestamp'][i]}", "cyan"), *_attributes(edges["attrs"], i)]
            line.parts += _attributes(vertices["attrs"], dst)
            line.children = _below(answer, dst_type, dst, hop + 1, neighbours)
            found.append(line)
        if neighbours is not None and len(places) > neighbours:
            found.append(Branch([(f"{edges['alias']} → and {len(places) - neighbours} more", "dim")]))
    return found


def _attributes(columns: Mapping[str, list[Any]], row: int) -> list[tuple[str, str]]:
    there = [(name, values[row]) for name, values in columns.items() if name != "timestamp" and values[row] is not None]
    return [(f"  {name} {cell(value)}", "") for name, value in there[:ATTRIBUTES]]


def _lines(branch: Branch, first: str = "", rest: str = "") -> Iterator[str]:
    yield first + branch.text
    for i, child in enumerate(branch.children):
        last = i == len(branch.children) - 1
        yield from _lines(child, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "))
