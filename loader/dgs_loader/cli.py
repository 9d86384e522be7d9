"""The command `dgs-loader`: flags, exit codes, and the putting together of the loader's parts."""

import asyncio
import os
import shlex
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click
from dgs_client.connection import DEFAULT_PORT, DEFAULT_SERVER, Connection

from dgs.bus import open_bus
from dgs.bus.base import RECORDS, Bus
from dgs.bus.kafka.options import KafkaOptions
from dgs.bus.open import kafka_address, local_path
from dgs.config import load
from dgs.coordinator.barriers import LOADERS_MAX
from dgs.core.errors import DgsError, InputError
from dgs_loader.back_pressure import BackPressure
from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.parser import Parser
from dgs_loader.partitioning import BATCH_RECORDS, Partitioner
from dgs_loader.pattern import PatternFile
from dgs_loader.pipeline import Pipeline
from dgs_loader.progress import Progress
from dgs_loader.reader import Reader
from dgs_loader.sender import Sender
from dgs_loader.service import LoaderInit, Service

DEAD_LETTERS_EXIT, INTERRUPTED_EXIT = 5, 130
LAG_TIMEOUT_S = 5.0
"""How long the service may take to say how far it is behind."""
_STDIN = "-"


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
    required=True,
    help="The columns of each type, e.g. #VERTEX:user,#ID,timestamp,feature and #EDGE:u2i,#SRC:user,#DST:item,timestamp,weight.",
)
@click.option(
    "--data-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    required=True,
    help="The lines to load: a file of any size, a named pipe, or - for standard input.",
)
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
    help="Where lines that cannot be loaded go, as JSON lines with number and reason. Made, or replaced, by the first such line."
    "  [default: NAME OF THE DATA FILE.dead-letters in the current directory; stdin.dead-letters for -]",
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
def main(
    server: str,
    pattern_file: Path,
    data_file: str,
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
    """Load vertex and edge updates from a file or a pipe into a running service.

    \b
    Example:
      dgs-loader --pattern-file u2i.pattern --data-file u2i.streaming --reversed-edges i2i --barrier loaded
      dgs barrier wait loaded

    A line that cannot be loaded becomes a dead letter and loading goes on; blank lines are skipped. Loading the same input again
    changes nothing, so a load that failed is simply repeated. Standard output gets the positions behind what was sent, one
    GENERATION:PARTITION:POSITION a line; everything else goes to standard error.

    \b
    Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the service cannot be reached; 4 timed out;
                5 loaded, but some lines went to the dead letters; 130 interrupted.
    """
    if delimiter == list_attr_delimiter:
        raise click.UsageError(f"--delimiter and --list-attr-delimiter are both {delimiter!r}")
    if barrier is None and (barrier_count is not None or loader_id is not None):
        raise click.UsageError("--barrier-count and --loader-id say something about a --barrier, which is missing")
    if barrier is not None and not barrier.strip():
        raise click.UsageError("--barrier needs a name")
    letters = DeadLetterFile(dead_letter or Path((Path(data_file).name if data_file != _STDIN else "stdin") + ".dead-letters"))
    _keep_apart(letters.path, pattern_file, data_file)
    try:
        with Connection(server, retry_timeout_s=retry_timeout) as connection:
            service = Service(connection)
            init = service.init()
            parser = Parser(
                _patterns(pattern_file, init, delimiter),
                init.layouts,
                delimiter=delimiter,
                list_delimiter=list_attr_delimiter,
                reversed_edges=_edge_types(reversed_edges, init),
            )
            partitioner = Partitioner(init.data_partitions, init.router, batch_records=batch_size)
            if barrier is not None:
                service.check_barrier(barrier, barrier_count or 1, loader_id or 0)
            # Opening a named pipe waits for its writer: before the event loop, an interrupt ends that at once.
            fd = sys.stdin.fileno() if data_file == _STDIN else os.open(data_file, os.O_RDONLY)
            positions = asyncio.run(_load(Reader(fd), parser, service, init, letters, partitioner, retry_timeout, connection))
            try:
                if barrier is not None:
                    service.set_barrier(barrier, barrier_count or 1, loader_id or 0)
                    wait = "dgs barrier wait" + ("" if connection.to_default else f" --server {shlex.quote(server)}")
                    name = f"-- {shlex.quote(barrier)}" if barrier.startswith("-") else shlex.quote(barrier)
                    _say(f"barrier {barrier!r} is set; `{wait} {name}` returns when all of it is served")
            finally:  # standard output may be closed, and a barrier may be refused: neither takes the other along
                for partition, position in sorted(positions.items()):
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
    sys.exit(DEAD_LETTERS_EXIT if letters.count else 0)


async def _load(
    reader: Reader,
    parser: Parser,
    service: Service,
    init: LoaderInit,
    letters: DeadLetterFile,
    partitioner: Partitioner,
    retry_timeout_s: float,
    connection: Connection,
) -> dict[int, int]:
    """Load the input, say what became of it, and return the positions behind it by partition."""
    bus = _open_bus(init)
    try:
        await bus.ensure(RECORDS, init.log_partitions, init.log_id)
        progress = Progress(sys.stderr, reader.total_bytes)

        def tell(text: str) -> None:
            progress.clear()
            _say(f"dgs-loader: {text}")

        lags = Connection(connection.server, retry_timeout_s=0, timeout_s=LAG_TIMEOUT_S)  # asked while the other may be in use
        pressure = BackPressure(Service(lags).lag, waiting=progress.wait, tell=tell)
        sender = Sender(bus, partitioner, back_pressure=pressure, retry_timeout_s=retry_timeout_s, tell=tell)
        try:
            await Pipeline(parser, service, sender, letters, progress, connection.close).load(reader)
        finally:
            lags.close()
            await pressure.close()
            progress.clear()
            seconds = max(progress.elapsed_s, 1e-3)
            where = f" in {letters.path}" if letters.count else ""
            paused = f", {pressure.waited_s:.1f} s of it waiting for the service" if pressure.waited_s else ""
            _say(
                f"{progress.lines} lines, {sender.records} records in {seconds:.1f} s"
                f" ({sender.records / seconds:.0f} records/s), {letters.count} dead letters{where}{paused}"
            )
        return {int(partition): int(position) for partition, position in sender.positions.items()}
    finally:
        with suppress(OSError):
            await bus.close()


def _keep_apart(letters: Path, pattern_file: Path, data_file: str) -> None:
    """Refuse to write dead letters into what is read, under whatever name."""
    inputs = {"pattern file": pattern_file.stat, "input": partial(os.fstat, 0) if data_file == _STDIN else Path(data_file).stat}
    for what, status in inputs.items():
        try:
            read, written = status(), letters.stat()
        except OSError:
            continue  # one of them is not there: nothing can be lost
        # A terminal or /dev/null may be both.
        if os.path.samestat(read, written) and not stat.S_ISCHR(written.st_mode):
            raise click.UsageError(f"--dead-letter: {letters} is the {what} itself, which would be lost; name another file")


def _open_bus(init: LoaderInit) -> Bus:
    if urlsplit(init.bus).scheme == "memory":
        raise DgsError("the service keeps its bus in its own memory, where no other process can write")
    if (path := local_path(init.bus)) is not None and not path.is_dir():
        raise DgsError(
            f"the service keeps its bus in {path}, which does not exist here: run dgs-loader on the host of the"
            " service, or give the service a bus that other hosts can reach"
        )
    if kafka_address(init.bus) is not None:
        return open_bus(init.bus, kafka=KafkaOptions.of(load({}, os.environ)))
    try:
        return open_bus(init.bus, fsync=init.fsync, limits=init.limits)
    except InputError as e:
        raise DgsError(f"{e}; is the service newer than this loader?") from None


def _patterns(path: Path, init: LoaderInit, delimiter: str) -> PatternFile:
    try:
        file = PatternFile.parse(path.read_text("utf-8"), init.schema, delimiter)
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8 ({e})") from None
    except InputError as e:
        raise InputError([f"{path}: {problem}" for problem in e.problems]) from None
    for line in file.ignored:
        _say(f"dgs-loader: warning: {path}: {line}")
    return file


def _edge_types(names: str, init: LoaderInit) -> set[int]:
    known = init.schema.edge_names
    wanted = [name.strip() for name in names.split(";") if name.strip()]
    if wrong := [name for name in wanted if name not in known]:
        has = ", ".join(sorted(known)) or "none"
        raise InputError(f"--reversed-edges: the schema has no edge type {', '.join(map(repr, wrong))}; it has {has}")
    return {known[name].id for name in wanted}


def _say(text: str) -> None:
    click.echo(text, err=True)
