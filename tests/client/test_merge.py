"""Merged graphs: each vertex once, each row once, seeds in the order of the request."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from dgs_client.batch import EgoGraphs
from dgs_client.graph import Graph

from tests.client.making import HEAD, QUERY, random_world, read

SEEDS = [5, -1, 3, 5, 77, 0]


def records_of(graph: Graph) -> dict[tuple[str, int], Any]:
    """Return what is known of every vertex."""
    found = {}
    for vtype, vertices in graph.vertices.items():
        columns = {name: column.to_list() for name, column in vertices.columns.items()}
        for row, vertex in enumerate(vertices.ids.tolist()):
            assert (vtype, vertex) not in found, "a vertex stands twice"
            found[vtype, vertex] = (int(vertices.record[row]), {name: values[row] for name, values in columns.items()})
    return found


def rows_of(graph: Graph) -> dict[tuple[int, int], dict[str, list[Any]]]:
    """Return the row of every operator and source, by destination type, in its order."""
    rows: dict[tuple[int, int], dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for edges in graph.edges:
        sources, destinations = graph.vertices[edges.src_type].ids, graph.vertices[edges.dst_type].ids
        weights = edges.columns["weight"].to_list() if "weight" in edges.columns else [None] * len(edges)
        assert edges.scores is not None
        last = None
        for src, dst, timestamp, weight, score in zip(
            sources[edges.src].tolist(), destinations[edges.dst].tolist(), edges.timestamps, weights, edges.scores, strict=True
        ):
            row = rows[edges.operator, src][edges.dst_type]
            assert src == last or not row, "edges of a source stand apart"
            row.append((dst, int(timestamp), weight, int(score)))
            last = src
    return {key: dict(row) for key, row in rows.items()}


@pytest.mark.parametrize("number", range(5))
def test_graphs_of_one_instant_make_the_graph_of_all_seeds(number: int) -> None:
    world = random_world(number, QUERY)
    (together,) = read(world.graph(SEEDS))
    batch = EgoGraphs(HEAD, read(*(world.graph([SEEDS[i] for i in part], part) for part in ([4, 0], [1, 3, 5], [2]))))
    merged = batch.merged()
    assert merged.seeds.tolist() == SEEDS
    assert merged.vertices["user"].ids[merged.seed_rows].tolist() == SEEDS
    assert merged.asked.tolist() == list(range(6))
    assert rows_of(merged) == rows_of(together)
    assert records_of(merged) == records_of(together)


@pytest.mark.parametrize("number", range(5))
def test_where_instants_differ_one_row_and_one_record_is_taken_whole(number: int) -> None:
    spread = [([5, -1, 3], [0, 1, 2]), ([3, 0, 5], [3, 4, 5])]
    graphs = [random_world(10 * number + k).graph(seeds, asked) for k, (seeds, asked) in enumerate(spread)]
    parts = read(*graphs)
    merged = EgoGraphs(HEAD, parts).merged()
    rows, records = [rows_of(g) for g in parts], [records_of(g) for g in parts]
    for key, row in rows_of(merged).items():
        assert row == next(r[key] for r in rows if key in r)
    assert rows_of(merged).keys() == rows[0].keys() | rows[1].keys()
    for vertex, record in records_of(merged).items():
        assert record == max((r[vertex] for r in records if vertex in r), key=lambda r: r[0])
    assert records_of(merged).keys() == records[0].keys() | records[1].keys()
    assert any(key in rows[1] and rows[0][key] != rows[1][key] for key in rows[0]), "there is a choice to make"


def test_what_the_whole_reflects() -> None:
    world = random_world(0)
    first, second = world.graph([5], [1], positions=(9, 4), pending=2), world.graph([3], [0], positions=(7, 8), pending=1)
    second.watermark = -3
    merged = EgoGraphs(HEAD, read(first, second)).merged()
    assert (merged.positions, merged.watermark, merged.pending) == ((7, 4), -3, 3)
    first.ClearField("watermark")
    assert EgoGraphs(HEAD, read(first, second)).merged().watermark == -3
    second.ClearField("watermark")
    assert EgoGraphs(HEAD, read(first, second)).merged().watermark is None


def test_merged_graphs_are_what_a_model_takes() -> None:
    merged = EgoGraphs(HEAD, read(*(random_world(3).graph([v], [i]) for i, v in enumerate(SEEDS)))).merged()
    for edges in merged.edges:
        index = edges.edge_index
        assert index.dtype == np.int64
        assert index.shape == (2, len(edges))
        if len(edges):
            assert index[0].max() < len(merged.vertices[edges.src_type])
            assert index[1].max() < len(merged.vertices[edges.dst_type])
    assert merged.vertices["item"]["vec"].shape == (len(merged.vertices["item"]), 3)
    assert [e.operator for e in merged.hop(2)] == [4]
