"""Which partitions a process has: named one by one, or by its number among like processes. Pure; the commands use it."""

import re

from dgs.core.errors import InputError

_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
_ORDINAL = re.compile(r".*?([0-9]{1,6})")


def named(text: str, count: int) -> list[int]:
    """Return the partitions of a list such as `0,2-4`.

    Args:
        text: numbers and ranges, with commas between them.
        count: how many partitions there are.

    Raises:
        InputError: it is no such list, or there are no such partitions.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise InputError(f"partitions are numbers and ranges with commas between them, such as 0,2-4, not {text!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or last >= count:
            raise InputError(f"partitions {part.strip()}: there are 0 to {count - 1}")
        found.update(range(first, last + 1))
    return sorted(found)


def ordinal_of(text: str) -> int:
    """Return the number at the end of a text: `2`, or the name of a pod such as `dgs-serve-2`.

    Raises:
        InputError: it does not end with one.
    """
    match = _ORDINAL.fullmatch(text)
    if match is None:
        raise InputError(f"ordinal {text!r} does not end with a number")
    return int(match[1])


def share(count: int, ordinal: int, processes: int, copies: int) -> list[int]:
    """Return the partitions of a process.

    Processes 0 to processes / copies - 1 share all partitions among them, the next as many have the same again, and so on.

    Args:
        count: how many partitions there are.
        ordinal: number of the process, from 0.
        processes: how many like it there are.
        copies: how many of them have each partition.

    Raises:
        InputError: there is nothing left for it, or the numbers do not fit each other.
    """
    if not 0 <= ordinal < processes:
        raise InputError(f"ordinal {ordinal} of {processes} processes: they are 0 to {processes - 1}")
    if processes % copies:
        raise InputError(f"{processes} processes are no multiple of {copies} copies")
    groups = processes // copies
    own = list(range(ordinal % groups, count, groups))
    if not own:
        raise InputError(f"{groups} processes a copy are more than the {count} partitions: process {ordinal} would have none")
    return own
