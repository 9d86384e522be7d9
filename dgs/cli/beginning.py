"""The hidden command `beginning`: where a new deployment on Kafka begins, looked up and made ready by a process of its own.

Kafka and the rules for queries need more than the process of `dgs up`, which stays while the service runs, is to import.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dgs.cli.check import read_queries
from dgs.config import load
from dgs.core.deployment import Beginning, Deployment
from dgs.core.errors import InputError
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
@click.option("--parent", type=int, required=True, help="Die with this process.")
@click.option("--queries-fd", type=int, required=True, help="Schema and queries.")
@click.option("--at", help="Where the user wants to begin.")
@click.option("--bus", required=True, help="URL of the bus.")
@click.option("--log-id", required=True, help="Of the deployment.")
@click.option("--partitions", type=int, required=True, help="Of the records.")
@click.option("--serving-partitions", type=int, required=True, help="Of the samples.")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="File of the coordinator's state.")
def beginning(
    parent: int, queries_fd: int, at: str | None, bus: str, log_id: str, partitions: int, serving_partitions: int, state: Path
) -> None:
    """Print the JSON of the deployment's beginning, or null; where it has one, save the coordinator's first state."""
    import asyncio

    from dgs.bus.kafka.options import KafkaOptions
    from dgs.bus.open import records_since
    from dgs.coordinator.queries import first_state
    from dgs.coordinator.state_file import StateFile
    from dgs.telemetry import logs

    die_with_parent(parent)
    settings = load({}, os.environ)
    logs.set_up(settings.log_level, "beginning", settings.log_format)
    schema, queries = read_queries(queries_fd)
    deployment = Deployment(log_id, 1, partitions, serving_partitions, schema, bus=bus)
    moment = moment_of(at or "latest")
    assert moment is not None, "the parent has checked it"
    positions = asyncio.run(records_since(deployment, moment, KafkaOptions.of(settings)))
    if at is None:
        if any(positions):
            raise InputError(
                f"the topic of records on {bus} has some already, and it is not said from where on they are to be sampled: give"
                " --start-at earliest, latest or a time, and the queries with --query FILE"
            )
        click.echo("null")
        return
    first = first_state(((q.name, q.document) for q in queries), schema)
    StateFile(state, deployment).save(first)
    click.echo(json.dumps(Beginning(at, tuple(positions), tuple(first.standing())).to_json()))
