"""`dgs inspect`: look into a data directory, of a service that runs or is stopped; nothing in it is changed.

The commands read options and print; what they print comes from `dgs.inspection`.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dgs.cli.inspect_text import dead_letters_text, logs_text, partition_text, vertex_text
from dgs.config import load
from dgs.core.errors import CodecError, InputError

if TYPE_CHECKING:
    from dgs.inspection.subject import Subject

F = TypeVar("F", bound=Callable[..., Any])

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="DGS_DATA_DIR",
    show_envvar=True,
    required=True,
    metavar="PATH",
    help="The data directory of a `dgs up`.",
)
output_option = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form of the answer."
)


@click.group()
def inspect() -> None:
    """Look into a data directory, while its service runs or not. Nothing in it is changed."""


@inspect.command()
@click.argument("topic", required=False)
@click.argument("partition", type=click.IntRange(min=0), required=False)
@data_dir_option
@click.option(
    "--from", "start", type=click.IntRange(min=0), metavar="POSITION", help="Begin here.  [default: the first entry kept]"
)
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Show so many entries; 0 for all.")
@click.option("--verify", is_flag=True, help="Show none: read them all, and fail at the first damage.")
@output_option
def log(topic: str | None, partition: int | None, data_dir: Path, start: int | None, limit: int, verify: bool, output: str) -> None:
    """List the entries of a log, or, without TOPIC and PARTITION, all logs.

    \b
    Examples: dgs inspect log --data-dir ./state
              dgs inspect log record-batches 0 --data-dir ./state --from 4096 --limit 5
              dgs inspect log record-batches 0 --data-dir ./state --verify
    """
    subject = _subject(data_dir)
    if topic is None or partition is None:
        if topic is not None:
            raise InputError("give TOPIC and PARTITION, or neither to list all logs")
        _list_logs(subject, verify, output)
    elif verify:
        _verify_one(subject, topic, partition, start, output)
    else:
        _list_entries(subject, topic, partition, start, limit, output)


@inspect.command()
@click.argument("kind", type=click.Choice(["sampler", "serving"]))
@click.argument("number", type=click.IntRange(min=0))
@data_dir_option
@output_option
def partition(kind: str, number: int, data_dir: Path, output: str) -> None:
    """Sum up what a partition has made durable: a sampler's commit, or a serving partition's snapshot.

    \b
    Examples: dgs inspect partition sampler 0 --data-dir ./state
              dgs inspect partition serving 1 --data-dir ./state
    """
    subject = _subject(data_dir)
    from dgs.inspection.partition import describe_sampler_partition, describe_serving_partition

    found = describe_sampler_partition(subject, number) if kind == "sampler" else describe_serving_partition(subject, number)
    _print(found, output, partition_text)


@inspect.command(context_settings={"ignore_unknown_options": True})  # else -5 would be an option, not a vertex
@click.argument("vertex_type", metavar="TYPE")
@click.argument("vid", metavar="ID", type=click.IntRange(-(1 << 63), (1 << 63) - 1))
@data_dir_option
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Edges of the history; 0 for all.")
@output_option
def vertex(vertex_type: str, vid: int, data_dir: Path, limit: int, output: str) -> None:
    """Show what is kept about the vertex ID of TYPE: record, rows, subscribers, and edges in the history.

    \b
    Example: dgs inspect vertex user 42 --data-dir ./state
    """
    subject = _subject(data_dir)
    element = subject.vertex_type(vertex_type)
    from dgs.inspection.vertex import describe_vertex

    _print(describe_vertex(subject, element, vid, limit), output, vertex_text)


@inspect.command(name="dead-letters")
@data_dir_option
@output_option
def dead_letters(data_dir: Path, output: str) -> None:
    """List the log entries that could not be read or applied, and were passed over.

    \b
    Example: dgs inspect dead-letters --data-dir ./state
    """
    subject = _subject(data_dir)
    from dgs.inspection.dead_letters import list_dead_letters

    _print({"dead_letters": list_dead_letters(subject)}, output, dead_letters_text)


def _subject(data_dir: Path) -> "Subject":
    from dgs.bus.kafka.options import KafkaOptions  # numpy and the codec are needed from here on
    from dgs.inspection.subject import Subject

    return Subject(data_dir, KafkaOptions.of(load({}, os.environ)))


def _list_logs(subject: "Subject", verify: bool, output: str) -> None:
    from dgs.inspection.log import list_logs

    logs = list_logs(subject)
    damaged = False
    if verify:
        for found in logs:
            if found["exists"]:
                found |= _verified(subject, found["topic"], found["partition"], None)
                damaged |= found["damage"] is not None
    _print({"logs": logs}, output, logs_text)
    if damaged:
        sys.exit(1)


def _verify_one(subject: "Subject", topic: str, partition: int, start: int | None, output: str) -> None:
    found = {"topic": topic, "partition": partition} | _verified(subject, topic, partition, start)
    if output == "json":
        click.echo(json.dumps(found))
    elif found["damage"] is None:
        unreadable = f", {found['unreadable']} of them no entries of dgs" if found["unreadable"] else ""
        click.echo(f"{found['entries']} entries are whole{unreadable}")
    if found["damage"] is not None:
        raise CodecError(found["damage"])


def _verified(subject: "Subject", topic: str, partition: int, start: int | None) -> dict[str, Any]:
    """Read all entries; return how many are good, how many of those cannot be decoded, and the first damage."""
    from dgs.inspection.entry import UNREADABLE, EntryReader
    from dgs.inspection.log import LogView

    reader = EntryReader(subject.deployment.schema, {})
    counts = {"entries": 0, "unreadable": 0}
    damage = None
    with LogView(subject, topic, partition) as view:
        try:
            for entry in view.entries(start):
                counts["entries"] += 1
                counts["unreadable"] += reader.view(entry).kind == UNREADABLE
        except CodecError as e:
            damage = str(e)
    return counts | {"damage": damage}


def _list_entries(subject: "Subject", topic: str, partition: int, start: int | None, limit: int, output: str) -> None:
    from dataclasses import asdict
    from itertools import islice

    from dgs.inspection.entry import EntryReader
    from dgs.inspection.log import LogView

    reader = EntryReader(subject.deployment.schema, subject.barrier_names())
    with LogView(subject, topic, partition) as view:
        views = (reader.view(e) for e in islice(view.entries(start), limit or None))
        if output == "json":
            extent = asdict(view.extent())
            click.echo(json.dumps({"topic": topic, "partition": partition, **extent, "entries": [asdict(v) for v in views]}))
            return
        following, shown = None, 0
        click.echo(f"{'position':>14} {'bytes':>10}  {'kind':<10}  content")
        for v in views:
            click.echo(f"{v.position:>14} {v.size:>10}  {v.kind:<10}  {v.summary}")
            following, shown = v.next, shown + 1
        if following is not None and following < (end := view.extent().end):
            click.echo(f"{shown} entries; go on with --from {following} (the log ends at {end})", err=True)


def _print(found: dict[str, Any], output: str, text: Callable[[dict[str, Any]], str]) -> None:
    click.echo(json.dumps(found, ensure_ascii=False) if output == "json" else text(found))
