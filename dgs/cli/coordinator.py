"""`dgs coordinator`: the process that takes orders, and knows who runs which partition."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import click

from dgs.cli.announcer import Announcer, teller
from dgs.cli.check import read_queries
from dgs.cli.founding import founding, graph_options
from dgs.cli.options import read_settings, settings_options
from dgs.cli.processes import child, joined, listen_option, parent_option, ready_option, tell
from dgs.config import OF_KAFKA, load
from dgs.http.listener import listen, url_of

SHOWN = [
    "host",
    "port",
    "data_dir",
    "partitions",
    "serving_partitions",
    "bus",
    *OF_KAFKA,
    "fsync",
    "lag_bytes_max",
    "lag_entries_max",
    "log_bytes_max",
    "disk_free_min_bytes",
    "idle_items",
    "checkpoint_url",
    "checkpoint_interval_s",
    "checkpoints_kept",
    "seeds_max",
    "body_bytes_max",
    "log_level",
    "log_format",
]


@click.command()
@graph_options
@settings_options(SHOWN)
@parent_option
@listen_option
@ready_option
@click.option("--queries-fd", type=int, hidden=True, help="Schema and queries that were checked.")
def coordinator(
    schema: Path | None,
    queries: tuple[Path, ...],
    start_at: str | None,
    parent: int | None,
    listen_fd: int | None,
    ready_fd: int | None,
    queries_fd: int | None,
    **flags: str | None,
) -> None:
    """Run the coordinator of a deployment, one process of several: see also `dgs sampler` and `dgs serve`.

    It takes queries and barriers, tells loaders where to write, and knows which process has which partition. Samples are served
    while it is away, too.

    \b
    Example: dgs coordinator --schema schema.json --query query.json --data-dir ./coordinator --bus kafka://broker:9092
    """
    from dgs.app import run_coordinator

    with child(parent), ExitStack() as stack:
        if queries_fd is not None and listen_fd is not None:
            settings, directory, deployment = joined(load({}, os.environ))
            stack.enter_context(directory.lock("coordinator"))
            listening = stack.enter_context(socket.socket(fileno=listen_fd))
            ready, handed = (lambda: tell(ready_fd)), queries_fd
        else:
            settings = read_settings(flags)
            founded = stack.enter_context(founding(settings, flags, schema, queries, start_at, alone=False))
            listening = stack.enter_context(listen(settings.host, settings.port))
            settings, deployment = founded.establish()
            directory, handed = founded.directory, founded.handed.fileno()
            ready = Announcer(url_of(listening), settings, deployment, teller(settings), hints=False).ready
        _, checked = read_queries(handed)
        documents = [(q.name, q.document) for q in checked]
        run_coordinator(settings, directory, deployment, listening, documents, on_ready=ready)
