"""What an ego-graph and a batch tell of themselves."""

import json

import numpy as np
import pytest
from dgs_client import DgsError, EgoGraph, EgoGraphs, InputError, PositionToken

from tests.client.making import CHAIN, HEAD, QUERY, World, random_world, read, samples


@pytest.fixture
def ego() -> EgoGraph:
    return EgoGraph(HEAD, read(random_world(0).graph([5], pending=2))[0])


def test_what_it_is(ego: EgoGraph) -> None:
    assert (ego.seed, ego.seed_type, ego.known, ego.ready, ego.pending, ego.watermark) == (5, "user", True, True, 2, 11)
    assert (ego.query.name, ego.generation, ego.history, ego.positions) == ("dag", 1, "full", (5, 6))
    assert ego.reflected == [PositionToken(1, 0, 5), PositionToken(1, 1, 6)]
    assert list(ego.vertices) == ["user", "item"]
    assert ego.vertices["user"].ids[0] == 5
    assert [e.alias for e in ego.edges] == ["clicked", "follows", "friends clicked", "near", "near"]
    assert [[e.alias for e in ego.hop(k)] for k in range(5)] == [
        [],
        ["clicked", "follows"],
        ["friends clicked"],
        ["near", "near"],
        [],
    ]
    assert repr(ego).startswith("<EgoGraph of user 5: vertices ")


def test_edges_are_found_by_alias_place_and_operator(ego: EgoGraph) -> None:
    assert ego.edges["follows"] is ego.edges[1] is ego.edges.operator(3)
    assert ego.edges.operator(6, "user").dst_type == ego.edges.find("near", "user").dst_type == "user"
    assert [e.operator for e in ego.edges[:2]] == [2, 3]
    with pytest.raises(InputError, match="several edges are of alias 'near'"):
        ego.edges["near"]
    with pytest.raises(IndexError):
        ego.edges[9]


def test_columns_tell_what_is_there(ego: EgoGraph) -> None:
    items = ego.vertices["item"]
    for name in items.columns:
        there = items.present(name)
        assert there.dtype == np.bool_
        assert there.shape == (len(items),)
        absent = items[name][~there]
        assert not absent.any() if absent.dtype != object else set(absent) <= {None}
    assert (items.known <= items.looked_for).all()
    with pytest.raises(KeyError, match="'item' has no attribute 'colour'; it has timestamp, vec, title, stock"):
        items["colour"]
    assert repr(items) == f"<{len(items)} item vertices: timestamp, vec, title, stock>"


def test_plain_values_are_those_of_json() -> None:
    world = World(QUERY, {}, {("user", 5): {"vec": [0.1, 1e-9, 16777216.0], "timestamp": 1 << 60}})
    plain = EgoGraph(HEAD, read(world.graph([5]))[0]).to_dict()
    assert plain["vertices"]["user"]["attrs"] == {"timestamp": [1 << 60], "vec": [[0.1, 1e-9, 16777216.0]]}
    assert json.loads(json.dumps(plain)) == plain


def test_a_seed_that_the_plan_does_not_look_for() -> None:
    document = {"query_plan": {"plan_nodes": [{"id": 0, "kind": "SOURCE", "params": [{"key": "vtype", "value": "user"}]}]}}
    seed = EgoGraph(HEAD, read(random_world(0, document).graph([5]))[0])
    assert seed.known is None
    assert seed.to_dict()["vertices"]["user"] == {"ids": [5], "known": [None], "attrs": {"timestamp": [None], "vec": [None]}}
    assert repr(seed) == "<EgoGraph of user 5: vertices 1 user; edges none>"


def test_a_batch_is_a_sequence() -> None:
    world = random_world(1, CHAIN)
    batch = EgoGraphs(world.head, read(world.graph([7, 3], [2, 0], pending=1), world.graph([-1], [1], pending=4)))
    assert [e.seed for e in batch] == [3, -1, 7] == batch.seeds.tolist()
    assert (batch[-1].seed, [e.seed for e in batch[1:]], len(batch), batch.pending) == (7, [-1, 7], 3, 5)
    assert batch[1].pending == 4
    with pytest.raises(IndexError):
        batch[3]
    assert repr(batch) == "<EgoGraphs of 3 seeds in 2 graphs, query 'dag'>"


def test_in_an_answer_of_an_older_service_seeds_that_share_a_graph_stay_together() -> None:
    world = random_world(1, CHAIN)
    batch = EgoGraphs.read(samples(world.graph([7, 3], [2, 0]), world.graph([-1], [1])))
    assert batch[1].to_dict() == EgoGraphs.read(samples(world.graph([-1])))[0].to_dict()
    with pytest.raises(DgsError, match=r"seed 3 shares a graph with others, .* the service is older than this client; upgrade it"):
        batch[0]
    assert batch.merged().seeds.tolist() == [3, -1, 7]
    assert batch.dense(fanouts=[2, 2])[0].ids.tolist() == [3, -1, 7]


def test_no_seeds() -> None:
    batch = EgoGraphs(HEAD, [])
    assert not len(batch)
    assert not list(batch)
    assert batch.seeds.dtype == np.int64
    with pytest.raises(InputError, match="no seeds"):
        batch.merged()
