"""`dgs sample`: ask a service for one ego-graph, and show it."""

from typing import Any

import click
from dgs_client.view import cell, count, facts, heading, text

from dgs.cli.service import connected, retry_option, server_option

ROWS = 20


@click.command(context_settings={"ignore_unknown_options": True})  # else -5 would be an option, not a vertex
@click.argument("vid", type=click.IntRange(-(1 << 63), (1 << 63) - 1))
@click.option("--query", "query_name", metavar="Q", help="Name or id of the query; not needed while there is exactly one.")
@click.option(
    "--output", type=click.Choice(["table", "tree", "json"]), default="table", show_default=True, help="Form of the answer."
)
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=ROWS,
    show_default=True,
    help="Rows that a table shows, and neighbours of one vertex in a tree; 0 for all.",
)
@server_option
@retry_option(0.0)
def sample(vid: int, query_name: str | None, output: str, rows: int, server: str, retry_timeout_s: float) -> None:
    """Ask for the ego-graph of the vertex VID.

    \b
    Example: dgs sample 42 --query u2i
    """
    params: dict[str, object] = {"vid": vid} | ({} if query_name is None else {"query": query_name})
    with connected(server, retry_timeout_s) as service:
        response = service.get("/samples", params)
    if output == "json":
        click.echo(response.text)
    elif output == "tree":
        click.echo(text(response.json(), rows or None))
    else:
        show(response.json(), rows)


def show(answer: dict[str, Any], rows: int = ROWS) -> None:
    """Print an ego-graph as tables: what it is, its vertices by type, its edges by hop."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # whoever reads a file or a pipe has room
    seed = answer["seed"]
    console.print(f"[bold]{seed['type']} {seed['id']}[/bold]{heading(answer)}")
    console.print(facts(answer))
    for name, vertices in answer["vertices"].items():
        console.print(_vertices(name, vertices, rows))
    for edges in sorted(answer["edges"], key=lambda e: (e["hop"], e["operator"])):
        console.print(_edges(edges, answer["vertices"], rows))


def _vertices(name: str, vertices: dict[str, Any], rows: int) -> Any:
    table = _table(f"{name}: {count(len(vertices['ids']), 'vertex', 'vertices')}")
    attrs = vertices["attrs"]
    for column in ("id", "known", *attrs):
        table.add_column(column, justify="right" if column == "id" else "left")
    shown = rows or len(vertices["ids"])
    for row, (vertex, known) in enumerate(zip(vertices["ids"], vertices["known"], strict=True)):
        if row < shown:
            table.add_row(str(vertex), _cell(known), *(_cell(values[row]) for values in attrs.values()))
    table.caption = _left_out(len(vertices["ids"]) - shown)
    return table


def _edges(edges: dict[str, Any], vertices: dict[str, Any], rows: int) -> Any:
    sources, destinations = vertices[edges["src_type"]]["ids"], vertices[edges["dst_type"]]["ids"]
    title = f"hop {edges['hop']}, {edges['alias']}: {count(len(edges['src']), 'edge', 'edges')}"
    table = _table(title)
    table.add_column(edges["src_type"], justify="right")
    table.add_column(edges["dst_type"] if edges["dst_type"] != edges["src_type"] else f"→ {edges['dst_type']}", justify="right")
    attrs = {"timestamp": edges["timestamp"], **{k: v for k, v in edges["attrs"].items() if k != "timestamp"}}
    for column in attrs:
        table.add_column(column)
    shown = rows or len(edges["src"])
    for row, (src, dst) in enumerate(zip(edges["src"], edges["dst"], strict=True)):
        if row < shown:
            table.add_row(str(sources[src]), str(destinations[dst]), *(_cell(values[row]) for values in attrs.values()))
    table.caption = _left_out(len(edges["src"]) - shown)
    return table


def _table(title: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _cell(value: Any) -> str:
    return cell(value).replace("[", "\\[")  # texts of users may look like rich's markup


def _left_out(n: int) -> str | None:
    return f"and {n} more; --rows 0 shows all" if n > 0 else None
