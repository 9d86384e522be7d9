"""Dense arrays against the plainest loops over every seed's own ego-graph."""

from typing import Any

import numpy as np
import pytest
from dgs_client.batch import EgoGraphs
from dgs_client.dense import Hop, Padding, Step

from dgs.core.errors import InputError
from tests.client.making import CHAIN, DIM, HEAD, QUERY, World, column, random_world, read

SEEDS = [5, -1, 3, 5, 77, 0]


def batch_of(world: World, *parts: list[int]) -> EgoGraphs:
    """Return a batch of SEEDS whose places in the request are spread over graphs so."""
    graphs = [world.graph([SEEDS[i] for i in part], part) for part in parts]
    return EgoGraphs(world.head, read(*graphs))


def neighbours(answer: dict[str, Any], steps: list[tuple[int, str]], sources: list[int]) -> list[list[tuple[int, Any, int]]]:
    """Return for every source its (row, edge element, place) under the first step."""
    operator, dst_type = steps[0]
    edges = next(e for e in answer["edges"] if (e["operator"], e["dst_type"]) == (operator, dst_type))
    return [[(edges["dst"][i], edges, i) for i, s in enumerate(edges["src"]) if s == source] for source in sources]


def naive(batch: EgoGraphs, steps: list[tuple[int, str]], fanouts: list[int], attribute: str, dim: int) -> list[dict[str, Any]]:
    """Fill the arrays of every hop, one element at a time."""
    hops = []
    for k, (operator, dst_type) in enumerate(steps, 1):
        shape = (len(batch), *fanouts[:k])
        hop = {
            "ids": np.full(shape, -1, np.int64),
            "mask": np.zeros(shape, bool),
            "known": np.zeros(shape, bool),
            "timestamps": np.zeros(shape, np.int64),
            "features": np.zeros((*shape, dim) if dim > 1 else shape),
        }
        for b, ego in enumerate(batch):
            answer = ego.to_dict()
            for place in np.ndindex(*fanouts[:k]):
                row: int | None = answer["vertices"]["user"]["ids"].index(ego.seed)
                edge = None
                for (step, to), slot in zip(steps[:k], place, strict=True):
                    found = neighbours(answer, [(step, to)], [row] if row is not None else [])
                    row = edge = None
                    if found and slot < len(found[0]):
                        row, edge, at = found[0][slot]
                if row is None or edge is None:
                    continue
                vertices = answer["vertices"][dst_type]
                hop["ids"][b, *place] = vertices["ids"][row]
                hop["mask"][b, *place] = True
                hop["known"][b, *place] = vertices["known"][row] is True
                hop["timestamps"][b, *place] = edge["timestamp"][at]
                if (value := vertices["attrs"][attribute][row]) is not None:
                    hop["features"][b, *place] = value
        hops.append(hop)
        assert operator
    return hops


PATHS: list[tuple[list[Step], list[tuple[int, str]], list[int]]] = [
    (["clicked"], [(2, "item")], [2]),
    (["follows", "friends clicked"], [(3, "user"), (4, "item")], [2, 3]),
    ([3, 4, (6, "user")], [(3, "user"), (4, "item"), (6, "user")], [1, 2, 2]),
    (["follows", 4, ("near", "item")], [(3, "user"), (4, "item"), (6, "item")], [2, 1, 4]),
]


@pytest.mark.parametrize(("path", "steps", "fanouts"), PATHS)
@pytest.mark.parametrize("number", range(3))
def test_arrays_are_those_of_plain_loops(number: int, path: list[Step], steps: list[tuple[int, str]], fanouts: list[int]) -> None:
    world = random_world(number)
    # Records show as seed by seed only where one walk does not look further than another.
    batch = batch_of(world, *([i] for i in range(len(SEEDS))))
    hops = batch.dense(path, fanouts, attributes=["vec"])
    assert hops[0].ids.tolist() == SEEDS
    assert hops[0].features["vec"].shape == (len(SEEDS), DIM)
    for hop, want in zip(hops[1:], naive(batch, steps, fanouts, "vec", DIM), strict=True):
        assert hop.shape == want["ids"].shape
        for name in ("ids", "mask", "known", "timestamps"):
            np.testing.assert_array_equal(getattr(hop, name), want[name], strict=True)
        assert hop.features["vec"].dtype == np.float32
        np.testing.assert_allclose(hop.features["vec"], want["features"], rtol=1e-6)


@pytest.mark.parametrize("number", range(3))
def test_it_does_not_matter_how_seeds_are_spread_over_graphs(number: int) -> None:
    world = random_world(number, CHAIN)
    first, second = batch_of(world, [0, 1, 2, 3, 4, 5]), batch_of(world, [4, 0], [1, 3, 5], [2])
    hops = [b.dense(fanouts=[2, 3], attributes=["vec", "stock"], edge_attributes=["weight"]) for b in (first, second)]
    for one, other in zip(*hops, strict=True):
        assert_equal(one, other)
    assert [h.shape for h in hops[0]] == [(6,), (6, 2), (6, 2, 3)]
    assert [sorted(h.features) for h in hops[0]] == [["vec"], ["vec"], ["stock", "vec"]]
    assert [sorted(h.edge_features) for h in hops[0]] == [[], [], ["weight"]]


def assert_equal(one: Hop, other: Hop) -> None:
    for name in ("ids", "mask", "known", "timestamps", "scores"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for a, b in ((one.features, other.features), (one.edge_features, other.edge_features)):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


def test_padding_stands_where_nothing_is() -> None:
    world = World(CHAIN, {(2, 5): [("user", 6, 40, None)]}, {("user", 6): {"vec": [1.0, 2.0, 3.0]}})
    batch = EgoGraphs(HEAD, read(world.graph([5])))
    seeds, friends, items = batch.dense(fanouts=[2, 1], attributes=["vec"], padding=Padding(vertex=-9, timestamp=-1, value=0.5))
    assert seeds.features["vec"].tolist() == [[0.5, 0.5, 0.5]], "the seed has no vec"
    assert friends.ids.tolist() == [[6, -9]]
    assert friends.known.tolist() == [[True, False]]
    assert friends.timestamps is not None
    assert friends.timestamps.tolist() == [[40, -1]]
    assert friends.features["vec"].tolist() == [[[1, 2, 3], [0.5, 0.5, 0.5]]]
    assert items.ids.tolist() == [[[-9], [-9]]]
    assert repr(friends) == "<hop of user [1, 2], 1 there, vec float32 [1, 2, 3]>"


def test_without_fanouts_there_is_room_for_the_widest_row() -> None:
    world = random_world(2, CHAIN)
    batch = batch_of(world, [0, 2, 4], [1, 3, 5])
    egos = list(batch)
    widest = [max(max(np.bincount(e.edges[k].src), default=0) if len(e.edges[k]) else 0 for e in egos) for k in (0, 1)]
    assert batch.dense()[-1].shape == (6, *widest)
    assert egos[0].dense(["follows"])[1].shape[0] == 1


def test_a_list_whose_length_one_graph_does_not_know() -> None:
    world = random_world(0, CHAIN)
    strange = world.graph([SEEDS[0]], [0])
    for vertices in strange.vertices:
        vertices.columns[1].CopyFrom(column("vec", [None]))
        vertices.columns[1].length = 0
    batch = EgoGraphs(HEAD, read(strange, world.graph([SEEDS[1]], [1])))
    for hop in batch.dense(fanouts=[2, 2], attributes=["vec"], padding=Padding(value=2.0)):
        assert hop.features["vec"].shape == (*hop.shape, DIM)
        assert (hop.features["vec"][0] == 2.0).all()
    assert batch.merged().vertices["user"]["vec"].shape[1] == DIM


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"path": ["clicks"]}, "no edges are of alias 'clicks'; there are clicked (operator 2, user → item), follows"),
        ({"path": ["friends clicked"], "fanouts": [2, 2]}, "fanouts has one number from 1 on for each step of the path (1), not"),
        ({"path": ["clicked"], "fanouts": [0]}, "fanouts has one number from 1 on for each step of the path (1), not"),
        ({"path": ["near"]}, "several edges are of alias 'near': near (operator 6, item → item), near (operator 6, item → user)"),
        ({"path": [6]}, "several edges are of operator 6"),
        ({"path": [9]}, "no edges are of operator 9"),
        ({"path": [("near", "item")]}, "a path begins at the seed, of type 'user'"),
        ({"path": ["clicked", "follows"]}, "follows (operator 3, user → user) does not go on from where clicked"),
        ({}, "the plan is no chain, so give the path"),
        ({"path": ["clicked"], "attributes": ["vec", "colour"]}, "no vertices on this path have colour"),
        ({"path": ["follows"], "edge_attributes": ["weight"]}, "no edges on this path have weight; they have none"),
        ({"path": ["clicked"], "attributes": ["title"]}, "texts have no place"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], why: str) -> None:
    batch = batch_of(random_world(0, QUERY), [0, 1, 2, 3, 4, 5])
    with pytest.raises(InputError) as caught:
        batch.dense(**arguments)
    assert why in str(caught.value)


def test_nothing_asked_has_no_arrays() -> None:
    with pytest.raises(InputError, match="no seeds"):
        EgoGraphs(HEAD, []).dense()
    with pytest.raises(InputError, match="samples no edges"):
        EgoGraphs(HEAD, read(edgeless())).dense()


def edgeless() -> Any:
    graph = random_world(0).graph([1])
    del graph.edges[:]
    return graph
