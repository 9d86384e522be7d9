"""The summary of a sampler partition against what was loaded into it."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from dgs.core.errors import StateError
from dgs.inspection.partition import describe_sampler_partition
from dgs.testing import graph
from dgs.testing.graph import Edge, Vertex
from tests.inspection.conftest import RAWS, P, S, World


def test_it_counts_what_was_loaded(world: World) -> None:
    for p in range(P):
        own = graph.by_partition(RAWS, P)[p]
        edges = [raw for raw in own if isinstance(raw, Edge)]
        vertices = Counter(raw.vtype for raw in own if isinstance(raw, Vertex))
        by_type = Counter((e.etype, e.src_type) for e in edges)
        found = describe_sampler_partition(world.subject, p)
        json.dumps(found)
        assert (found["kind"], found["partition"], found["position"], found["control"]) == ("sampler", p, world.positions[p], 3)
        assert found["log"] == {"begin": 0, "end": world.positions[p], "counts": "bytes"}
        assert found["watermark"] == max(raw.timestamp for raw in own)
        assert found["queries"] == [{"id": 7, "name": "shop"}]
        assert found["dimensions"] == [{"kind": "vertex", "type": 0, "attribute": 2, "dim": 2}]
        assert found["records"] == {"a": vertices[0], "b": vertices[1]}
        assert found["history"] == [
            {"edges": "ab", "from": "a", "count": by_type[0, 0]},
            {"edges": "mixed", "from": "b", "count": by_type[1, 1]},
        ]
        operators = {o.get("samples", o["of"]): o for o in found["operators"]}
        assert operators.keys() == {"ab", "mixed", "b"}
        sources = {e.src for e in edges if e.etype == 0}
        assert (operators["ab"]["rows"], operators["ab"]["slots"]) == (len(sources), 3 * len(sources))
        assert (operators["ab"]["strategy"], operators["ab"]["fanout"], operators["ab"]["of"]) == ("topk_by_timestamp", 3, "a")
        assert operators["ab"]["subscriptions"] == 0, "rows of seeds are fed"
        assert operators["mixed"]["slots"] == 2 * len({e.src for e in edges if e.etype == 1})
        assert 0 < operators["mixed"]["subscribed_rows"] <= operators["mixed"]["subscriptions"]
        assert [c["serving_partition"] for c in found["channels"]] == list(range(S))
        assert all(c["sent"] > 0 and c["received"] > 0 for c in found["channels"])
        assert found["store_bytes"] > 0


def test_the_state_of_another_deployment_is_told(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.root, tmp_path / "state")
    copy = World(tmp_path / "state")
    deployment = copy.directory.read()
    assert deployment is not None
    copy.directory.write(replace(deployment, log_id="another"))
    with pytest.raises(StateError, match="it was copied here from another one"):
        describe_sampler_partition(copy.subject, 0)
