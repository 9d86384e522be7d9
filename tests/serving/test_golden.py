"""Answers, byte by byte, as `schemas/golden/samples/` has them: for clients in other languages, and against changes by accident.

One graph with every odd thing in it (attributes that all, some and no rows have, texts, lists, an unknown seed, a seed asked for
twice, ids at the ends of int64), as protobuf, and each seed's own answer as JSON. Set DGS_WRITE_GOLDEN=1 to write the files anew.
"""

import os
import random
from pathlib import Path

import numpy as np
import orjson
import pytest

from dgs.codec.answers import AnswerHeader, answer_json
from dgs.codec.messages import samples_begin
from dgs.serving.lookup import Lookup
from dgs.testing.graph import Edge, Vertex
from tests.machines.world import World
from tests.serving.test_lookup import plan

FOLDER = Path(__file__).parents[2] / "schemas" / "golden" / "samples"
LEAST, MOST = -(1 << 63), (1 << 63) - 1
SEEDS = [3, LEAST, 404, 3]


def golden() -> dict[str, bytes]:
    world = World(random.Random(1), plan("topk_by_timestamp", "edge_weight"), 1, 1, 50)
    edges = [
        Edge(0, 0, 3, 1, MOST, 10, 0.5, "käse"),
        Edge(0, 0, 3, 1, -7, 11, None, ""),
        Edge(0, 0, 3, 1, -7, 12, 2.0, None),
        Edge(0, 0, LEAST, 1, -7, -9, 1.25, "two words"),
        Edge(0, 1, -7, 0, 3, 20, 3.0),
        Edge(0, 1, -7, 0, 8, 21, 0.25),
        Edge(0, 1, MOST, 0, LEAST, MOST, 1.0),
    ]
    world.load([*edges, Vertex(0, 3, 5, 4), Vertex(0, LEAST, 6, 2), Vertex(1, -7, 7, 3)])
    world.run()
    state = world.servings[0].machine.state
    state.positions[:] = [1201]
    query = state.catalog.operators.query(0)
    assert query is not None
    lookup = Lookup(state)
    begin = samples_begin(query, state.catalog.layouts.schema, generation=1, ready=True)
    files = {}
    for name, seeds in (("one", SEEDS[:1]), ("many", SEEDS)):
        asked = np.arange(len(seeds), dtype=np.int32)
        files[f"{name}.pb"] = bytes(lookup.graph(query, np.array(seeds, np.int64), asked, before=begin, scores=True)[0])
    header = AnswerHeader(1, state.positions, state.watermark, True)
    layouts = state.catalog.layouts
    answers = [orjson.loads(answer_json(lookup.ego_graph(query, v), query, layouts, header, scores=True)) for v in SEEDS]
    files["many.json"] = orjson.dumps({"samples": answers}, option=orjson.OPT_INDENT_2) + b"\n"
    return files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    found = golden()
    if os.environ.get("DGS_WRITE_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        for name, data in found.items():
            (FOLDER / name).write_bytes(data)
    return found


@pytest.mark.parametrize("name", ["one.pb", "many.pb", "many.json"])
def test_answers_are_what_they_were(files: dict[str, bytes], name: str) -> None:
    assert files[name] == (FOLDER / name).read_bytes()


def test_there_are_no_other_files(files: dict[str, bytes]) -> None:
    assert sorted(p.name for p in FOLDER.iterdir()) == sorted(files)
