"""`dgs up`: the whole service on this host, as a small cluster of processes under a supervisor.

This process checks everything that can be wrong before it starts anything, holds the data directory's lock and the listening
socket, and then only supervises.
"""

import dataclasses
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from dgs.cli.announcer import Announcer, teller
from dgs.cli.founding import PROGRAM, founding, graph_options
from dgs.cli.options import as_environment, read_settings, settings_options
from dgs.config import SETTINGS, Settings
from dgs.http.listener import listen, url_of
from dgs.supervisor import Command, Supervisor, die_with_parent

OF_CLUSTERS = ("coordinator", "advertise", "shared_port", "health_port", "frontends", "copies", "standbys", "standby_after_s")
SHOWN = [s.name for s in SETTINGS if s.name not in (*OF_CLUSTERS, "retry_timeout_s")]
"""The settings of a service on one host; the last one left out is for those who talk to it."""


@click.command()
@graph_options
@settings_options(SHOWN)
@click.option("--parent", type=int, hidden=True, help="End when this process does.")
def up(schema: Path | None, queries: tuple[Path, ...], start_at: str | None, parent: int | None, **flags: str | None) -> None:
    """Start the service on this host and stay until it is stopped.

    Ctrl-C or SIGTERM stops it; it goes on where it was when it is started again with the same --data-dir. The state also survives
    kill -9.

    \b
    Example: dgs up --schema schema.json --query query.json --data-dir ./state
    """
    if parent is not None:
        die_with_parent(parent)
    settings = read_settings(flags)
    with ExitStack() as stack:
        founded = stack.enter_context(founding(settings, flags, schema, queries, start_at, alone=settings.samplers == 0))
        socket = stack.enter_context(listen(settings.host, settings.port))
        settings, deployment = founded.establish()
        settings = dataclasses.replace(settings, coordinator=url_of(socket))
        ready, ready_end = os.pipe()
        stack.callback(os.close, ready)
        stack.callback(os.close, ready_end)
        commands = _commands(settings, listening=socket.fileno(), ready=ready_end, queries=founded.handed.fileno())
        say = teller(settings)
        hints = parent is None and settings.log_format == "text"
        announcer = Announcer(url_of(socket), settings, deployment, say, hints=hints)
        status = Supervisor(commands, say, ready, announcer.ready).run()
    sys.exit(status)


def _commands(settings: Settings, *, listening: int, ready: int, queries: int) -> list[Command]:
    environment = os.environ | as_environment(settings)
    parent = ["--parent", str(os.getpid())]
    samplers = min(settings.sampler_processes(os.cpu_count() or 1), settings.partitions)
    frontend = [
        *PROGRAM,
        "frontend",
        *parent,
        "--listen-fd",
        str(listening),
        "--ready-fd",
        str(ready),
        "--queries-fd",
        str(queries),
    ]
    if samplers == 0:
        frontend.append("--with-samplers")
    commands = [Command("frontend", frontend, [listening, ready, queries], environment)]
    for i in range(samplers):
        own = ",".join(str(p) for p in range(i, settings.partitions, samplers))
        commands.append(Command(f"sampler {i}", [*PROGRAM, "sampler", *parent, "--partitions", own], [], environment))
    return commands
