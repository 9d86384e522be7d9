"""How commands reach a service: the options that say where it is, and a connection that tells when it has to wait for it."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dgs.config import Settings
from dgs.core.errors import NotReadyError, UnreachableError

if TYPE_CHECKING:
    from dgs_client.connection import Connection

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_SERVER = f"http://{Settings().host}:{Settings().port}"
SERVER_ENV = "DGS_SERVER"
PROBE_S = 2.0
"""How long a service may take to say that it lives, before the user is told that it is waited for."""

server_option = click.option(
    "--server",
    envvar=SERVER_ENV,
    default=DEFAULT_SERVER,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The service: a URL, or host:port.",
)


def retry_option(default_s: float) -> Callable[[F], F]:
    """Return the option `--retry-timeout`; commands that only look give up at once, those that scripts build upon wait."""
    return click.option(
        "--retry-timeout",
        "retry_timeout_s",
        envvar="DGS_RETRY_TIMEOUT_S",
        type=click.FloatRange(min=0),
        default=default_s,
        show_default=True,
        show_envvar=True,
        metavar="SECONDS",
        help="How long a service that is away is tried for.",
    )


@contextmanager
def connected(server: str, retry_timeout_s: float = 0.0, *, answer_s_max: float = 30.0) -> Iterator["Connection"]:
    """Give a connection to the service; when it is away now and is going to be waited for, say so on stderr.

    Args:
        server: a URL, or host:port.
        retry_timeout_s: how long requests are repeated while the service is away; 0 for never.
        answer_s_max: how long one answer may take.

    Raises:
        UnreachableError: the service is away, for `retry_timeout_s` seconds.
    """
    from dgs_client.connection import Connection

    if retry_timeout_s:
        with Connection(server, retry_timeout_s=0.0, timeout_s=PROBE_S) as probe:
            try:
                probe.get("/livez")
            except (UnreachableError, NotReadyError):
                click.echo(f"dgs: no answer from {server} yet; waiting up to {retry_timeout_s:g} s", err=True)
    with Connection(server, retry_timeout_s=retry_timeout_s, timeout_s=answer_s_max) as connection:
        yield connection


def server_argument(server: str) -> str:
    """Return what has to be added to a command so that it reaches this service: nothing for the default one."""
    return "" if server == DEFAULT_SERVER else f" --server {shlex.quote(server)}"
