"""A seed's own graph, walked out of a merged one, is what the service answers for that seed alone."""

import pytest
from dgs_client.egograph import EgoGraph
from dgs_client.walk import graph_of_seed

from tests.client.making import CHAIN, HEAD, QUERY, random_world, read


@pytest.mark.parametrize("document", [QUERY, CHAIN], ids=["dag", "chain"])
@pytest.mark.parametrize("number", range(8))
def test_every_seed_of_a_merged_graph_gets_its_own_graph(number: int, document: dict[str, object]) -> None:
    world = random_world(number, document)
    seeds = [5, -1, 3, 5, 77, 0]
    (merged,) = read(world.graph(seeds))
    for place, seed in enumerate(seeds):
        (alone,) = read(world.graph([seed]))
        got, want = (EgoGraph(HEAD, graph).to_dict() for graph in (graph_of_seed(merged, place, world.plan), alone))
        assert got == want


def test_the_worlds_share_what_a_walk_must_tell_apart() -> None:
    """Of some seed, the merged graph has a row that it must not take, and a record that it must not show."""
    rows = records = 0
    for number in range(8):
        world = random_world(number)
        (merged,) = read(world.graph([5, 3, 0]))
        own = graph_of_seed(merged, 0, world.plan)
        reached = {e.dst_type: set(own.vertices[e.dst_type].ids.tolist()) for e in own.edges}
        for have, whole in zip(own.edges, merged.edges, strict=True):
            sources = merged.vertices[whole.src_type].ids[whole.src].tolist()
            rows += len(have) < sum(s in reached.get(whole.src_type, {5}) for s in sources)
        items = merged.vertices["item"]
        shown = dict(zip(items.ids.tolist(), items.record.tolist(), strict=True))
        mine = own.vertices["item"]
        records += any(shown[v] > r for v, r in zip(mine.ids.tolist(), mine.record.tolist(), strict=True))
    assert rows
    assert records


def test_of_an_empty_graph_the_seed_is_left() -> None:
    world = random_world(1)
    world.rows.clear()
    (merged,) = read(world.graph([1, 2]))
    alone = EgoGraph(HEAD, graph_of_seed(merged, 1, world.plan))
    assert alone.seed == 2
    assert alone.vertices["user"].ids.tolist() == [2]
    assert [len(e) for e in alone.edges] == [0] * 5
    assert alone.vertices["item"]["vec"].shape == (0, 3)
