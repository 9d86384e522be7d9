"""The hidden command `start`: where a new deployment begins in logs that have records already, as a process of its own.

Kafka and the rules for queries need more than the process of `dgs up`, which stays while the service runs, is to import.
"""

import json
import os
from typing import TYPE_CHECKING

import click

from dgs.cli.check import read_queries
from dgs.config import load
from dgs.core.deployment import Start
from dgs.supervisor import die_with_parent

if TYPE_CHECKING:
    from dgs.bus.kafka.offsets import Moment

_MS_MOST = (1 << 63) - 1


def moment_of(text: str) -> "Moment | None":
    """Return the moment that a text stands for; None if it stands for none."""
    named: dict[str, Moment] = {"earliest": "earliest", "latest": "latest"}
    if text in named:
        return named[text]
    return int(text) if text.isascii() and text.isdecimal() and int(text) <= _MS_MOST else None


@click.command(hidden=True)
@click.argument("at")
@click.option("--parent", type=int, required=True, help="Die with this process.")
@click.option("--queries-fd", type=int, required=True, help="Schema and queries.")
@click.option("--bus", required=True, help="URL of the bus.")
@click.option("--partitions", type=int, required=True, help="Of the records.")
def start(at: str, parent: int, queries_fd: int, bus: str, partitions: int) -> None:
    """Print where each record partition begins, and which orders come before, as the JSON of a `Start`."""
    import asyncio

    from dgs.bus.base import RECORDS
    from dgs.bus.kafka.options import KafkaOptions
    from dgs.bus.open import positions_since
    from dgs.coordinator.queries import install
    from dgs.coordinator.state import State
    from dgs.core.query import read_query
    from dgs.telemetry import logs

    die_with_parent(parent)
    settings = load({}, os.environ)
    logs.set_up(settings.log_level, "start", settings.log_format)
    schema, queries = read_queries(queries_fd)
    state = State()
    for q in queries:
        state = install(state, read_query(q.document, schema), q.name, schema)
    moment = moment_of(at)
    assert moment is not None, "the parent has checked it"
    positions = asyncio.run(positions_since(bus, RECORDS, partitions, moment, KafkaOptions.of(settings)))
    click.echo(json.dumps(Start(at, tuple(positions), tuple(state.pending())).to_json()))
