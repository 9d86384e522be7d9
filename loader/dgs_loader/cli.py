"""The command `dgs-loader`: flags, exit codes, and what it tells its user."""

import asyncio
import os
import shlex
import signal
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource
from dgs_client.connection import DEFAULT_PORT, DEFAULT_SERVER, Connection

from dgs.coordinator.barriers import LOADERS_MAX
from dgs.core.errors import DgsError, InputError
from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.events import parser_of
from dgs_loader.load import Load
from dgs_loader.mapping import EventMapping
from dgs_loader.offset_info import OffsetInfo
from dgs_loader.parser import Parser
from dgs_loader.partitioning import BATCH_RECORDS, Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.reader import Reader
from dgs_loader.service import LoaderInit, Service
from dgs_loader.source_topic import SourceTopic

DEAD_LETTERS_EXIT, INTERRUPTED_EXIT = 5, 130
_STDIN = "-"
_Read = TypeVar("_Read")
_OF_FILES = ("pattern_file", "delimiter", "list_attr_delimiter")
_OF_SOURCES = ("mapping", "offset_info", "group", "until_end")


def _delimiter(forbidden: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """Return the check of a delimiter: one ASCII character that cannot be part of a number or a name."""

    def check(_: click.Context, param: click.Parameter, value: str) -> str:
        character = "\t" if value.lower() in ("\\t", "tab") else value
        if len(character) != 1 or not character.isascii() or character.isalnum() or character in "+-.\r\n" + forbidden:
            raise click.BadParameter(
                f"{value!r} is not one ASCII character other than a letter, a digit, a line end, + - . {' '.join(forbidden)}"
            )
        return character

    return check


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--dgs-service-host",
    "server",
    envvar="DGS_SERVER",
    metavar="HOST",
    default=DEFAULT_SERVER,
    show_default=True,
    show_envvar=True,
    help=f"The service: a URL, HOST:PORT, or a host (then port {DEFAULT_PORT}).",
)
@click.option(
    "--pattern-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The columns of each type, e.g. #VERTEX:user,#ID,timestamp,feature and #EDGE:u2i,#SRC:user,#DST:item,timestamp,weight.",
)
@click.option(
    "--data-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="The lines to load: a file of any size, a named pipe, or - for standard input.",
)
@click.option(
    "--source",
    metavar="URL",
    help="A Kafka topic with JSON events to load, instead of a file: kafka://HOST:PORT,HOST:PORT/TOPIC.",
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Which records an event of the source stands for (JSON).",
)
@click.option(
    "--offset-info",
    metavar="JSON",
    help='Where to begin in partitions of the source that the group has loaded nothing of: {"timestamp": MS SINCE 1970} or'
    ' {"PARTITION": OFFSET, …}.  [default: the earliest event]',
)
@click.option(
    "--group",
    metavar="NAME",
    help="The consumer group under which Kafka keeps how far the source is loaded.  [default: of the deployment and the topic]",
)
@click.option("--until-end", is_flag=True, help="Load what the source has now, and end; else it goes on until Ctrl-C or SIGTERM.")
@click.option(
    "--delimiter",
    callback=_delimiter(":#"),
    metavar="C",
    default=",",
    show_default=True,
    help="Between columns, of the pattern file too; \\t for a tab.",
)
@click.option(
    "--list-attr-delimiter",
    callback=_delimiter(""),
    metavar="C",
    default=":",
    show_default=True,
    help="Between the elements of a list.",
)
@click.option(
    "--reversed-edges",
    metavar="A;B",
    default="",
    help="Edge types whose edges are also loaded with source and destination swapped.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    default=BATCH_RECORDS,
    show_default=True,
    help="Records in one log entry, at most. What is at hand is sent at once; nothing waits for a batch to fill.",
)
@click.option("--barrier", metavar="NAME", help="Set this barrier behind everything that was loaded.")
@click.option(
    "--barrier-count",
    type=click.IntRange(1, LOADERS_MAX),
    metavar="N",
    help="How many loaders set the barrier together.  [default: 1]",
)
@click.option("--loader-id", type=click.IntRange(0, (1 << 63) - 1), metavar="I", help="Which of them this one is.  [default: 0]")
@click.option(
    "--dead-letter",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where lines and events that cannot be loaded go, as JSON lines with place and reason. Made, or replaced, by the first"
    " such line; added to by events.  [default: NAME OF THE DATA FILE OR TOPIC.dead-letters in the current directory;"
    " stdin.dead-letters for -]",
)
@click.option(
    "--retry-timeout",
    envvar="DGS_RETRY_TIMEOUT_S",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    show_envvar=True,
    help="How long to go on while the service or its bus is away.",
)
@click.version_option(package_name="dgs")
@click.pass_context
def main(
    context: click.Context,
    server: str,
    pattern_file: Path | None,
    data_file: str | None,
    source: str | None,
    mapping: Path | None,
    offset_info: str | None,
    group: str | None,
    until_end: bool,
    delimiter: str,
    list_attr_delimiter: str,
    reversed_edges: str,
    batch_size: int,
    barrier: str | None,
    barrier_count: int | None,
    loader_id: int | None,
    dead_letter: Path | None,
    retry_timeout: float,
) -> None:
    """Load vertex and edge updates from a file, a pipe or a Kafka topic into a running service.

    \b
    Example:
      dgs-loader --pattern-file u2i.pattern --data-file u2i.streaming --reversed-edges i2i --barrier loaded
      dgs barrier wait loaded
      dgs-loader --source kafka://b1:9092/clicks --mapping clicks.json

    A line, or an event, that cannot be loaded becomes a dead letter and loading goes on; blank lines are skipped. Loading the same
    input again changes nothing, so a load that failed is simply repeated; one from Kafka goes on where it stopped. Standard output
    gets the positions behind what was sent, one GENERATION:PARTITION:POSITION a line; everything else goes to standard error.

    \b
    Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the service cannot be reached; 4 timed out;
                5 loaded, but some lines went to the dead letters; 130 interrupted.
    """
    topic, begin = _checked(context, source, group, offset_info)
    if barrier is None and (barrier_count is not None or loader_id is not None):
        raise click.UsageError("--barrier-count and --loader-id say something about a --barrier, which is missing")
    if barrier is not None and not barrier.strip():
        raise click.UsageError("--barrier needs a name")
    if barrier is not None and topic is not None and not until_end:
        raise click.UsageError("a --barrier stands behind all that is loaded: with --source it needs --until-end")
    name = topic.topic if topic is not None else "stdin" if data_file == _STDIN else Path(str(data_file)).name
    letters = DeadLetterFile(dead_letter or Path(f"{name}.dead-letters"), appends=topic is not None)
    _keep_apart(letters.path, pattern_file or mapping, data_file)
    code = 0
    try:
        with Connection(server, retry_timeout_s=retry_timeout) as connection:
            service = Service(connection)
            init = service.init()
            both_ways = _edge_types(reversed_edges, init)
            if mapping is not None:
                events = _read(mapping, lambda text: EventMapping.parse(text, init.schema))
                parser = parser_of(events, init.layouts, both_ways)
            else:
                patterns = _patterns(Path(str(pattern_file)), init, delimiter)
                parser = Parser(
                    patterns, init.layouts, delimiter=delimiter, list_delimiter=list_attr_delimiter, reversed_edges=both_ways
                )
            partitioner = Partitioner(init.data_partitions, init.router, batch_records=batch_size)
            if barrier is not None:
                service.check_barrier(barrier, barrier_count or 1, loader_id or 0)
            load = Load(
                connection=connection,
                service=service,
                init=init,
                parser=parser,
                partitioner=partitioner,
                letters=letters,
                retry_timeout_s=retry_timeout,
                say=_say,
            )
            if topic is not None:
                code = _code(asyncio.run(load.events(topic, events, begin, until_end=until_end)), until_end=until_end)
            else:
                # Opening a named pipe waits for its writer: before the event loop, an interrupt ends that at once.
                fd = sys.stdin.fileno() if data_file == _STDIN else os.open(str(data_file), os.O_RDONLY)
                asyncio.run(load.file(Reader(fd)))
            try:
                if barrier is not None and not code:
                    service.set_barrier(barrier, barrier_count or 1, loader_id or 0)
                    wait = "dgs barrier wait" + ("" if connection.to_default else f" --server {shlex.quote(server)}")
                    name = f"-- {shlex.quote(barrier)}" if barrier.startswith("-") else shlex.quote(barrier)
                    _say(f"barrier {barrier!r} is set; `{wait} {name}` returns when all of it is served")
            finally:  # standard output may be closed, and a barrier may be refused: neither takes the other along
                for partition, position in sorted(load.positions.items()):
                    click.echo(f"{init.generation}:{partition}:{position}")
    except InputError as e:
        for problem in e.problems:
            _say(f"dgs-loader: {problem}")
        sys.exit(e.exit_code)
    except DgsError as e:
        _say(f"dgs-loader: {e}")
        sys.exit(e.exit_code)
    except OSError as e:
        _say(f"dgs-loader: {e}")
        sys.exit(1)
    except KeyboardInterrupt:
        _say("dgs-loader: interrupted; load the same input again to complete it: records that arrive twice change nothing")
        sys.exit(INTERRUPTED_EXIT)
    finally:
        letters.close()
    sys.exit(code or (DEAD_LETTERS_EXIT if letters.count and (topic is None or until_end) else 0))


def _checked(
    context: click.Context, source: str | None, group: str | None, offset_info: str | None
) -> tuple[SourceTopic | None, OffsetInfo]:
    """Check that the flags go together; return the source, None for a file, and where to begin in it."""
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    flags = {name: f"--{name.replace('_', '-')}" for name in context.params}
    if ("data_file" in given) == ("source" in given):
        raise click.UsageError("either --data-file or --source is needed")
    input_flag, companion, strangers = (
        ("--data-file", "pattern_file", _OF_SOURCES) if source is None else ("--source", "mapping", _OF_FILES)
    )
    if companion not in given:
        raise click.UsageError(f"{input_flag} needs {flags[companion]}")
    if wrong := [flags[name] for name in strangers if name in given]:
        raise click.UsageError(f"{wrong[0]} says nothing about {input_flag}")
    if context.params["delimiter"] == context.params["list_attr_delimiter"]:
        raise click.UsageError(f"--delimiter and --list-attr-delimiter are both {context.params['delimiter']!r}")
    try:
        begin = OffsetInfo() if offset_info is None else OffsetInfo.parse(offset_info)
        return (None if source is None else SourceTopic.parse(source, group or "")), begin
    except InputError as e:
        raise click.UsageError(str(e)) from None


def _code(stopped_by: signal.Signals | None, *, until_end: bool) -> int:
    """Return the exit status of a load from a source; SIGTERM is how one that goes on without an end is meant to end."""
    if stopped_by is None:
        return 0
    _say("dgs-loader: stopped; the next start of this group goes on there")
    return INTERRUPTED_EXIT if until_end or stopped_by is signal.SIGINT else 0


def _keep_apart(letters: Path, described: Path | None, data_file: str | None) -> None:
    """Refuse to write dead letters into what is read, under whatever name."""
    inputs: dict[str, Callable[[], os.stat_result]] = {}
    if described is not None:
        inputs["mapping" if data_file is None else "pattern file"] = described.stat
    if data_file is not None:
        inputs["input"] = partial(os.fstat, 0) if data_file == _STDIN else Path(data_file).stat
    for what, status in inputs.items():
        try:
            read, written = status(), letters.stat()
        except OSError:
            continue  # one of them is not there: nothing can be lost
        # A terminal or /dev/null may be both.
        if os.path.samestat(read, written) and not stat.S_ISCHR(written.st_mode):
            raise click.UsageError(f"--dead-letter: {letters} is the {what} itself, which would be lost; name another file")


def _patterns(path: Path, init: LoaderInit, delimiter: str) -> PatternFile:
    file = _read(path, lambda text: PatternFile.parse(text, init.schema, delimiter))
    for line in file.ignored:
        _say(f"dgs-loader: warning: {path}: {line}")
    return file


def _read(path: Path, parse: Callable[[str], _Read]) -> _Read:
    try:
        return parse(path.read_text("utf-8"))
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8 ({e})") from None
    except InputError as e:
        raise InputError([f"{path}: {problem}" for problem in e.problems]) from None


def _edge_types(names: str, init: LoaderInit) -> set[int]:
    known = init.schema.edge_names
    wanted = [name.strip() for name in names.split(";") if name.strip()]
    if wrong := [name for name in wanted if name not in known]:
        has = ", ".join(sorted(known)) or "none"
        raise InputError(f"--reversed-edges: the schema has no edge type {', '.join(map(repr, wrong))}; it has {has}")
    return {known[name].id for name in wanted}


def _say(text: str) -> None:
    click.echo(text, err=True)
