"""Options of commands that are settings: made from the table of `dgs.config`, so that help, flags and environment agree."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from dgs.cli.service import SERVER_ENV
from dgs.config import SETTINGS, Setting, Settings, load, unknown_variables

F = TypeVar("F", bound=Callable[..., Any])


def settings_options(names: Iterable[str]) -> Callable[[F], F]:
    """Return a decorator that gives a command an option per setting; their texts are parsed by `read_settings`."""
    table = {s.name: s for s in SETTINGS}

    def decorate(command: F) -> F:
        for name in reversed(list(names)):
            command = _option(table[name])(command)
        return command

    return decorate


def read_settings(flags: Mapping[str, object]) -> Settings:
    """Return the settings from flags, environment and defaults; warn of variables that are no settings.

    Raises:
        InputError: with every bad value.
    """
    warn_of_unknown(os.environ)
    return load(flags, os.environ)


def warn_of_unknown(environ: Mapping[str, str]) -> None:
    """Tell on stderr which DGS_ variables are no settings."""
    for warning in unknown_variables({name: value for name, value in environ.items() if name != SERVER_ENV}):
        click.echo(f"dgs: {warning}", err=True)


def given(flags: Mapping[str, object], name: str) -> bool:
    """Return whether the user gave a setting, as a flag or in the environment."""
    return flags.get(name) is not None or any(s.name == name and s.env in os.environ for s in SETTINGS)


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the settings as the environment of a child, which reads the same values from it."""
    return {s.env: str(value) for s in SETTINGS if (value := getattr(settings, s.name)) is not None}


def _option(setting: Setting) -> Callable[[F], F]:
    parts = [setting.env]
    if setting.unit:
        parts.append(setting.unit)
    if setting.default is not None:
        parts.append(f"default {setting.default}")
    # A help that begins with a choice's name keeps it as it is written.
    about = setting.help if setting.choices else setting.help[0].upper() + setting.help[1:]
    metavar = "|".join(setting.choices) or {int: "N", float: "X", Path: "PATH", str: "TEXT"}[setting.type]
    return click.option(setting.flag, setting.name, metavar=metavar, help=f"{about}.  [{'; '.join(parts)}]")
