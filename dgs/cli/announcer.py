"""What a command that supervises processes tells its user."""

from collections.abc import Callable

import click

from dgs.cli.service import server_argument
from dgs.config import Settings
from dgs.core.deployment import Deployment
from dgs.telemetry import logs


def teller(settings: Settings) -> Callable[[str], None]:
    """Return what tells lines of the supervisor, for people or in the form in which its children log."""
    if settings.log_format == "text":
        return _say
    logs.set_up(settings.log_level, "supervisor", settings.log_format)
    return logs.get("dgs.supervisor").info


class Announcer:
    """Tells the user that the service answers: with what to try next the first time, in one line after a restart.

    Args:
        url: where it answers.
        say: see `teller`.
        hints: whether to say what to try next.
        processes: so many have to be ready first.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        deployment: Deployment,
        say: Callable[[str], None],
        *,
        hints: bool,
        processes: int = 1,
    ) -> None:
        self._missing = processes
        self._url = url
        self._say = say
        self._settings = settings
        self._deployment = deployment
        self._hints = hints
        self._again = False

    def ready(self) -> None:
        """Take note that one more is ready; say it if it was the last one."""
        self._missing -= 1
        if self._missing > 0:
            return
        d = self._deployment
        self._say(f"serving at {self._url} (data in {self._settings.data_dir}, {d.partitions} + {d.serving_partitions} partitions)")
        if self._hints and not self._again:
            server = server_argument(self._url)
            click.echo(
                f"  load data      dgs-loader --dgs-service-host {self._url} --pattern-file FILE --data-file FILE --barrier NAME\n"
                f"  wait for it    dgs barrier wait NAME{server}\n"
                f"  ask            dgs sample VID{server}\n"
                f"  stop           Ctrl-C",
                err=True,
            )
        self._again = True


def _say(line: str) -> None:
    click.echo(f"dgs: {line}", err=True)
