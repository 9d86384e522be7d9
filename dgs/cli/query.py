"""`dgs query`: install queries in a running service, and look at those that are there."""

import json
from pathlib import Path
from urllib.parse import quote

import click

from dgs.cli.files import read_bytes
from dgs.cli.service import connected, retry_option, server_option
from dgs.config import Settings
from dgs.core.errors import InputError


@click.group()
def query() -> None:
    """Install queries and list them."""


@query.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the query.  [default: the file's name without its ending]")
@server_option
@retry_option(Settings().retry_timeout_s)
def install(file: Path, name: str | None, server: str, retry_timeout_s: float) -> None:
    """Install the query in FILE, an install-query JSON document.

    The same query again is fine; another one under a name or id that is taken is refused.

    \b
    Example: dgs query install schemas/u2i/query.json --name u2i
    """
    document = read_bytes(file)
    try:
        json.loads(document)
    except ValueError as e:
        raise InputError(f"{file}: not JSON: {e}") from None
    path = f"/queries?name={quote(file.stem if name is None else name, safe='')}"
    with connected(server, retry_timeout_s) as service:
        answer = service.request("POST", path, document, {"Content-Type": "application/json"}).json()
    click.echo(f"installed {answer['name']} (id {answer['id']})")


@query.command(name="list")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Form of the answer.")
@server_option
@retry_option(0.0)
def list_queries(output: str, server: str, retry_timeout_s: float) -> None:
    """List the installed queries."""
    with connected(server, retry_timeout_s) as service:
        response = service.get("/queries")
    if output == "json":
        click.echo(response.text)
        return
    for q in response.json()["queries"]:
        click.echo(f"{q['id']}\t{q['name']}")


@query.command()
@click.argument("name")
@server_option
@retry_option(0.0)
def show(name: str, server: str, retry_timeout_s: float) -> None:
    """Print the document of the query NAME (a name or an id)."""
    with connected(server, retry_timeout_s) as service:
        answer = service.get(f"/queries/{quote(name, safe='')}").json()
    click.echo(json.dumps(answer["document"], indent=2, ensure_ascii=False))
