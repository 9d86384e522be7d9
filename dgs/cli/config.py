"""`dgs config`: which settings a command line and this environment give, and where each value comes from."""

import json
import os
from typing import Any

import click

from dgs.cli.options import settings_options, warn_of_unknown
from dgs.config import SETTINGS, Source, explain

SHOWN = [s.name for s in SETTINGS if s.name != "retry_timeout_s"]
"""Settings of the processes of a service; the one left out is for those who talk to it, and has another default for each."""


@click.group()
def config() -> None:
    """Look at settings."""


@config.command()
@settings_options(SHOWN)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Form of the answer.")
def show(output: str, **flags: str | None) -> None:
    """Show every setting as a process with these flags, in this environment, would have it: value, source, unit and default.

    What a data directory fixes is not looked up: it wins over a default.

    \b
    Example: DGS_FSYNC=batch dgs config show --partitions 8
    """
    warn_of_unknown(os.environ)
    found = explain(flags, os.environ)
    rows = [
        {
            "name": s.name,
            "value": s.shown(found[s.name].value),
            "source": _source(found[s.name].source, s.flag, s.env),
            "default": s.shown(s.default),
            "unit": s.unit or None,
            "environment": s.env,
            "flag": s.flag if s.name in SHOWN else None,
            "help": s.help,
        }
        for s in SETTINGS
    ]
    click.echo(json.dumps({"settings": rows}) if output == "json" else _table(rows))


def _source(source: Source, flag: str, env: str) -> str:
    return {Source.FLAG: flag, Source.ENVIRONMENT: env, Source.DEFAULT: "default"}[source]


def _table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        value = "unset" if row["value"] is None else str(row["value"])
        unit = f" {row['unit']}" if row["unit"] and row["value"] is not None else ""
        default = "" if row["source"] == "default" else f" [default {'unset' if row['default'] is None else row['default']}]"
        lines.append((row["name"], value + unit, row["source"], row["help"] + default))
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    return "\n".join("  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[3]]) for line in lines)
