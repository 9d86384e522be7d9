"""The rows that measurements give, and what is made of them: a table for the terminal, a JSON file and plots.

It measures nothing. A floor is what the same machine does in the same run with nothing of ours in the way.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from perf.machine import Machine


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be: at least or at most a number, of the ratio (`of_ratio`) or of ours itself."""

    least: float | None = None
    most: float | None = None
    of_ratio: bool = True

    def __str__(self) -> str:
        sign, number = ("≥", self.least) if self.least is not None else ("≤", self.most)
        return f"{sign} {number:,g}{'' if self.of_ratio else ' (ours)'}"

    def met(self, ours: float, ratio: float | None) -> bool:
        """Whether a row reaches it."""
        figure = ratio if self.of_ratio else ours
        if figure is None:
            return False
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        work: what is done.
        unit: of `ours` and `floor`.
        ours: the figure.
        floor: the same of the floor; None where there is nothing to compare with.
        ratio: of the two, larger is better unless the aim says `most`.
        aim: None for a figure that is only told.
        latencies: p50, p99, p99.9 in ms and the rate offered, where requests are involved.
        detail: further figures, for the JSON and the plots.
    """

    work: str
    unit: str
    ours: float
    floor: float | None = None
    ratio: float | None = None
    aim: Aim | None = None
    latencies: dict[str, float] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None where there is none."""
        return None if self.aim is None else self.aim.met(self.ours, self.ratio)


def print_table(rows: Iterable[Row], machine: Machine) -> None:
    """Print the table."""
    table = Table(title=str(machine), title_justify="left", title_style="", expand=False)
    for name in ("work", "ours", "floor", "unit", "ratio", "aim", "", "offered/s", "p50", "p99", "p99.9 ms"):
        table.add_column(name, justify="left" if name in ("work", "unit", "aim", "") else "right")
    for row in rows:
        met = {None: "", True: "yes", False: "no"}[row.met]
        told = [_figure(row.latencies.get(n)) for n in ("offered_per_s", "p50_ms", "p99_ms", "p999_ms")]
        aim = "" if row.aim is None else str(row.aim)
        table.add_row(row.work, _figure(row.ours), _figure(row.floor), row.unit, _figure(row.ratio), aim, met, *told)
    Console(width=170, soft_wrap=False).print(table)


def write_json(rows: Iterable[Row], machine: Machine, path: Path) -> None:
    """Write every figure, with the machine's description."""
    document = {"machine": asdict(machine), "rows": [asdict(r) | {"aim": r.aim and str(r.aim), "met": r.met} for r in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"
