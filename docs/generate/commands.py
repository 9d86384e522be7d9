"""The page of commands: what `--help` says of each, and the exit statuses."""

from collections.abc import Iterator

import click
from dgs_loader.cli import DEAD_LETTERS_EXIT
from dgs_loader.cli import main as dgs_loader

from dgs.cli import INTERRUPTED
from dgs.cli import main as dgs
from dgs.core.errors import DeadlineError, DgsError, InputError, UnreachableError
from docs.generate.markdown import code, page, table

WIDTH = 110
_ABOUT = """\
What every command says of itself. Data goes to standard output, talk to standard error. How they are used:
[../cli.md](../cli.md)."""
EXITS = {
    0: "done",
    DgsError.exit_code: "failed; the message says why",
    InputError.exit_code: "wrong usage, or input that cannot be understood",
    UnreachableError.exit_code: "the service cannot be reached",
    DeadlineError.exit_code: "timed out",
    DEAD_LETTERS_EXIT: "`dgs-loader`: loaded, but some lines went to the dead letters",
    INTERRUPTED: "interrupted",
}


def commands() -> dict[str, click.Command]:
    """Return every visible command that does something, by its name as users type it."""
    return dict([*_below(dgs, ("dgs",)), ("dgs-loader", dgs_loader)])


def commands_page() -> str:
    """Return the page."""
    exits = table(("exit status", "meaning"), ((str(status), meaning) for status, meaning in EXITS.items()))
    names = " · ".join(f"[{name}](#{name.replace(' ', '-')})" for name in commands())
    return page("Commands", _ABOUT, [names, exits, *(_section(*item) for item in commands().items())])


def _below(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            yield from _below(child, (*words, name))


def _section(name: str, command: click.Command) -> str:
    context = click.Context(
        command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=["-h", "--help"]
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    variables = sorted({env for p in command.params if isinstance(env := getattr(p, "envvar", None), str)})
    read = f"\n\nReads {', '.join(map(code, variables))} from the environment." if variables else ""
    return f"## {name}\n\n```text\n{text}\n```{read}"
