"""Answers of one serving partition: what many seeds share, what fewer neighbours mean, and what buffers and stamps must not change.

That answers are right at all is the business of `tests/machines`, which compares them with an oracle.
"""

import random
from typing import Any

import numpy as np
import pytest

from dgs.core.blocks import SLOT
from dgs.core.control import INSTALL
from dgs.core.kernels import walk
from dgs.core.kernels.answer import STAMPS_MOST
from dgs.core.operators import InstalledQuery
from dgs.core.types import Int32s, Int64s
from dgs.serving.lookup import PROGRAMS_MOST, Lookup
from dgs.serving.room import OUT_BYTES
from dgs.testing.graph import SCHEMA, Edge, Vertex
from dgs.testing.message import expected_of
from dgs.testing.plain import plain
from dgs.wire.samples_pb2 import Graph, Samples
from tests.machines.world import World

FANOUTS = (4, 3)
USERS, ITEMS = 12, 9


def plan(*strategies: str) -> dict[str, Any]:
    def node(number: int, kind: str, links: list[int], **params: Any) -> dict[str, Any]:
        pairs = [{"key": k, "value": v} for k, v in params.items()]
        output = 1 if kind == "EDGE_SAMPLER" else 0
        return {"id": number, "kind": kind, "params": pairs, "links": [{"node": n, "src_output": output} for n in links]}

    first, second = ({"etype": 0, "strategy": s, "fanout": f} for s, f in zip(strategies, FANOUTS, strict=True))
    nodes = [
        node(0, "SOURCE", [1, 2], vtype=0),
        node(1, "VERTEX_SAMPLER", [], vtype=0),
        node(2, "EDGE_SAMPLER", [3, 4], vtype=0, **first),
        node(3, "VERTEX_SAMPLER", [], vtype=1),
        node(4, "EDGE_SAMPLER", [1], vtype=1, **second | {"etype": 0}),
    ]
    return {"query_plan": {"plan_nodes": nodes}}


@pytest.fixture
def world() -> World:
    """One partition on each side; every user has more edges than are sampled, some vertices have records."""
    world = World(random.Random(5), plan("topk_by_timestamp", "edge_weight"), 1, 1, 50)
    generator = random.Random(6)
    edges = [
        Edge(
            0,
            source_type,
            generator.randrange(-3, USERS),
            1 - source_type,
            generator.randrange(ITEMS),
            t,
            generator.randrange(1, 9) / 4,
        )
        for t in range(300)
        for source_type in (0, 1)
    ]
    records = [Vertex(t, v, 1, v) for t in (0, 1) for v in range(0, 8, 2)]
    world.load([*edges, *records])
    world.run()
    return world


@pytest.fixture
def lookup(world: World) -> Lookup:
    return Lookup(world.servings[0].machine.state)


@pytest.fixture
def query(world: World) -> InstalledQuery:
    found = world.servings[0].machine.state.catalog.operators.query(0)
    assert found is not None
    return found


def int64s(values: Any) -> Int64s:
    return np.array(list(values), np.int64)


def places(n: int) -> Int32s:
    return np.arange(n, dtype=np.int32)


def ask(lookup: Lookup, query: InstalledQuery, seeds: Any, **more: Any) -> Samples:
    seeds = int64s(seeds)
    return Samples.FromString(bytes(lookup.graph(query, seeds, places(len(seeds)), **more)[0]))


def only(samples: Samples) -> Graph:
    (graph,) = samples.graphs
    return graph


def test_kernels_know_the_layout_of_a_slot() -> None:
    assert SLOT.itemsize == walk.SLOT_BYTES
    assert SLOT.fields is not None
    assert SLOT.fields["score"][1] == 0
    assert SLOT.fields["timestamp"][1] == walk.SLOT_TIMESTAMP
    assert SLOT.fields["dst_type"][1] == walk.SLOT_DST_TYPE
    assert SLOT.fields["place"][1] == walk.SLOT_PLACE


def test_a_row_that_seeds_share_stands_once(lookup: Lookup, query: InstalledQuery) -> None:
    alone = [only(ask(lookup, query, [seed])) for seed in range(USERS)]
    together = only(ask(lookup, query, range(USERS)))
    edges = {e.operator: np.frombuffer(e.src, "<u4") for e in together.edges}
    assert len(edges[2]) == sum(len(g.edges[0].src) // 4 for g in alone)
    assert len(set(edges[4].tolist())) <= ITEMS
    assert len(edges[4]) < sum(len(g.edges[1].src) // 4 for g in alone)


def test_seeds_that_nobody_knows_and_seeds_asked_for_twice(lookup: Lookup, query: InstalledQuery) -> None:
    seeds = [900, 3, -900, 900, 3, 2**63 - 1, -(2**63)]
    graph = only(ask(lookup, query, seeds))
    rows = np.frombuffer(graph.seed_rows, "<u4").tolist()
    assert np.frombuffer(graph.seeds, "<i8").tolist() == seeds
    ids = np.frombuffer(graph.vertices[0].ids, "<i8").tolist()
    assert [ids[r] for r in rows] == seeds
    assert rows == [0, 1, 2, 0, 1, 3, 4]
    known = np.frombuffer(graph.vertices[0].known, np.int8).tolist()
    assert [known[rows[i]] for i in (0, 2, 5, 6)] == [0, 0, 0, 0]


@pytest.mark.parametrize("fanouts", [(4, 3), (2, 1), (1, 3), (4, 0), (0, 3)])
def test_fewer_neighbours_are_the_first_of_each_row(
    lookup: Lookup, query: InstalledQuery, fanouts: tuple[int, int], world: World
) -> None:
    layouts = world.servings[0].machine.state.catalog.layouts
    for seed in range(USERS):
        whole = plain(lookup.ego_graph(query, seed), layouts)
        part = plain(lookup.ego_graph(query, seed, fanouts), layouts)
        assert part.rows[2] == {v: row[: fanouts[0]] for v, row in whole.rows[2].items() if fanouts[0]}
        reached = {slot.dst for row in part.rows[2].values() for slot in row}
        assert part.rows[4] == {v: row[: fanouts[1]] for v, row in whole.rows[4].items() if v in reached and fanouts[1]}
        message = expected_of(ask(lookup, query, [seed], fanouts=fanouts), query, SCHEMA)[0][1]
        assert {n: r for n, r in message.rows.items() if r} == {n: r for n, r in part.rows.items() if r}
        assert message.vertices == part.vertices


def test_scores_are_what_rows_are_sorted_by(lookup: Lookup, query: InstalledQuery) -> None:
    graph = only(ask(lookup, query, [3], scores=True))
    newest, weighted = graph.edges
    assert newest.WhichOneof("score") == "int_scores"
    assert np.frombuffer(newest.int_scores, "<i8").tolist() == np.frombuffer(newest.timestamps, "<i8").tolist()
    assert weighted.WhichOneof("score") == "float_scores"
    scores, src = np.frombuffer(weighted.float_scores, "<f8"), np.frombuffer(weighted.src, "<u4")
    assert len(scores) == len(src) > 3
    assert (scores < 0).all(), "ln(u) / weight"
    for source in set(src.tolist()):
        own = scores[src == source].tolist()
        assert own == sorted(own, reverse=True)
    assert only(ask(lookup, query, [3])).edges[0].WhichOneof("score") is None


def test_answers_do_not_depend_on_what_was_asked_before(world: World, query: InstalledQuery) -> None:
    state = world.servings[0].machine.state
    used = Lookup(state)
    generator = random.Random(1)
    for _ in range(200):
        seeds = [generator.randrange(-5, USERS + 3) for _ in range(generator.choice([1, 1, 3, 80]))]
        fanouts = generator.choice([None, (1, 1), (4, 2)])
        fresh = Lookup(state)
        more: dict[str, Any] = {"fanouts": fanouts, "scores": generator.random() < 0.5, "before": b"\x10\x07"}
        asked = places(len(seeds))
        assert bytes(used.graph(query, int64s(seeds), asked, **more)[0]) == bytes(
            fresh.graph(query, int64s(seeds), asked, **more)[0]
        )


def test_memory_that_has_moved_is_looked_up_anew(lookup: Lookup, query: InstalledQuery, world: World) -> None:
    ask(lookup, query, range(USERS))
    world.load([Edge(0, 0, v % USERS, 1, v, 1000 + v, 1.0) for v in range(2_000)] + [Vertex(1, v, 5, v) for v in range(2_000)])
    world.run()
    answers = expected_of(ask(lookup, query, range(USERS)), query, SCHEMA)
    oracle = world.oracle()
    for place in range(USERS):
        want = oracle.ego_graph(world.query, place)
        assert answers[place][1].rows[2] == want.rows[2]
        assert answers[place][1].vertices == want.vertices


def test_stamps_begin_anew_when_they_are_used_up(lookup: Lookup, query: InstalledQuery) -> None:
    first = ask(lookup, query, range(USERS))
    lookup._room._record["stamp"] = STAMPS_MOST - 1
    for _ in range(3):
        assert ask(lookup, query, range(USERS)) == first
    assert int(lookup._room._record["stamp"][0]) < 10


def test_queries_of_different_sizes_do_not_disturb_each_other(world: World) -> None:
    """All of them mark the same places."""
    small = {"query_plan": {"plan_nodes": [n for n in plan("random", "random")["query_plan"]["plan_nodes"] if n["id"] in (0, 2)]}}
    small["query_plan"]["plan_nodes"][0]["links"] = [{"node": 2, "src_output": 0}]
    small["query_plan"]["plan_nodes"][1]["links"] = []
    world.control(INSTALL, {"id": 1, "name": "small", "plan": {**small, "query_id": 1}})
    world.load([Edge(0, 0, user, 1, user % ITEMS, 1000 + user, 1.0) for user in range(USERS)])
    world.run()
    state = world.servings[0].machine.state
    used, generator = Lookup(state), random.Random(2)
    queries = [q for q in (state.catalog.operators.query(0), state.catalog.operators.query(1)) if q is not None]
    assert [len(q.plan.nodes) for q in queries] == [4, 1]
    for _ in range(100):
        asked_for = [(0, USERS), *[(1, 1)] * generator.randrange(5), (generator.randrange(2), USERS)]
        for number, count in asked_for:
            seeds, asked, query = int64s(range(count)), places(count), queries[number]
            assert bytes(used.graph(query, seeds, asked)[0]) == bytes(Lookup(state).graph(query, seeds, asked)[0])


def test_a_large_message_has_memory_of_its_own(lookup: Lookup, query: InstalledQuery) -> None:
    seeds = list(range(100_000, 100_000 + OUT_BYTES // 8))
    asked = places(len(seeds))
    body, _ = lookup.graph(query, int64s(seeds), asked, before=b"\x10\x07")
    assert isinstance(body, memoryview)
    kept = bytes(body)
    lookup.graph(query, int64s(range(USERS)), places(USERS))
    assert bytes(body) == kept
    samples = Samples.FromString(kept)
    assert samples.generation == 7
    assert np.frombuffer(only(samples).seeds, "<i8").tolist() == seeds
    small, _ = lookup.graph(query, int64s([1]), places(1))
    assert isinstance(small, bytes)


def test_only_so_many_programs_are_kept(lookup: Lookup, query: InstalledQuery) -> None:
    whole = ask(lookup, query, [3])
    for i in range(2 * PROGRAMS_MOST):
        lookup.ego_graph(query, 3, (i % 5, i % 4))
    assert len(lookup._programs) <= PROGRAMS_MOST
    assert ask(lookup, query, [3]) == whole


def test_it_says_what_it_reflects(lookup: Lookup, query: InstalledQuery, world: World) -> None:
    state = world.servings[0].machine.state
    graph = only(ask(lookup, query, [1]))
    assert np.frombuffer(graph.positions, "<u8").tolist() == state.positions
    assert graph.watermark == state.watermark
    state.watermarks[:] = [-(2**63)]
    assert only(ask(lookup, query, [1])).watermark == -(2**63)
    state.watermarks[:] = [None]
    assert not only(ask(lookup, query, [1])).HasField("watermark")
