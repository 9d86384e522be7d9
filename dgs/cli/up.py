"""`dgs up`: the whole service on this host, as a small cluster of processes under a supervisor.

This process checks everything that can be wrong before it starts anything, holds the data directory's lock and the listening
socket, and then only supervises.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import click

from dgs.cli.check import QueryFile, write_queries
from dgs.cli.files import read_bytes, read_json
from dgs.cli.options import as_environment, given, read_settings, settings_options
from dgs.cli.service import server_argument
from dgs.config import SETTINGS, Settings
from dgs.core.deployment import Deployment
from dgs.core.errors import DgsError, InputError
from dgs.core.schema import Schema
from dgs.datadir import DataDir, Defaults, Wanted
from dgs.http.listener import listen, url_of
from dgs.supervisor import Command, Supervisor, die_with_parent
from dgs.telemetry import logs

PROGRAM = (sys.executable, "-P", "-m", "dgs.cli")
"""How children are started; -P as the folder that the user stands in must not be searched for modules."""
SHOWN = [s.name for s in SETTINGS if s.name != "retry_timeout_s"]
"""The settings of a service; the one left out is for those who talk to it."""


@click.command()
@click.option(
    "--schema", type=click.Path(path_type=Path), metavar="FILE", help="Graph schema (JSON); a new data directory needs it."
)
@click.option(
    "--query", "queries", type=click.Path(path_type=Path), metavar="FILE", multiple=True, help="Query to install; repeatable."
)
@settings_options(SHOWN)
@click.option("--parent", type=int, hidden=True, help="End when this process does.")
def up(schema: Path | None, queries: tuple[Path, ...], parent: int | None, **flags: str | None) -> None:
    """Start the service on this host and stay until it is stopped.

    Ctrl-C or SIGTERM stops it; it goes on where it was when it is started again with the same --data-dir. The state also survives
    kill -9.

    \b
    Example: dgs up --schema schema.json --query query.json --data-dir ./state
    """
    if parent is not None:
        die_with_parent(parent)
    settings = read_settings(flags)
    if settings.data_dir is None:
        raise InputError("--data-dir is missing (or DGS_DATA_DIR): the directory that keeps the service's state")
    directory = DataDir(settings.data_dir)
    with ExitStack() as stack:
        handed = stack.enter_context(tempfile.TemporaryFile())
        given_schema = _check(settings, directory, schema, queries, handed)
        directory.make()
        stack.enter_context(directory.lock("up"))
        socket = stack.enter_context(listen(settings.host, settings.port))
        deployment = directory.establish(_wanted(given_schema, flags, settings), _defaults(settings))
        settings = dataclasses.replace(
            settings,
            partitions=deployment.partitions,
            serving_partitions=deployment.serving_partitions,
            idle_items=deployment.idle_items,
            bus=deployment.bus or None,
        )
        ready, ready_end = os.pipe()
        stack.callback(os.close, ready)
        stack.callback(os.close, ready_end)
        commands = _commands(settings, listening=socket.fileno(), ready=ready_end, queries=handed.fileno())
        say = _say if settings.log_format == "text" else _logged(settings)
        announcer = _Announcer(url_of(socket), settings, deployment, say, hints=parent is None and say is _say)
        status = Supervisor(commands, say, ready, announcer.ready).run()
    sys.exit(status)


def _check(
    settings: Settings, directory: DataDir, schema_file: Path | None, query_files: tuple[Path, ...], handed: IO[bytes]
) -> Schema | None:
    """Check schema, queries and bus, and write the first two to `handed`; return the schema that was given.

    Raises:
        InputError: with every problem of every file.
    """
    problems: list[str] = []
    schema: Schema | None = None
    queries: list[QueryFile] = []
    if settings.bus is not None and settings.bus.startswith("memory:") and settings.samplers != 0:
        problems.append("--bus memory:// is a bus within one process: it needs --samplers 0")
    try:
        if schema_file is not None:
            schema = _read_schema(schema_file)
    except InputError as e:
        problems += e.problems
    for path in query_files:
        try:
            queries.append(QueryFile(path.stem, str(path), read_json(path)))
        except InputError as e:
            problems += e.problems
    against = schema
    if schema_file is None:
        standing = directory.read()
        if standing is None:
            problems.append(f"{directory.root} holds no deployment yet, and a new one needs --schema FILE")
        else:
            against = standing.schema
    arguments = [] if settings.bus is None else ["--bus", settings.bus]
    if against is not None:
        write_queries(handed, against, queries)
        if queries:
            arguments += ["--queries-fd", str(handed.fileno())]
    if arguments:
        problems += _problems_found(arguments, handed.fileno(), settings)
    if problems:
        raise InputError(problems)
    return schema


def _read_schema(path: Path) -> Schema:
    try:
        return Schema.parse(read_bytes(path))
    except InputError as e:
        named = [p if p.startswith(str(path)) else f"{path}: {p}" for p in e.problems]
        raise InputError(named) from None


def _problems_found(arguments: list[str], handed: int, settings: Settings) -> list[str]:
    """Return what the command `check` finds."""
    command = [*PROGRAM, "check", "--parent", str(os.getpid()), *arguments]
    environment = os.environ | as_environment(settings)
    ended = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[handed], check=False
    )
    if ended.returncode != 0:
        raise DgsError(f"the check of queries and bus ended with status {ended.returncode}")
    problems: list[str] = json.loads(ended.stdout)
    return problems


def _wanted(schema: Schema | None, flags: dict[str, str | None], settings: Settings) -> Wanted:
    return Wanted(
        schema,
        settings.partitions if given(flags, "partitions") else None,
        settings.serving_partitions if given(flags, "serving_partitions") else None,
        settings.idle_items if given(flags, "idle_items") else None,
        settings.bus,
    )


def _defaults(settings: Settings) -> Defaults:
    return Defaults(settings.partitions, settings.serving_partitions, settings.idle_items)


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


class _Announcer:
    """Tells the user that the service answers: with what to try next the first time, in one line after a frontend's restart."""

    def __init__(self, url: str, settings: Settings, deployment: Deployment, say: Callable[[str], None], *, hints: bool) -> None:
        self._url = url
        self._say = say
        self._settings = settings
        self._deployment = deployment
        self._hints = hints
        self._again = False

    def ready(self) -> None:
        """Say it."""
        d = self._deployment
        self._say(f"serving at {self._url} (data in {self._settings.data_dir}, {d.partitions} + {d.serving_partitions} partitions)")
        if self._hints and not self._again:
            server = server_argument(self._url)
            click.echo(
                f"  load data      dgs-loader --dgs-service-host {self._url} --pattern-file FILE --data-file FILE --barrier NAME\n"
                f"  wait for it    dgs barrier wait NAME{server}\n"
                f"  ask            dgs sample VID{server}\n"
                f"  stop           Ctrl-C",
                err=True,
            )
        self._again = True


def _logged(settings: Settings) -> Callable[[str], None]:
    """Return what tells lines of the supervisor in the form in which its children log."""
    logs.set_up(settings.log_level, "supervisor", settings.log_format)
    return logs.get("dgs.supervisor").info


def _say(line: str) -> None:
    click.echo(f"dgs: {line}", err=True)
