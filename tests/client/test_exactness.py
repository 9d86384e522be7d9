"""What the service writes, the client reads: golden bytes, and any plan over any history, seed by seed as JSON has it."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dgs_client.batch import EgoGraphs
from dgs_client.message import read_message
from hypothesis import HealthCheck, given, settings

from dgs.codec.answers import AnswerHeader, answer_json
from dgs.codec.messages import samples_begin
from dgs.serving.lookup import Lookup
from dgs.testing.graph import Raw
from tests.machines.plans import histories, plans
from tests.machines.world import World

GOLDEN = Path(__file__).parents[2] / "schemas" / "golden" / "samples"
SEEDS = [0, 2, -1, 404, 2, 1]


def plain(data: bytes) -> list[dict[str, Any]]:
    """Return the ego-graphs of an answer with scores."""
    return [ego.to_dict() for ego in EgoGraphs(*read_message(data, scores=True))]


@pytest.mark.parametrize(("name", "count"), [("one", 1), ("many", 4)])
def test_golden_bytes(name: str, count: int) -> None:
    want = json.loads((GOLDEN / "many.json").read_bytes())["samples"][:count]
    assert plain((GOLDEN / f"{name}.pb").read_bytes()) == want


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=plans(), batches=histories())
def test_any_answer(document: dict[str, Any], batches: list[list[Raw]]) -> None:
    world = World(random.Random(1), document, 1, 1, 50)
    for batch in batches:
        world.load(batch)
    world.run()
    state = world.servings[0].machine.state
    query = state.catalog.operators.query(0)
    assert query is not None
    lookup, reflected = Lookup(state), [int(p) for p in state.positions]
    begin = samples_begin(query, state.catalog.layouts.schema, generation=1, ready=True)
    asked = np.arange(len(SEEDS), dtype=np.int32)
    data = bytes(lookup.graph(query, np.array(SEEDS, np.int64), asked, before=begin, scores=True)[0])
    header = AnswerHeader(1, reflected, state.watermark, True)
    layouts = state.catalog.layouts
    want = [json.loads(answer_json(lookup.ego_graph(query, v), query, layouts, header, scores=True)) for v in SEEDS]
    assert plain(data) == want
