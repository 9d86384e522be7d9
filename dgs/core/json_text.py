"""Reading the JSON documents that users give: schemas, queries, mappings, events.

Python's reader takes what its writers, and the messages about what is wrong, then fail on: values nested hundreds deep. Here they
are refused at the door, at a depth that no document has a use for. Nothing here knows what a document means.
"""

import json
from collections.abc import Callable
from typing import Any

NESTING_MOST = 64
"""Arrays and objects within each other."""


def read_json(text: str | bytes, *, number: Callable[[str], Any] | None = None) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text.
        number: what makes a value of a number as it is written, NaN and Infinity too; None for Python's own.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    try:
        document = json.loads(text, parse_int=number, parse_float=number, parse_constant=number)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    openings = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if openings <= NESTING_MOST:  # not deeper, whatever is in what; events are nearly all so
        return document
    level, depth = [document], 0
    while level := [value for value in level if isinstance(value, dict | list)]:
        depth += 1
        if depth > NESTING_MOST:
            raise ValueError(_TOO_DEEP)
        level = [inner for value in level for inner in (value.values() if isinstance(value, dict) else value)]
    return document


_TOO_DEEP = f"its values are nested more than {NESTING_MOST} deep"
