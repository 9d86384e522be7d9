"""An ego-graph to look at in a notebook: tables in HTML, in which nothing of the data is markup.

It works on the plain values of a JSON answer, as `dgs_client.view` does, and only ego-graphs use it.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from dgs_client.view import cell, count, facts, heading

ROWS = 10
"""Rows that a table shows."""


def html(answer: Mapping[str, Any]) -> str:
    """Return an ego-graph as HTML: what it is, its edges by hop, its vertices by type."""
    seed, vertices = answer["seed"], answer["vertices"]
    parts = [f"<p><b>{escape(seed['type'])} {seed['id']}</b>{escape(heading(answer))}<br>{escape(facts(answer))}</p>"]
    for e in sorted(answer["edges"], key=lambda e: (e["hop"], e["operator"])):
        sources, destinations = vertices[e["src_type"]]["ids"], vertices[e["dst_type"]]["ids"]
        rows = [
            [sources[s], destinations[d], *values]
            for s, d, *values in zip(e["src"][:ROWS], e["dst"], e["timestamp"], *e["attrs"].values(), strict=False)
        ]
        title = f"hop {e['hop']}, {e['alias']}: {count(len(e['src']), 'edge', 'edges')}"
        parts.append(_table(title, [e["src_type"], f"→ {e['dst_type']}", "timestamp", *e["attrs"]], rows, len(e["src"])))
    for name, v in vertices.items():
        columns = [v["ids"], v["known"], *v["attrs"].values()]
        rows = [list(row) for row in zip(*(c[:ROWS] for c in columns), strict=True)]
        title = f"{name}: {count(len(v['ids']), 'vertex', 'vertices')}"
        parts.append(_table(title, ["id", "known", *v["attrs"]], rows, len(v["ids"])))
    return "".join(parts)


def _table(title: str, names: Iterable[str], rows: Sequence[Sequence[Any]], total: int) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell(v))}</td>" for v in row) + "</tr>" for row in rows)
    more = f"<p>and {total - len(rows)} more</p>" if total > len(rows) else ""
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
