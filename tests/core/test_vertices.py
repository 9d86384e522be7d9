"""A VertexIndex against a dict."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.partition import mix, partition_of
from dgs.core.vertices import VertexIndex
from tests.core.making import INT64S

BATCHES = st.lists(st.lists(st.integers(-5, 5) | INT64S, max_size=20), max_size=10)


@settings(max_examples=200, deadline=None)
@given(BATCHES, st.lists(st.integers(-8, 8) | INT64S, max_size=20))
def test_rows_are_given_in_the_order_of_arrival_and_never_change(batches: list[list[int]], others: list[int]) -> None:
    index, twin = VertexIndex(), dict[int, int]()
    for batch in batches:
        for v in batch:
            twin.setdefault(v, len(twin) + 1)
        assert index.intern(np.array(batch, np.int64)).tolist() == [twin[v] for v in batch]
        assert index.used == len(twin) + 1
    assert index.ids[1 : index.used].tolist() == list(twin)
    assert index.find(np.array(others, np.int64)).tolist() == [twin.get(v, 0) for v in others]


def test_the_table_grows_and_keeps_everything() -> None:
    index, rnd = VertexIndex(), np.random.default_rng(0)
    ids = rnd.permutation(np.arange(-20_000, 20_000))
    for part in np.array_split(ids, 37):
        index.intern(part)
    assert index.find(ids).tolist() == list(range(1, len(ids) + 1))
    assert not index.find(np.arange(20_000, 40_000)).any()


def test_ids_that_hash_to_one_place_or_belong_to_one_partition_do_not_get_mixed_up() -> None:
    same_place = [v for v in range(200_000) if mix(v) >> 54 == 5][:100]
    same_partition = [v for v in range(20_000) if partition_of(v, 8) == 3]
    index = VertexIndex()
    ids = np.array(same_place + same_partition)
    ids = ids[np.sort(np.unique(ids, return_index=True)[1])]
    assert index.intern(ids).tolist() == list(range(1, len(ids) + 1))
    assert index.find(ids).tolist() == list(range(1, len(ids) + 1))


def test_known_ids_again_and_again_take_no_room() -> None:
    index = VertexIndex()
    ids = np.arange(1000)
    for _ in range(50):
        index.intern(ids)
    assert index.used == 1001
    assert len(index.ids) <= 1 << 13
