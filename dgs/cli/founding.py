"""What the commands that begin a deployment on this host do first: `dgs up`, `dgs coordinator`, `dgs cluster up`.

Everything that can be wrong is checked before anything is made or started.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from dgs.cli.beginning import moment_of
from dgs.cli.check import QueryFile, write_queries
from dgs.cli.files import read_bytes, read_json
from dgs.cli.options import as_environment, given
from dgs.config import Settings
from dgs.core.deployment import Beginning, Deployment
from dgs.core.errors import DgsError, InputError
from dgs.core.schema import Schema
from dgs.datadir import DataDir, Defaults, Wanted, new_log_id

F = TypeVar("F", bound=Callable[..., Any])
PROGRAM = (sys.executable, "-P", "-m", "dgs.cli")
"""How processes are started; -P as the folder that the user stands in must not be searched for modules."""


def graph_options(command: F) -> F:
    """Give a command the options that say what is sampled."""
    query = click.option(
        "--query", "queries", type=click.Path(path_type=Path), metavar="FILE", multiple=True, help="Query to install; repeatable."
    )
    schema = click.option(
        "--schema", type=click.Path(path_type=Path), metavar="FILE", help="Graph schema (JSON); a new data directory needs it."
    )
    start_at = click.option(
        "--start-at",
        metavar="earliest|latest|MS",
        help="For a new deployment on Kafka, whose topic has records already: the queries given here sample those from here on. MS"
        " is a time in milliseconds since 1970, by Kafka's times of the records.",
    )
    return schema(query(start_at(command)))


class Founding:
    """A data directory under its lock, and what was checked.

    Attributes:
        directory: the data directory.
        handed: file with schema and queries, see `dgs.cli.check`.
    """

    def __init__(
        self,
        settings: Settings,
        flags: Mapping[str, str | None],
        directory: DataDir,
        schema: Schema | None,
        start_at: str | None,
        handed: IO[bytes],
    ) -> None:
        self.directory = directory
        self.handed = handed
        self._settings = settings
        self._flags = flags
        self._schema = schema
        self._start_at = start_at

    def establish(self) -> tuple[Settings, Deployment]:
        """Return the deployment of the directory, made now if there is none, and the settings with what is fixed there.

        Raises:
            StateError: what stands in the directory is not what is wanted.
            SystemExit: where it is to begin cannot be told; said already.
        """
        settings = self._settings
        wanted = Wanted(
            self._schema,
            settings.partitions if given(self._flags, "partitions") else None,
            settings.serving_partitions if given(self._flags, "serving_partitions") else None,
            settings.idle_items if given(self._flags, "idle_items") else None,
            settings.bus,
            self._start_at,
        )
        log_id = new_log_id()
        counts = settings.partitions, settings.serving_partitions, settings.idle_items
        defaults = Defaults(*counts, log_id, self._beginning(log_id))
        deployment = self.directory.establish(wanted, defaults)
        fixed = dataclasses.replace(
            settings,
            partitions=deployment.partitions,
            serving_partitions=deployment.serving_partitions,
            idle_items=deployment.idle_items,
            bus=deployment.bus or None,
        )
        return fixed, deployment

    def _beginning(self, log_id: str) -> Beginning | None:
        """Return where the logs of a new deployment begin; None for one that is there, and where they are made with it."""
        settings = self._settings
        if self.directory.read() is not None or not _on_kafka(settings):
            return None
        handed = self.handed.fileno()
        arguments: dict[str, object] = {
            "--queries-fd": handed,
            "--bus": settings.bus,
            "--log-id": log_id,
            "--partitions": settings.partitions,
            "--serving-partitions": settings.serving_partitions,
            "--state": self.directory.coordinator_state,
        }
        if self._start_at is not None:
            arguments["--at"] = self._start_at
        ended = _asked(["beginning", *(str(word) for argument in arguments.items() for word in argument)], handed, settings)
        if ended.returncode != 0:
            sys.exit(ended.returncode)
        found = json.loads(ended.stdout)
        return None if found is None else Beginning.from_json(found)


@contextmanager
def founding(
    settings: Settings,
    flags: Mapping[str, str | None],
    schema_file: Path | None,
    query_files: tuple[Path, ...],
    start_at: str | None,
    *,
    alone: bool,
) -> Iterator[Founding]:
    """Check what the user gave, make the data directory and hold its lock for the length of a block.

    Args:
        settings: as the user gave them.
        flags: of the command, as text.
        schema_file: of the graph; a new data directory needs it.
        query_files: queries to install.
        start_at: where a new deployment begins in logs that have records already; None where there are none.
        alone: whether all runs in one process.

    Raises:
        InputError: with every problem of every file.
        StateError: the directory cannot be used, or another process has it.
    """
    if settings.data_dir is None:
        raise InputError("--data-dir is missing (or DGS_DATA_DIR): the directory that keeps the service's state")
    directory = DataDir(settings.data_dir)
    with tempfile.TemporaryFile() as handed:
        schema = _check(settings, directory, schema_file, query_files, start_at, handed, alone=alone)
        directory.make()
        with directory.lock("up"):
            yield Founding(settings, flags, directory, schema, start_at, handed)


def _check(
    settings: Settings,
    directory: DataDir,
    schema_file: Path | None,
    query_files: tuple[Path, ...],
    start_at: str | None,
    handed: IO[bytes],
    *,
    alone: bool,
) -> Schema | None:
    """Check schema, queries and bus, and write the first two to `handed`; return the schema that was given.

    Raises:
        InputError: with every problem of every file.
    """
    problems: list[str] = []
    schema: Schema | None = None
    queries: list[QueryFile] = []
    if settings.bus is not None and settings.bus.startswith("memory:") and not alone:
        problems.append("--bus memory:// is a bus within one process: it needs dgs up --samplers 0")
    standing = directory.read()
    if start_at is not None and standing is None:
        problems += _start_problems(start_at, settings, query_files)
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


def _start_problems(at: str, settings: Settings, query_files: tuple[Path, ...]) -> list[str]:
    problems = []
    if moment_of(at) is None:
        problems.append(f"--start-at is earliest, latest, or a time in milliseconds since 1970, not {at!r}")
    if not _on_kafka(settings):
        problems.append("--start-at needs --bus kafka://…: no other logs have records before their deployment")
    if not query_files:
        problems.append("--start-at needs --query FILE: a query that is installed later would not see the records that are there")
    return problems


def _on_kafka(settings: Settings) -> bool:
    return settings.bus is not None and settings.bus.startswith("kafka:")


def _read_schema(path: Path) -> Schema:
    try:
        return Schema.parse(read_bytes(path))
    except InputError as e:
        named = [p if p.startswith(str(path)) else f"{path}: {p}" for p in e.problems]
        raise InputError(named) from None


def _problems_found(arguments: list[str], handed: int, settings: Settings) -> list[str]:
    """Return what the command `check` finds."""
    ended = _asked(["check", *arguments], handed, settings)
    if ended.returncode != 0:
        raise DgsError(f"the check of queries and bus ended with status {ended.returncode}")
    problems: list[str] = json.loads(ended.stdout)
    return problems


def _asked(command: list[str], handed: int, settings: Settings) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of this program to its end, with what was checked; its stderr is this process's."""
    arguments = [*PROGRAM, *command, "--parent", str(os.getpid())]
    environment = os.environ | as_environment(settings)
    return subprocess.run(
        arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[handed], check=False
    )
