"""The hidden command `check`: whether queries fit a schema and a bus can be opened, as a process of its own.

Both are checked by code that needs numpy, which the process of `dgs up` never imports, as it stays while the service runs.
"""

import json
import os
from dataclasses import dataclass
from typing import IO, Any

import click

from dgs.config import load
from dgs.core.errors import InputError, PlanError
from dgs.core.schema import Schema
from dgs.supervisor import die_with_parent


@dataclass(frozen=True, slots=True)
class QueryFile:
    """A query that a user gave: its name, the file that it stood in, and its document."""

    name: str
    source: str
    document: Any


def find_problems(schema: Schema, queries: list[QueryFile]) -> list[str]:
    """Return all that is wrong with the queries, each with its file."""
    from dgs.core.query import read_query

    problems: list[str] = []
    names: dict[str, QueryFile] = {}
    ids: dict[int, QueryFile] = {}
    for q in queries:
        try:
            plan = read_query(q.document, schema)
        except PlanError as e:
            problems += [f"{q.source}: {problem}" for problem in e.problems]
            continue
        twin = ids.setdefault(plan.query_id, q)
        if twin is not q and twin.document != q.document:
            problems.append(f"{q.source}: another query than {twin.source}, but both have the query_id {plan.query_id}")
        twin = names.setdefault(q.name, q)
        if twin is not q and twin.document != q.document:
            problems.append(f"{q.source}: another query than {twin.source}, but both have the name {q.name!r}")
    return problems


def write_queries(file: IO[bytes], schema: Schema, queries: list[QueryFile]) -> None:
    """Write what `read_queries` reads: how queries reach the processes that are started, whatever becomes of their files."""
    documents = [{"name": q.name, "source": q.source, "document": q.document} for q in queries]
    file.write(json.dumps({"schema": schema.document, "queries": documents}).encode())
    file.flush()


def read_queries(descriptor: int) -> tuple[Schema, list[QueryFile]]:
    """Read the file behind an inherited descriptor from its start; several processes may, as the descriptor does not move."""
    document = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    return Schema.parse(json.dumps(document["schema"])), [QueryFile(**q) for q in document["queries"]]


def bus_problems(url: str) -> list[str]:
    """Return what is wrong with the URL of a bus, or with the settings of the environment that it needs."""
    from dgs.bus import open_bus
    from dgs.bus.kafka.options import KafkaOptions

    try:
        open_bus(url, kafka=KafkaOptions.of(load({}, os.environ)))
    except InputError as e:
        return e.problems
    return []


@click.command(hidden=True)
@click.option("--parent", type=int, required=True, help="Die with this process.")
@click.option("--queries-fd", type=int, help="Schema and queries.")
@click.option("--bus", help="URL of the bus.")
def check(parent: int, queries_fd: int | None, bus: str | None) -> None:
    """Print what is wrong with queries and bus, as a JSON array."""
    die_with_parent(parent)
    problems = [] if bus is None else bus_problems(bus)
    if queries_fd is not None:
        problems += find_problems(*read_queries(queries_fd))
    click.echo(json.dumps(problems))
