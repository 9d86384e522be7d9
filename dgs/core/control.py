"""Control items: what the coordinator writes equally into every record partition, numbered 1, 2, 3, …

A partition takes only the next number, so an item may be written again after a crash. Kinds and their bodies:

- `dimension`: {"kind", "type", "attribute", "dim"}: the length of a list attribute is fixed from here on.
- `install`: {"id", "name", "plan"}: a query is served from here on; `plan` is the install-query document.
- `barrier`: {"id", "rounds"}: answer with marks.
"""

from dataclasses import dataclass
from typing import Any

DIMENSION, INSTALL, BARRIER = "dimension", "install", "barrier"


@dataclass(frozen=True, slots=True)
class ControlItem:
    """One numbered order of the coordinator."""

    number: int
    kind: str
    body: dict[str, Any]
