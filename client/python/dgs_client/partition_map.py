"""The partition map: which processes answer for which seeds, as `GET /cluster/map` tells it. A value, and how it is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dgs.core.errors import DgsError
from dgs.core.partition import partition_of, partitions_of
from dgs.core.types import Int64s
from dgs_client.connection import Document

Owners = tuple[str, ...]
"""URLs of processes that answer for a partition, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class PartitionMap:
    """Who answers for which seeds.

    Attributes:
        owners: by serving partition, the URLs of all who may be asked; none where nobody is known.
    """

    owners: tuple[Owners, ...] = ()

    @staticmethod
    def read(document: Document) -> "PartitionMap":
        """Read an answer.

        Raises:
            DgsError: it is something else.
        """
        told = document["owners"]
        if not isinstance(told, list) or not all(isinstance(urls, list) and all(isinstance(u, str) for u in urls) for urls in told):
            raise DgsError("the partition map is no list of lists of URLs; is it a dgs service?")
        return PartitionMap(tuple(map(tuple, told)))

    @property
    def complete(self) -> bool:
        """Whether somebody is known for every seed."""
        return bool(self.owners) and all(self.owners)

    def without(self, wrong: Callable[[str], bool]) -> "PartitionMap":
        """Return a map without some of the URLs."""
        return PartitionMap(tuple(tuple(url for url in urls if not wrong(url)) for urls in self.owners))

    def of_seed(self, vid: int, turn: int) -> Owners:
        """Return whom to ask for a seed; with each turn another copy comes first."""
        return _in_turn(self.owners[partition_of(vid, len(self.owners))], turn) if self.owners else ()

    def split(self, vids: Sequence[int], turn: int) -> dict[Owners, Sequence[int]]:
        """Return whom to ask for which seeds of a request, by their places in it; those of like owners stay together."""
        if not self.owners or not vids:
            return {(): range(len(vids))}
        try:
            partitions = partitions_of(np.array(vids, np.int64), len(self.owners))
        except OverflowError:  # no vertex has such an id, which the server is to say
            return {(): range(len(vids))}
        places: dict[Owners, list[Int64s]] = {}
        for partition in np.unique(partitions).tolist():
            own = np.flatnonzero(partitions == partition)
            places.setdefault(_in_turn(self.owners[partition], turn), []).append(own)
        return {owners: np.sort(np.concatenate(own)).tolist() for owners, own in places.items()}


def _in_turn(urls: Owners, turn: int) -> Owners:
    first = turn % len(urls) if urls else 0
    return urls[first:] + urls[:first]
