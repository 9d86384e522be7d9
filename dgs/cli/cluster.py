"""`dgs cluster up`: a whole cluster on this host, with a process for each part, as several hosts would have them."""

import dataclasses
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from socket import socket
from urllib.parse import quote

import click

from dgs.cli.announcer import Announcer, teller
from dgs.cli.founding import PROGRAM, founding, graph_options
from dgs.cli.options import as_environment, read_settings, settings_options
from dgs.config import SETTINGS, Settings
from dgs.core.deployment import Deployment
from dgs.datadir import DataDir
from dgs.http.listener import listen, reserve, url_of
from dgs.membership.assignment import share
from dgs.supervisor import Command, Supervisor, die_with_parent

STANDBY_AFTER_S = 1.0
"""So much longer than the one before, each stand-by waits before it writes."""
SHOWN = [
    s.name
    for s in SETTINGS
    if s.name not in ("coordinator", "advertise", "shared_port", "health_port", "standby_after_s", "retry_timeout_s")
]


@click.group()
def cluster() -> None:
    """Run the processes of a cluster."""


@cluster.command("up")
@graph_options
@settings_options(SHOWN)
@click.option("--parent", type=int, hidden=True, help="End when this process does.")
def cluster_up(
    schema: Path | None, queries: tuple[Path, ...], start_at: str | None, parent: int | None, **flags: str | None
) -> None:
    """Start a coordinator, samplers and frontends on this host, and stay until they are stopped.

    Every frontend takes requests at --port, for any seed and for the coordinator. With --copies 2 each serving partition is in two
    of them, with --standbys 1 each sampler has a stand-by.

    \b
    Example: dgs cluster up --schema schema.json --query query.json --data-dir ./state --samplers 2 --frontends 2
    """
    if parent is not None:
        die_with_parent(parent)
    settings = read_settings(flags)
    with ExitStack() as stack:
        founded = stack.enter_context(founding(settings, flags, schema, queries, start_at, alone=False))
        shared = stack.enter_context(reserve(settings.host, settings.port))
        control = stack.enter_context(listen(settings.host, 0))
        settings, deployment = founded.establish()
        for i in range(settings.frontends):
            share(deployment.serving_partitions, i, settings.frontends, settings.copies)  # or it is refused here
        settings = dataclasses.replace(settings, coordinator=url_of(control), shared_port=shared.getsockname()[1])
        ready, ready_end = os.pipe()
        stack.callback(os.close, ready)
        stack.callback(os.close, ready_end)
        frontends = [stack.enter_context(listen(settings.host, 0)) for _ in range(settings.frontends)]
        commands = [
            _coordinator(settings, control, ready_end, founded.handed.fileno()),
            *_samplers(settings, founded.directory, deployment),
            *(_frontend(settings, founded.directory, deployment, i, own, ready_end) for i, own in enumerate(frontends)),
        ]
        say = teller(settings)
        hints = parent is None and settings.log_format == "text"
        announcer = Announcer(url_of(shared), settings, deployment, say, hints=hints, processes=1 + len(frontends))
        status = Supervisor(commands, say, ready, announcer.ready).run()
    sys.exit(status)


def _command(
    name: str, settings: Settings, arguments: list[str], descriptors: tuple[int, ...] = (), more: dict[str, str] | None = None
) -> Command:
    argv = [*PROGRAM, *arguments, "--parent", str(os.getpid())]
    return Command(name, argv, descriptors, os.environ | as_environment(settings) | (more or {}))


def _coordinator(settings: Settings, listening: socket, ready: int, queries: int) -> Command:
    own = listening.fileno()
    arguments = ["coordinator", "--listen-fd", str(own), "--ready-fd", str(ready), "--queries-fd", str(queries)]
    return _command("coordinator", settings, arguments, (own, ready, queries))


def _samplers(settings: Settings, directory: DataDir, deployment: Deployment) -> list[Command]:
    count = max(1, min(settings.sampler_processes(os.cpu_count() or 1), settings.partitions))
    commands = []
    for copy in range(1 + settings.standbys):
        own = dataclasses.replace(settings, copies=1, standby_after_s=copy * STANDBY_AFTER_S)
        more = {} if copy == 0 else {"DGS_DATA_DIR": str(_copy(directory, deployment, f"standby-{copy}"))}
        for i in range(count):
            name = f"sampler {i}" if copy == 0 else f"stand-by {copy} of sampler {i}"
            commands.append(_command(name, own, ["sampler", "--ordinal", str(i), "--replicas", str(count)], (), more))
    return commands


def _frontend(
    settings: Settings, directory: DataDir, deployment: Deployment, ordinal: int, listening: socket, ready: int
) -> Command:
    own = listening.fileno()
    arguments = ["serve", "--listen-fd", str(own), "--ready-fd", str(ready)]
    arguments += ["--ordinal", str(ordinal), "--replicas", str(settings.frontends)]
    copy = ordinal // (settings.frontends // settings.copies)
    more = {} if copy == 0 else {"DGS_DATA_DIR": str(_copy(directory, deployment, f"copy-{copy}"))}
    return _command(f"frontend {ordinal}", settings, arguments, (own, ready), more)


def _copy(directory: DataDir, deployment: Deployment, name: str) -> Path:
    """Return the data directory of further copies of partitions, made now if there is none."""
    own = DataDir(directory.root / name)
    if own.read() is None:
        own.make()
        own.write(dataclasses.replace(deployment, bus=deployment.bus or f"local://{quote(str(directory.log.absolute()))}"))
    return own.root
