"""`dgs sampler` and `dgs serve`: the processes that run partitions."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import click

from dgs.cli.options import settings_options
from dgs.cli.processes import child, joined, listen_option, own_settings, parent_option, ready_option, tell
from dgs.config import OF_KAFKA
from dgs.core.errors import InputError
from dgs.http.listener import listen
from dgs.membership.assignment import named, ordinal_of, share

F = TypeVar("F", bound=Callable[..., Any])
SAMPLER = [
    "coordinator",
    "host",
    "health_port",
    "data_dir",
    "bus",
    *OF_KAFKA,
    "fsync",
    "commit_interval_ms",
    "standby_after_s",
    "disk_free_min_bytes",
    "copies",
    "retry_timeout_s",
    "log_level",
    "log_format",
]
SERVE = [
    "coordinator",
    "host",
    "port",
    "shared_port",
    "advertise",
    "data_dir",
    "bus",
    *OF_KAFKA,
    "fsync",
    "snapshot_interval_s",
    "apply_slice_ms",
    "disk_free_min_bytes",
    "seeds_max",
    "body_bytes_max",
    "copies",
    "retry_timeout_s",
    "log_level",
    "log_format",
]


def share_options(command: F) -> F:
    """Give a command the options that say which partitions it runs."""
    for option in (
        click.option("--replicas", type=click.IntRange(min=1), metavar="N", help="How many processes like this there are."),
        click.option(
            "--ordinal",
            metavar="I",
            help="The number of this process among them, from 0, or a name that ends with it.",
        ),
        click.option("--partitions", "named_partitions", metavar="P,P-P,…", help="The partitions of this process."),
    ):
        command = option(command)
    return command


@click.command()
@share_options
@settings_options(SAMPLER)
@parent_option
def sampler(
    named_partitions: str | None, ordinal: str | None, replicas: int | None, parent: int | None, **flags: str | None
) -> None:
    """Run sampler partitions of a deployment: they read records and keep the samples of every query.

    An empty --data-dir learns from the coordinator what it belongs to; after that the process starts without it, too.

    \b
    Example: dgs sampler --coordinator http://127.0.0.1:8700 --data-dir ./sampler-0 --ordinal 0 --replicas 2
    """
    from dgs.app import run_samplers

    with child(parent):
        settings, directory, deployment = joined(own_settings(parent, flags))
        own = _share(named_partitions, ordinal, replicas, deployment.partitions, settings.copies)
        with ExitStack() as stack:
            asked = settings.health_port
            listening = None if asked is None else stack.enter_context(listen(settings.host, asked))
            run_samplers(settings, directory, deployment, own, listening)


@click.command()
@share_options
@settings_options(SERVE)
@parent_option
@listen_option
@ready_option
def serve(
    named_partitions: str | None,
    ordinal: str | None,
    replicas: int | None,
    parent: int | None,
    listen_fd: int | None,
    ready_fd: int | None,
    **flags: str | None,
) -> None:
    """Run serving partitions of a deployment, and answer requests for any seed: what is not here is asked for where it is.

    Several of these on one host take connections at one port, each a share, with the same --shared-port.

    \b
    Example: dgs serve --coordinator http://127.0.0.1:8700 --port 8711 --data-dir ./serve-0 --ordinal 0 --replicas 2
    """
    from dgs.app import run_serving

    with child(parent), ExitStack() as stack:
        settings, directory, deployment = joined(own_settings(parent, flags))
        own = _share(named_partitions, ordinal, replicas, deployment.serving_partitions, settings.copies)
        alone = socket.socket(fileno=listen_fd) if listen_fd is not None else listen(settings.host, settings.port)
        run_serving(settings, directory, deployment, own, stack.enter_context(alone), on_ready=lambda: tell(ready_fd))


def _share(text: str | None, ordinal: str | None, replicas: int | None, count: int, copies: int) -> list[int]:
    if text is not None:
        if ordinal is not None or replicas is not None:
            raise InputError("give either --partitions, or --ordinal and --replicas")
        return named(text, count)
    if ordinal is None or replicas is None:
        raise InputError("which partitions? give --partitions, or --ordinal and --replicas")
    return share(count, ordinal_of(ordinal), replicas, copies)
