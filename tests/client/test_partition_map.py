"""The partition map: how it is read, whom it names for a seed, and how it splits a request."""

from typing import Any

import pytest
from dgs_client.connection import Document
from dgs_client.partition_map import PartitionMap

from dgs.core.errors import DgsError
from dgs.core.partition import partition_of

A, B, C = "http://a:1", "http://b:1", "http://c:1"
MAP = PartitionMap(((A, B), (C,), (A, B), ()))
VIDS = [*range(-20, 20), 5, (1 << 63) - 1, -(1 << 63)]


def test_a_map_is_read() -> None:
    document = {"generation": 1, "owners": [[A, B], [C], [A, B], []], "of a newer service": 1}
    assert PartitionMap.read(Document(document, "server")) == MAP


@pytest.mark.parametrize("told", [{}, {"owners": 5}, {"owners": ["http://a:1"]}, {"owners": [[1]]}, {"owners": None}], ids=str)
def test_what_is_no_map_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(DgsError, match="is it"):
        PartitionMap.read(Document(told, "server"))


def test_a_seed_is_its_partitions_owners() -> None:
    for vid in VIDS:
        owners = MAP.owners[partition_of(vid, 4)]
        assert MAP.of_seed(vid, 0) == owners
        assert set(MAP.of_seed(vid, 1)) == set(owners)
    assert PartitionMap().of_seed(5, 0) == ()


def test_copies_take_turns() -> None:
    vid = next(v for v in VIDS if partition_of(v, 4) == 0)
    assert [MAP.of_seed(vid, turn) for turn in range(3)] == [(A, B), (B, A), (A, B)]


@pytest.mark.parametrize("turn", [0, 1])
def test_a_request_is_split_by_owners(turn: int) -> None:
    split = MAP.split(VIDS, turn)
    assert set(split) == {(A, B) if turn == 0 else (B, A), (C,), ()}
    assert sorted(place for places in split.values() for place in places) == list(range(len(VIDS)))
    for owners, places in split.items():
        assert list(places) == sorted(places)
        assert all(MAP.of_seed(VIDS[place], turn) == owners for place in places)


def test_what_belongs_to_nobody_is_not_split() -> None:
    assert {owners: list(places) for owners, places in PartitionMap().split([5, 3], 0).items()} == {(): [0, 1]}
    assert {owners: list(places) for owners, places in MAP.split([5, 1 << 63], 0).items()} == {(): [0, 1]}
    assert {owners: list(places) for owners, places in MAP.split([], 0).items()} == {(): []}


def test_urls_that_cannot_be_asked_are_left_out() -> None:
    assert MAP.without(lambda url: url == A) == PartitionMap(((B,), (C,), (B,), ()))


def test_a_map_is_complete_when_every_partition_has_somebody() -> None:
    assert [m.complete for m in (MAP, PartitionMap(), PartitionMap(((A,), (B,))))] == [False, False, True]
