"""The hidden command `frontend`: the process of `dgs up` that has everything but the samplers."""

import os
import socket

import click

from dgs.cli.check import read_queries
from dgs.cli.processes import child, joined, listen_option, parent_option, ready_option, tell
from dgs.config import load


@click.command(hidden=True)
@parent_option
@listen_option
@ready_option
@click.option("--queries-fd", type=int, required=True, help="Schema and queries.")
@click.option("--with-samplers", is_flag=True, help="Run all sampler partitions here, too.")
def frontend(parent: int | None, listen_fd: int, ready_fd: int | None, queries_fd: int, with_samplers: bool) -> None:
    """Run coordinator, serving partitions and API."""
    with child(parent):
        settings, directory, deployment = joined(load({}, os.environ))
        _, queries = read_queries(queries_fd)
        from dgs.app import run_frontend

        with directory.lock("frontend"), socket.socket(fileno=listen_fd) as listening:
            run_frontend(
                settings,
                directory,
                deployment,
                listening,
                [(q.name, q.document) for q in queries],
                with_samplers=with_samplers,
                on_ready=lambda: tell(ready_fd),
            )
