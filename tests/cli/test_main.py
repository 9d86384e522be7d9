"""The group of commands: light to start, errors as messages, exit statuses as documented."""

import subprocess
import sys
import time

import click
import pytest

from dgs.cli import Program, complain, main
from dgs.core.errors import DeadlineError, DgsError, InputError, StateError, UnreachableError

from .conftest import Dgs

HEAVY = {"numpy", "numba", "fastapi", "uvicorn", "rocksdict", "rich", "asyncio"}


def modules_after(source: str) -> set[str]:
    script = f"import sys\n{source}\nprint(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["query", "list", "--help"], ["demo", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    source = f"from dgs.cli import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    assert not HEAVY & modules_after(source)


def test_the_parent_process_of_up_stays_light() -> None:
    source = "import dgs.cli.up, dgs.cli.processes, dgs.supervisor, dgs.http.listener, dgs.datadir"
    assert not HEAVY & modules_after(source)


def test_help_comes_at_once() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "dgs.cli", "--help"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.5  # 0.1 on a quiet machine


def test_module_and_version(dgs: Dgs) -> None:
    said = subprocess.check_output([sys.executable, "-m", "dgs.cli", "--version"], text=True)
    assert said == dgs("--version").output
    assert said.startswith("dgs 0.")


def test_every_command_of_the_table_is_there() -> None:
    with click.Context(main) as ctx:
        for name in main.list_commands(ctx):
            command = main.get_command(ctx, name)
            assert command is not None
            assert command.name == name
            assert command.help


def test_an_unknown_command_is_wrong_usage(dgs: Dgs) -> None:
    result = dgs("fly")
    assert result.exit_code == 2
    assert "No such command 'fly'" in result.stderr


def raising(error: BaseException) -> Program:
    @click.command()
    def go() -> None:
        raise error

    class One(Program):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return go

    return One("dgs")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StateError("broken"), 1),
        (DgsError("broken"), 1),
        (InputError("broken"), 2),
        (UnreachableError("broken"), 3),
        (DeadlineError("broken"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_end_with_their_status_and_no_traceback(error: BaseException, status: int) -> None:
    from click.testing import CliRunner

    result = CliRunner().invoke(raising(error), ["go"])
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr == ("" if status == 130 else "dgs: broken\n")


def test_several_problems_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    complain(InputError(["one", "two"]))
    assert capsys.readouterr().err == "dgs: 2 problems\n  - one\n  - two\n"
