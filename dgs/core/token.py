"""Position tokens: GENERATION:PARTITION:POSITION, what a loader prints after it has written, and `min_position` takes.

Everything written to that record partition before the position is meant. Loaders write them; clients pass them on; the data plane
waits for them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from dgs.core.errors import InputError

_TOKEN = re.compile(r"([0-9]{1,9}):([0-9]{1,9}):([0-9]{1,18})")
_BETWEEN = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True, order=True)
class PositionToken:
    """A position in one record partition, of one generation of a deployment."""

    generation: int
    partition: int
    position: int

    @staticmethod
    def parse(text: str) -> "PositionToken":
        """Read one token.

        Raises:
            InputError: it is none.
        """
        found = _TOKEN.fullmatch(text)
        if found is None:
            raise InputError(f"{text!r} is no position: it is GENERATION:PARTITION:POSITION, as dgs-loader prints it")
        return PositionToken(*map(int, found.groups()))

    def __str__(self) -> str:
        return f"{self.generation}:{self.partition}:{self.position}"


Tokens: TypeAlias = PositionToken | str | Iterable[PositionToken | str]
"""What may be given for positions: one, or several; a text may hold several, between commas or white space."""


def read_tokens(given: Tokens | None) -> tuple[PositionToken, ...]:
    """Return the tokens in the order in which they are given; None are none.

    Raises:
        InputError: with every text that is no position.
    """
    if given is None:
        return ()
    found: list[PositionToken] = []
    problems: list[str] = []
    for part in [given] if isinstance(given, PositionToken | str) else given:
        if isinstance(part, PositionToken):
            found.append(part)
            continue
        texts = [text for text in _BETWEEN.split(part) if text]
        if not texts:
            problems.append("a position is empty; it is GENERATION:PARTITION:POSITION, as dgs-loader prints it")
        for text in texts:
            try:
                found.append(PositionToken.parse(text))
            except InputError as e:
                problems += e.problems
    if problems:
        raise InputError(problems)
    return tuple(found)
