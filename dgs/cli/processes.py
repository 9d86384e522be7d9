"""What the commands that run a process of a deployment have in common: how they end, and how they come by their deployment.

Settings reach a child of a supervisor by the environment. An error that starting again would not mend ends a child with FATAL, so
that the supervisor stops instead of trying for ever.
"""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from dgs.cli import complain
from dgs.cli.options import read_settings
from dgs.config import Settings, load
from dgs.core.deployment import Deployment
from dgs.core.errors import DgsError, InputError
from dgs.datadir import DataDir
from dgs.supervisor import FATAL, die_with_parent

parent_option = click.option("--parent", type=int, hidden=True, help="End when this process does.")
ready_option = click.option("--ready-fd", type=int, hidden=True, help="Gets one byte when requests are answered.")
listen_option = click.option("--listen-fd", type=int, hidden=True, help="The listening socket.")


@contextmanager
def child(parent: int | None) -> Iterator[None]:
    """End with the parent process, if there is one, and tell it by the exit status whether starting again is of any use."""
    if parent is not None:
        die_with_parent(parent)
    try:
        yield
    except DgsError as e:
        complain(e)
        sys.exit(e.exit_code if parent is None or e.retriable else FATAL)


def tell(ready_fd: int | None) -> None:
    """Tell the parent process that this one is ready."""
    if ready_fd is not None:
        os.write(ready_fd, b".")


def own_settings(parent: int | None, flags: Mapping[str, str | None]) -> Settings:
    """Return the settings of a process; what is wrong with the environment of a child, its parent has told."""
    return read_settings(flags) if parent is None else load(flags, os.environ)


def joined(settings: Settings) -> tuple[Settings, DataDir, Deployment]:
    """Return what a process of a deployment needs: an empty data directory learns from the coordinator whose it is.

    Raises:
        InputError: the data directory or the coordinator's address is missing.
        UnreachableError: the coordinator is away.
        StateError: the data directory cannot be used.
    """
    if settings.data_dir is None:
        raise InputError("--data-dir is missing (or DGS_DATA_DIR): the directory that keeps this process's state")
    directory = DataDir(settings.data_dir)
    deployment = directory.read()
    if deployment is None:
        deployment = _asked(settings)
        directory.make()
        directory.write(deployment)
    fixed = dataclasses.replace(
        settings,
        partitions=deployment.partitions,
        serving_partitions=deployment.serving_partitions,
        idle_items=deployment.idle_items,
        bus=settings.bus or deployment.bus or None,
    )
    return fixed, directory, deployment


def _asked(settings: Settings) -> Deployment:
    from dgs.cli.service import connected
    from dgs.membership.heartbeat import DEPLOYMENT
    from dgs.membership.link import DEPLOYMENT_PATH

    if settings.coordinator is None:
        raise InputError(
            f"{settings.data_dir} holds no deployment yet, and --coordinator is missing (or DGS_COORDINATOR): the coordinator tells"
            " a new process what it belongs to"
        )
    with connected(settings.coordinator, settings.retry_timeout_s) as coordinator:
        return DEPLOYMENT.read(coordinator.get(DEPLOYMENT_PATH).body).deployment()
