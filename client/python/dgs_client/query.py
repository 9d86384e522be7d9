"""A query as a service shows it: what the client returns of installed queries, and what answers say they answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Query:
    """An installed query.

    Attributes:
        id: its number.
        name: its name.
        ready: whether it stands in all record partitions.
        document: the install-query document; only where one query was asked for.
    """

    id: int
    name: str
    ready: bool
    document: Mapping[str, Any] | None = None
