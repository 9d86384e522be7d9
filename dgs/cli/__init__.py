"""The command `dgs`: its group of commands, each imported when it is used, and the one place where errors become messages.

Data goes to stdout, talk to stderr. What went wrong on purpose (a DgsError) is told without a traceback and ends with the error's
exit status. Command modules import nothing heavy at their top: `dgs --help` and the commands that only talk to a service start at
once.
"""

import importlib
import os
from typing import Any, ClassVar

import click

from dgs.core.errors import DgsError, InputError

INTERRUPTED = 130


def complain(error: DgsError) -> None:
    """Print an error on stderr: every problem of it, one a line."""
    problems = error.problems if isinstance(error, InputError) else [str(error)]
    if len(problems) == 1:
        click.echo(f"dgs: {problems[0]}", err=True)
        return
    click.echo(f"dgs: {len(problems)} problems", err=True)
    for problem in problems:
        click.echo(f"  - {problem}", err=True)


class Program(click.Group):
    """The group: finds commands by name in a table, and turns errors into messages and exit statuses."""

    modules: ClassVar[dict[str, str]] = {
        "up": "up",
        "cluster": "cluster",
        "coordinator": "coordinator",
        "sampler": "members",
        "serve": "members",
        "query": "query",
        "barrier": "barrier",
        "sample": "sample",
        "status": "status",
        "checkpoint": "checkpoint",
        "rebuild": "rebuild",
        "inspect": "inspect",
        "config": "config",
        "generate": "generate",
        "demo": "demo",
        "frontend": "frontend",
        "check": "check",
        "beginning": "beginning",
    }
    """Command → module of this package that has it under the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, which is the order of use."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that has the command."""
        if cmd_name not in self.modules:
            return None
        module = importlib.import_module(f"dgs.cli.{self.modules[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a DgsError or Ctrl-C ends the program here."""
        try:
            return super().invoke(ctx)
        except DgsError as e:
            complain(e)
            ctx.exit(e.exit_code)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone; what is left in the buffer goes nowhere
            ctx.exit(1)
        except OSError as e:
            click.echo(f"dgs: {e}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.command(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 the service cannot be reached, 4 timed out, 130 interrupted.",
)
@click.version_option(package_name="dgs", message="%(prog)s %(version)s")
def main() -> None:
    """Dynamic graph sampling: fresh K-hop ego-graphs for online GNN inference.

    Begin with `dgs demo`, or `dgs up --schema FILE --query FILE --data-dir DIR`.
    """
