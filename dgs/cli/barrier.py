"""`dgs barrier`: mark what has been loaded so far, and wait until all of it is servable."""

import time
from urllib.parse import quote

import click

from dgs.cli.service import connected, retry_option, server_option
from dgs.config import Settings
from dgs.core.errors import DeadlineError, NotReadyError, UnreachableError

READY, NOT_SET = "READY", "NOT_SET"
POLL_FIRST_S, POLL_LAST_S = 0.02, 0.5
"""A barrier behind little data is seen at once, a long load is asked about twice a second."""


@click.group()
def barrier() -> None:
    """Set barriers, and wait until everything before them is servable."""


@barrier.command(name="set")
@click.argument("name")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many loaders set this barrier.")
@click.option("--loader-id", type=click.IntRange(min=0), default=0, show_default=True, help="Which of them this one is.")
@server_option
@retry_option(Settings().retry_timeout_s)
def set_barrier(name: str, count: int, loader_id: int, server: str, retry_timeout_s: float) -> None:
    """Set the barrier NAME and print its state: it covers what was loaded before. The same again is fine."""
    with connected(server, retry_timeout_s) as service:
        if loader_id in service.get(_path(name)).json()["loaders"]:
            click.echo(f"dgs: barrier {name} was set before: it does not cover what was loaded since; use another name", err=True)
        click.echo(service.post_json(_path(name), {"count": count, "loader_id": loader_id}).json()["state"])


@barrier.command()
@click.argument("name")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form of the answer.")
@server_option
@retry_option(0.0)
def status(name: str, output: str, server: str, retry_timeout_s: float) -> None:
    """Print how far the barrier NAME is: NOT_SET, PRODUCED, SAMPLED or READY."""
    with connected(server, retry_timeout_s) as service:
        response = service.get(_path(name))
    click.echo(response.text if output == "json" else response.json()["state"])


@barrier.command()
@click.argument("name")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after so long.  [default: never]"
)
@server_option
@retry_option(Settings().retry_timeout_s)
def wait(name: str, timeout_s: float | None, server: str, retry_timeout_s: float) -> None:
    """Wait until the barrier NAME is READY: everything loaded before it is servable.

    A service that is away meanwhile is waited for, too. Ends with 0 when READY, 4 when the time is over, 3 when the service
    stayed away.

    \b
    Example: dgs barrier wait loaded --timeout 60
    """
    wait_until_ready(server, name, timeout_s=timeout_s, away_s_max=retry_timeout_s)
    click.echo(READY)


def wait_until_ready(server: str, name: str, *, timeout_s: float | None, away_s_max: float) -> None:
    """Return when the barrier is READY.

    Raises:
        DeadlineError: it was not within `timeout_s` seconds (None: any time); says how far it got.
        UnreachableError: the service was away for `away_s_max` seconds without a break, or when the time was over.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s, state, told = POLL_FIRST_S, NOT_SET, False
    away_since: float | None = None
    # A frontend that is being started takes connections before it answers: an answer must not outlast the deadline by much.
    with connected(server, answer_s_max=5.0 if timeout_s is None else min(5.0, max(0.5, timeout_s))) as service:
        while True:
            gone: UnreachableError | NotReadyError | None = None
            try:
                state = str(service.get(_path(name)).json()["state"])
                away_since = None
            except (UnreachableError, NotReadyError) as e:
                gone = e
            if state == READY:
                return
            if state == NOT_SET and gone is None and not told:
                told = True
                click.echo(f"dgs: barrier {name} is not set yet; waiting for its loaders", err=True)
            now = time.monotonic()
            if gone is not None:
                if away_since is None:
                    away_since = now
                    click.echo(f"dgs: no answer from {server}; going on when it is back", err=True)
                if now - away_since >= away_s_max or (deadline is not None and now >= deadline):
                    raise UnreachableError(
                        f"{server} was away for {now - away_since:.0f} s while barrier {name} was waited for: {gone}"
                    )
            elif deadline is not None and now >= deadline:
                raise DeadlineError(f"barrier {name} is {state} after {timeout_s:g} s, not {READY}")
            time.sleep(pause_s if deadline is None else max(0.0, min(pause_s, deadline - now)))
            pause_s = min(1.5 * pause_s, POLL_LAST_S)


def _path(name: str) -> str:
    return f"/barriers/{quote(name, safe='')}"
