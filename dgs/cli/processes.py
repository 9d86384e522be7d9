"""The hidden commands `frontend` and `sampler`: the processes that `dgs up` starts. Settings reach them by the environment.

An error that starting again would not mend ends the process with FATAL, so that the supervisor stops instead of trying for ever.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from dgs.cli import complain
from dgs.cli.check import read_queries
from dgs.config import Settings, load
from dgs.core.deployment import Deployment
from dgs.core.errors import DgsError, InputError, StateError
from dgs.datadir import DataDir
from dgs.supervisor import FATAL, die_with_parent

parent_option = click.option("--parent", type=int, help="Die with this process.")


@click.command(hidden=True)
@parent_option
@click.option("--listen-fd", type=int, required=True, help="The listening socket.")
@click.option("--ready-fd", type=int, help="Gets one byte when requests are answered.")
@click.option("--queries-fd", type=int, required=True, help="Schema and queries.")
@click.option("--with-samplers", is_flag=True, help="Run all sampler partitions here, too.")
def frontend(parent: int | None, listen_fd: int, ready_fd: int | None, queries_fd: int, with_samplers: bool) -> None:
    """Run coordinator, serving partitions and API."""
    with _child(parent):
        settings, directory, deployment = _deployment()
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
                on_ready=lambda: _tell(ready_fd),
            )


@click.command(hidden=True)
@parent_option
@click.option("--partitions", required=True, metavar="P,P,…", help="The record partitions of this process.")
def sampler(parent: int | None, partitions: str) -> None:
    """Run sampler partitions."""
    with _child(parent):
        settings, directory, deployment = _deployment()
        own = [int(p) for p in partitions.split(",")]
        from dgs.app import run_samplers

        run_samplers(settings, directory, deployment, own)


@contextmanager
def _child(parent: int | None) -> Iterator[None]:
    if parent is not None:
        die_with_parent(parent)
    try:
        yield
    except DgsError as e:
        complain(e)
        sys.exit(e.exit_code if e.retriable else FATAL)


def _deployment() -> tuple[Settings, DataDir, Deployment]:
    settings = load({}, os.environ)
    if settings.data_dir is None:
        raise InputError("DGS_DATA_DIR is missing")
    directory = DataDir(settings.data_dir)
    deployment = directory.read()
    if deployment is None:
        raise StateError(f"{directory.root} holds no deployment; `dgs up` makes it")
    return settings, directory, deployment


def _tell(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b".")
