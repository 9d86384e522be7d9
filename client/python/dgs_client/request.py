"""A request for samples: its parameters, how they stand in a URL or a body, and the message that one process answers.

`dgs_client.client` decides who is asked.
"""

import json
import operator
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, SupportsIndex

from dgs.core.errors import DeadlineError, DgsError, InputError
from dgs.core.token import Tokens, read_tokens
from dgs_client.connection import Patience, with_parameters
from dgs_client.pool import ConnectionPool

SAMPLES = "/samples"
GRACE_S = 1.0
"""How much longer than a request's own deadline its answer may take: the service is to say that it has passed."""


def parameters(
    query: str | int | None,
    fanouts: Iterable[SupportsIndex] | None,
    min_position: Tokens | None,
    timeout_ms: int | None,
    scores: bool,
) -> dict[str, Any]:
    """Return the parameters that are given, by their names in a request."""
    tokens = [str(p) for p in read_tokens(min_position)]
    given = {
        "query": query,
        "fanouts": None if fanouts is None else [operator.index(f) for f in fanouts],
        "min_position": tokens or None,
        "timeout_ms": timeout_ms,
        "scores": scores or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def seed(vid: SupportsIndex) -> int:
    """Return a seed as it is asked for.

    Raises:
        InputError: it is no integer.
    """
    try:
        return operator.index(vid)
    except TypeError:
        raise InputError(f"a vid is an integer, not {vid!r}") from None


def message_from(pool: ConnectionPool, asked: Mapping[str, Any], *, answer_s: float | None = None) -> bytes:
    """Ask one process; return its message. Raises as `Client.samples`.

    Args:
        pool: connections to it.
        asked: parameters, and `vid` or `vids`.
        answer_s: how long it may take where it is to wait for no positions; otherwise as long as the pool's patience has it.
    """
    from dgs_client.message import MEDIA_TYPE

    patience = pool.patience
    if (timeout_ms := asked.get("timeout_ms")) is not None:
        timeout_s = timeout_ms / 1000
        patience = Patience(timeout_s + GRACE_S, min(timeout_s, patience.retry_timeout_s))
    if answer_s is not None and "min_position" not in asked:
        patience = replace(patience, timeout_s=min(patience.timeout_s, answer_s))
    headers = {"Accept": MEDIA_TYPE}
    with pool.connection(None if timeout_ms is None else patience.timeout_s) as connection:
        if "vid" in asked:
            path = with_parameters(SAMPLES, {name: _parameter(value) for name, value in asked.items()})
            response = connection.request("GET", path, None, headers, patience=patience)
        else:
            headers["Content-Type"] = "application/json"
            response = connection.request("POST", SAMPLES, json.dumps(asked).encode(), headers, patience=patience)
    given = response.headers.get("content-type", "").partition(";")[0]
    if given != MEDIA_TYPE:
        raise DgsError(
            f"{pool.server} answers {given or 'no media type'} where {MEDIA_TYPE} was asked for; is it older than this client?"
        )
    return response.body


def left_ms_until(deadline: float | None) -> int | None:
    """Return how much time is left; None where there is no deadline.

    Raises:
        DeadlineError: none is.
    """
    if deadline is None:
        return None
    left_ms = int(1000 * (deadline - time.monotonic()))
    if left_ms < 1:
        raise DeadlineError("the time was over before all seeds were asked for; ask for fewer, or give more time")
    return left_ms


def _parameter(value: Any) -> str:
    """Return a value as it stands in a URL."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "true" if value is True else str(value)
