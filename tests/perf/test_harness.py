"""The measurements run, at sizes whose figures mean nothing, and fail when an answer is wrong."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgs.core.types import Int32s, Int64s
from dgs.serving.lookup import Lookup
from dgs.wire.samples_pb2 import Samples
from perf import client, direct, recovery, scaling, wrk
from perf.__main__ import TINY, run
from perf.check import WrongAnswerError, check_all, check_message
from perf.graph import Graph, Shape
from perf.inprocess import Machines, build
from perf.report import Aim, Row
from tests.lacking import lacking

GRAPH = Graph(Shape(3, 2, 4), 40)
SEEDS = [5, 3, 5, 39]


@pytest.fixture(scope="module")
def machines() -> Machines:
    return build(GRAPH)


@pytest.fixture
def message(machines: Machines) -> bytes:
    return answer(machines, SEEDS)


def answer(machines: Machines, seeds: Sequence[int]) -> bytes:
    query = machines.serving.state.catalog.operators.query(0)
    assert query is not None
    asked: Int32s = np.arange(len(seeds), dtype=np.int32)
    own: Int64s = np.array(seeds, np.int64)
    return bytes(Lookup(machines.serving.state).graph(query, own, asked)[0])


def test_an_answer_is_what_the_oracle_says(message: bytes) -> None:
    check_message(GRAPH, SEEDS, message)


def an_edge_less(samples: Any) -> None:
    edges = samples.graphs[0].edges[0]
    edges.src, edges.dst, edges.timestamps = edges.src[:-4], edges.dst[:-4], edges.timestamps[:-8]
    for column in edges.columns:
        column.values = column.values[:-4]


def another_weight(samples: Any) -> None:
    column = samples.graphs[0].edges[1].columns[0]
    column.values = bytes(4) + column.values[4:]


def another_feature(samples: Any) -> None:
    column = next(c for c in samples.graphs[0].vertices[1].columns if c.name == "vec")
    column.values = column.values[:-4] + bytes(4)


def an_unknown_vertex(samples: Any) -> None:
    vertices = samples.graphs[0].vertices[1]
    vertices.known = bytes(1) + vertices.known[1:]


def another_seed(samples: Any) -> None:
    samples.graphs[0].seeds = samples.graphs[0].seeds[::-1]


@pytest.mark.parametrize("spoil", [an_edge_less, another_weight, another_feature, an_unknown_vertex, another_seed])
def test_a_wrong_answer_is_noticed(message: bytes, spoil: Any) -> None:
    samples = Samples.FromString(message)
    spoil(samples)
    with pytest.raises(WrongAnswerError):
        check_message(GRAPH, SEEDS, samples.SerializeToString())


def test_an_answer_to_another_question_is_noticed(machines: Machines) -> None:
    with pytest.raises(WrongAnswerError):
        check_message(GRAPH, [5], answer(machines, [6]))


def test_nothing_checked_is_nothing_proved() -> None:
    with pytest.raises(WrongAnswerError):
        check_all(GRAPH, [])


def test_later_edges_of_a_shorter_stream_are_the_first_of_a_longer_one() -> None:
    few, many = GRAPH.later(5), GRAPH.later(9)
    assert few.src.tolist() == many.src[:5].tolist()
    assert few.dst.tolist() == many.dst[:5].tolist()


def test_aims() -> None:
    assert Row("", "", 1.0, ratio=0.7, aim=Aim(least=0.7)).met is True
    assert Row("", "", 9.0, ratio=3.1, aim=Aim(most=3)).met is False
    assert Row("", "", 51.0, aim=Aim(most=50, of_ratio=False)).met is False
    assert Row("", "", 1.0, aim=Aim(least=0.7)).met is False, "there is no ratio to judge"
    assert Row("", "", 1.0).met is None


def test_a_server_that_is_away_is_told() -> None:
    with pytest.raises(client.RefusedError):
        client.run(client.Load(1, 10, 1, 0.1))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["inprocess", "http", "loading"])
def test_it_runs(part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run(TINY, [part], tmp_path)
    document = json.loads((tmp_path / "figures.json").read_text())
    assert [r["work"] for r in document["rows"]] == [r.work for r in rows]
    assert all(r.ours > 0 for r in rows)
    assert all(r.ratio > 0 for r in rows if r.ratio is not None)
    assert document["machine"]["cores"] > 0
    assert {p.name for p in tmp_path.glob("*.png")} >= {"ratios.png"}
    assert "measured" in capsys.readouterr().err


@pytest.mark.slow
def test_recovery_runs(tmp_path: Path) -> None:
    rows = recovery.run(recovery.Size(40_000, rounds=1), tmp_path)
    document = json.loads((tmp_path / "recovery.json").read_text())
    assert [r["work"] for r in document["rows"]] == [r.work for r in rows]
    assert all(r.ours > 0 for r in rows)
    assert {r.unit for r in rows if r.aim} == {"s", "ms", "edges/s"}


@pytest.mark.slow
def test_direct_runs() -> None:
    rows = direct.measure(GRAPH, 1, 0.2)
    assert [r.unit for r in rows] == ["requests/s", "ms", "ms", "µs/request"] * len(direct.SEEDS)
    assert all(r.ours > 0 and r.floor for r in rows)


@pytest.mark.slow
def test_scaling_runs() -> None:
    if (why := wrk.missing()) is not None:
        lacking(why)
    rows = scaling.measure(Graph(scaling.SHAPE, 300), 30_000, 1, 0.5)
    assert [r.unit for r in rows] == ["records/s", *["requests/s", "%", "requests/s"] * len(scaling.CLIENTS)]
    assert all(r.ours > 0 and r.floor for r in rows)
    with pytest.raises(client.RefusedError):
        wrk.run(client.Load(1, 10, 1, 0.1))


@pytest.mark.slow
def test_a_restart_with_wrong_answers_gives_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_graph = Graph.oracle
    monkeypatch.setattr(Graph, "oracle", lambda self, seeds, later=0: of_graph(self, seeds, 60_000))
    with pytest.raises(WrongAnswerError):
        recovery.run(recovery.Size(6_000, rounds=1), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_with_wrong_answers_gives_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle is told of one edge more than the machines have."""
    of_graph = Graph.oracle
    monkeypatch.setattr(Graph, "oracle", lambda self, seeds, later=0: of_graph(self, seeds, 1000))
    with pytest.raises(WrongAnswerError):
        run(replace(TINY, vertices=50), ["inprocess"], tmp_path)
    assert not list(tmp_path.iterdir())
