"""The page of settings, from the table of `dgs.config`."""

from dgs.cli.config import SHOWN
from dgs.config import SETTINGS, Setting
from docs.generate.markdown import code, page, table

_ABOUT = """\
All settings of the service, in the order of `dgs config show`, which prints the values that hold and where they come from. A flag
wins over the environment, that over the default. Unknown `DGS_` variables are reported and ignored. What they mean for who runs the
service: [../cli.md](../cli.md)."""


def settings_page() -> str:
    """Return the page."""
    head = ("setting", "flag", "environment", "default", "unit", "values", "meaning")
    return page("Settings", _ABOUT, [table(head, map(_row, SETTINGS))])


def _row(s: Setting) -> tuple[str, ...]:
    default = "unset" if s.default is None else code(s.default)
    flag = code(s.flag) if s.name in SHOWN else ""  # others are options of single commands
    return code(s.name), flag, code(s.env), default, s.unit, _values(s), s.help


def _values(s: Setting) -> str:
    if s.choices:
        return ", ".join(map(code, s.choices))
    if s.least is not None:
        return f"{s.least} to {s.most}"
    return "a path" if s.type.__name__ == "Path" else "a text"
