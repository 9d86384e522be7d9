"""What a request for samples asks for, read strictly from a URL or a body: the parameters, and every problem with them at once.

It reads and checks the form only; whether there is such a query, and whether the fanouts fit it, the data plane says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dgs.api.parameters import given_parameters
from dgs.core.errors import InputError
from dgs.core.token import PositionToken, read_tokens

_INT64 = range(-(1 << 63), 1 << 63)
_DECIMAL = re.compile(r"-?[0-9]{1,32}")
_PLAIN = re.compile(rb"vid=(-?[0-9]{1,18})")
"""What most requests are; they are read in a tenth of the time."""
_UNSIGNED = re.compile(r"[0-9]{1,9}")
TIMEOUT_MS_MOST = 600_000
WAIT_MS = 10_000
"""How long a request that names positions waits for them, unless it says how long."""
BODY = '{"query": NAME OR ID, "vids": [VID, …]}'
GET_NAMES = "vid, query, fanouts, min_position, timeout_ms and scores"
POST_NAMES = "query, vids, fanouts, min_position, timeout_ms and scores"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of every seed of a request.

    Attributes:
        query: name or id; None while exactly one is installed.
        fanouts: for each edge node of the plan, in plan order, how many of a row's neighbours; None for all.
        scores: whether edges carry what they were chosen by.
        after: positions that have to be reflected.
        timeout_ms: how long that may take; None for the service's default.
    """

    query: int | str | None = None
    fanouts: tuple[int, ...] | None = None
    scores: bool = False
    after: tuple[PositionToken, ...] = ()
    timeout_ms: int | None = None


PLAIN = Wanted()
"""Nothing special, as most requests."""


def read_get(query_string: bytes) -> tuple[int, Wanted]:
    """Return vid and the rest of a `GET /samples`.

    Raises:
        InputError: with every problem of the parameters.
    """
    if found := _PLAIN.fullmatch(query_string):
        return int(found[1]), PLAIN
    problems: list[str] = []
    given = given_parameters(query_string, problems)
    vid = _vid("vid", given.pop("vid", None), problems)
    wanted = _wanted_texts(given, problems) if given else PLAIN
    problems += _unknown(given, GET_NAMES)
    if problems:
        raise InputError(problems)
    return vid, wanted


def read_infer(query_string: bytes) -> tuple[int, Wanted]:
    """Return vid and the query of the reference's `GET /infer?qid=&vid=`.

    Raises:
        InputError: with every problem of the parameters.
    """
    problems: list[str] = []
    given = given_parameters(query_string, problems)
    vid = _vid("vid", given.pop("vid", None), problems)
    query = _vid("qid", given.pop("qid", None), problems)
    problems += _unknown(given, "qid and vid")
    if problems:
        raise InputError(problems)
    return vid, Wanted(query)


def read_post(body: bytes) -> tuple[list[int], Wanted]:
    """Return vids and the rest of a `POST /samples`.

    Raises:
        InputError: with every problem of the body.
    """
    return _batch(_document(body))


def read_share(body: bytes) -> tuple[list[int], list[int], Wanted]:
    """Return vids, their places in a larger request, and the rest of what a frontend asks another one on behalf of a client.

    Raises:
        InputError: with every problem of the body.
    """
    document = _document(body)
    places = document.pop("places", None)
    vids, wanted = _batch(document)
    if not isinstance(places, list) or len(places) != len(vids) or not all(type(p) is int and 0 <= p < 1 << 31 for p in places):
        raise InputError("places are as many numbers from 0 as there are vids")
    return vids, places, wanted


def write_share(vids: Sequence[int], places: Sequence[int], wanted: Wanted) -> bytes:
    """Return a body that `read_share` reads."""
    document = {
        "vids": vids,
        "places": places,
        "query": wanted.query,
        "fanouts": wanted.fanouts,
        "scores": wanted.scores,
        "min_position": [str(token) for token in wanted.after],
        "timeout_ms": wanted.timeout_ms,
    }
    return orjson.dumps(document)


def _document(body: bytes) -> dict[str, Any]:
    if not body:
        raise InputError(f"the body is empty; it is {BODY}")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise InputError(f"the body is not JSON: {e}") from None
    if not isinstance(document, dict):
        raise InputError(f"the body is an object: {BODY}")
    return document


def _batch(document: dict[str, Any]) -> tuple[list[int], Wanted]:
    problems: list[str] = []
    vids = document.pop("vids", None)
    if not isinstance(vids, list):
        problems.append("vids is missing" if vids is None else f"vids is an array of integers, not {_shown(vids)}")
    # Types first, all at once: a bool is an int to every comparison, and there may be a thousand vids.
    elif not set(map(type, vids)) <= {int}:
        i, wrong = next((i, v) for i, v in enumerate(vids) if type(v) is not int)
        problems.append(f"vids[{i}] is an int64 number, not {_shown(wrong)}")
    elif vids and (min(vids) not in _INT64 or max(vids) not in _INT64):
        i, wrong = next((i, v) for i, v in enumerate(vids) if v not in _INT64)
        problems.append(f"vids[{i}] = {wrong} is beyond int64")
    wanted = _wanted_json(document, problems)
    problems += _unknown(document, POST_NAMES)
    if problems:
        raise InputError(problems)
    assert isinstance(vids, list), "anything else is a problem"
    return vids, wanted


def _wanted_texts(given: dict[str, str], problems: list[str]) -> Wanted:
    """Take the parameters of a URL that it knows out of `given`."""
    query = given.pop("query", None)
    if query == "":
        problems.append("query is empty; leave it out, or give the name or id of a query")
    fanouts: tuple[int, ...] | None = None
    if (text := given.pop("fanouts", None)) is not None:
        parts = [part.strip() for part in text.split(",")]
        if all(map(_UNSIGNED.fullmatch, parts)):
            fanouts = tuple(map(int, parts))
        else:
            problems.append(f"fanouts are numbers with commas between them, such as 10,5, not {text!r}")
    scores = given.pop("scores", "false")
    if scores not in ("true", "false"):
        problems.append(f"scores is true or false, not {scores!r}")
    after = _tokens(given.pop("min_position", None), problems)
    timeout_ms: int | None = None
    if (text := given.pop("timeout_ms", None)) is not None:
        timeout_ms = _timeout(int(text) if _UNSIGNED.fullmatch(text) else text, problems)
    return Wanted(query, fanouts, scores == "true", after, timeout_ms)


def _wanted_json(document: dict[str, Any], problems: list[str]) -> Wanted:
    """Take the members of a body that it knows out of `document`; null is as good as left out."""
    query = document.pop("query", None)
    if (query is not None and type(query) not in (int, str)) or query == "":
        problems.append(f"query is the name or id of a query, not {_shown(query)}")
        query = None
    fanouts = document.pop("fanouts", None)
    if fanouts is not None:
        if not isinstance(fanouts, list) or any(type(f) is not int or f < 0 for f in fanouts):
            problems.append(f"fanouts is an array of numbers from 0, such as [10, 5], not {_shown(fanouts)}")
        fanouts = tuple(fanouts) if isinstance(fanouts, list) else None
    scores = document.pop("scores", None) or False
    if type(scores) is not bool:
        problems.append(f"scores is true or false, not {_shown(scores)}")
    tokens = document.pop("min_position", None)
    after: tuple[PositionToken, ...] = ()
    if isinstance(tokens, str) or (isinstance(tokens, list) and all(isinstance(t, str) for t in tokens)):
        after = _tokens(tokens, problems)
    elif tokens is not None:
        problems.append(f"min_position is a text, or an array of them, not {_shown(tokens)}")
    timeout_ms = document.pop("timeout_ms", None)
    return Wanted(query, fanouts, bool(scores), after, None if timeout_ms is None else _timeout(timeout_ms, problems))


def _tokens(given: str | list[str] | None, problems: list[str]) -> tuple[PositionToken, ...]:
    try:
        return read_tokens(given)
    except InputError as e:
        problems += [f"min_position: {p}" for p in e.problems]
        return ()


def _timeout(value: object, problems: list[str]) -> int | None:
    if type(value) is int and 0 <= value <= TIMEOUT_MS_MOST:
        return value
    problems.append(f"timeout_ms is a number of milliseconds from 0 to {TIMEOUT_MS_MOST}, not {_shown(value)}")
    return None


def _vid(name: str, text: str | None, problems: list[str]) -> int:
    if text is None:
        problems.append(f"{name} is missing")
    elif not _DECIMAL.fullmatch(text):
        problems.append(f"{name} is an int64 in decimal, not {text!r}")
    elif (vid := int(text)) in _INT64:
        return vid
    else:
        problems.append(f"{name} = {text} is beyond int64")
    return 0


def _unknown(given: Mapping[str, Any], known: str) -> list[str]:
    return [f"unknown parameter {n!r}; known are {known}" for n in given]


def _shown(value: object) -> str:
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # it reads what is nested deeper than it writes
        return "a value that is nested so deep"
    return text if len(text) <= 60 else f"{text[:60]}…"
