"""Schemas and queries that people got wrong: every problem is told, and what is accepted can be installed and sampled."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from dgs.codec.answers import AnswerHeader, answer_json
from dgs.coordinator.queries import install
from dgs.coordinator.state import State
from dgs.core.control import INSTALL, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.errors import InputError, PlanError, SchemaError
from dgs.core.query import QueryPlan, parse_query
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.machine import SamplerMachine
from dgs.serving.lookup import Lookup
from dgs.serving.machine import ServingMachine
from dgs.store.memory import MemoryStore
from dgs.testing.graph import SCHEMA, SCHEMA_DOCUMENT
from dgs.wire.samples_pb2 import Samples
from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.logs import PLAN
from tests.fuzz.mutations import damaged, damaged_documents, values

U2I = Path(__file__).parents[2] / "schemas" / "u2i"
SCHEMAS: list[dict[str, Any]] = [SCHEMA_DOCUMENT, json.loads((U2I / "schema.json").read_text())]
DEEP = "deep"
"""Stands for a value that Python could not write."""
EMPTY_GRAPH = Position(1)


@cache
def plans() -> list[dict[str, Any]]:
    """Valid documents over `dgs.testing.graph.SCHEMA`."""
    other = json.loads(json.dumps(PLAN))
    for node in other["query_plan"]["plan_nodes"]:
        node["kind"] = ["SOURCE", "VERTEX_SAMPLER", "EDGE_SAMPLER"].index(node["kind"])
    other["query_id"] = 7
    decay = json.loads(json.dumps(PLAN))
    decay["query_plan"]["plan_nodes"][3]["params"] += [{"key": "half_life", "value": 3.5}, {"key": "seed", "value": -1}]
    decay["query_plan"]["plan_nodes"][3]["params"][2]["value"] = "time_decay"
    return [PLAN, other, decay]


def texts(corpus: list[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """Texts of documents that were changed, and of any value; some with damage that is no JSON any more."""
    whole = [json.dumps(document).encode() for document in corpus]
    deep = st.sampled_from([300, 900, 990, 1000, 100_000]).map(lambda n: b"[" * n + b"]" * n)
    return st.one_of(
        damaged_documents(corpus).map(as_json), damaged_documents(corpus).map(as_json), values.map(as_json), damaged(whole), deep
    )


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


# Schemas --------------------------------------------------------------------------------------------------------------------------


def test_schemas(fuzzer: Fuzzer) -> None:
    fuzzer.run(check_schema, texts(SCHEMAS), count=400)


def check_schema(text: bytes) -> None:
    try:
        schema = Schema.parse(text)
    except SchemaError as e:
        assert e.problems
        assert all(e.problems)
        assert str(e).encode(errors="replace")
        return
    assert schema.text.encode() == text
    deployment = Deployment("log", 1, 1, 1, schema)
    machine = SamplerMachine(deployment, PartitionIndex(0), MemoryStore())
    machine.cut()
    ServingMachine(deployment, PartitionIndex(0))


# Queries --------------------------------------------------------------------------------------------------------------------------


def test_queries(fuzzer: Fuzzer) -> None:
    fuzzer.run(check_query, texts(plans()) | renumbered().map(as_json), count=300)


@st.composite
def renumbered(draw: st.DrawFn) -> Any:
    """Draw a valid document whose nodes have other ids, however large."""
    document = json.loads(json.dumps(draw(st.sampled_from(plans()))))
    nodes = document["query_plan"]["plan_nodes"]
    number = st.sampled_from([0, 1, 255, (1 << 31) - 1, 1 << 31, 1 << 32, 1 << 63, 1 << 64, 10**30]) | st.integers(0, 1 << 70)
    numbers = draw(st.lists(number, min_size=len(nodes), max_size=len(nodes), unique=True))
    for node in nodes:
        node["id"] = numbers[node["id"]]
        for link in node["links"]:
            link["node"] = numbers[link["node"]]
    return document


def check_query(text: bytes) -> None:
    try:
        plan = parse_query(text, SCHEMA)
        state = install(State(), plan, None, SCHEMA)
    except PlanError as e:
        assert e.problems
        assert all(e.problems)
        assert str(e).encode(errors="replace")
        return
    json.dumps(state.to_json(), indent=1)
    sample(plan)


def sample(plan: QueryPlan) -> None:
    """Install a plan as the machines do, and ask for a seed of the empty graph."""
    deployment = Deployment("log", 1, 1, 1, SCHEMA)
    item = ControlItem(1, INSTALL, {"id": plan.query_id, "name": "q", "plan": dict(plan.document)})
    sampler = SamplerMachine(deployment, PartitionIndex(0), MemoryStore())
    sampler.apply(item, EMPTY_GRAPH)
    sampler.cut()
    serving = ServingMachine(deployment, PartitionIndex(0))
    serving.state.take_control(item)
    query = serving.state.catalog.operators.query(plan.query_id)
    assert query is not None
    lookup = Lookup(serving.state)
    header = AnswerHeader(1, [0], None, True)
    json.loads(answer_json(lookup.ego_graph(query, 3), query, serving.state.catalog.layouts, header, scores=True))
    message, _ = lookup.graph(query, np.array([3], np.int64), np.zeros(1, np.int32), scores=True)
    Samples.FromString(bytes(message))


@pytest.mark.parametrize("depth", [50, 200, 330, *range(900, 1000, 3)])
@pytest.mark.parametrize("where", ["document", "node", "value"])
def test_deep_documents_are_refused_or_installed(depth: int, where: str) -> None:
    """Every depth at which one of several readers and writers of JSON might give up."""
    document = json.loads(json.dumps(PLAN))
    if where == "document":
        document["more"] = DEEP
    elif where == "node":
        document["query_plan"]["plan_nodes"][1]["more"] = DEEP
    else:
        document["query_plan"]["plan_nodes"][1]["params"][0]["value"] = DEEP
    for whole in (document, {**SCHEMA_DOCUMENT, "attr_defs": [DEEP]}, {**SCHEMA_DOCUMENT, "attr_defs": [{"name": DEEP}]}):
        text = as_json(whole).replace(as_json(DEEP), b"[" * depth + b"]" * depth)
        check_query(text)
        check_schema(text)


def test_names_are_taken_or_refused(fuzzer: Fuzzer) -> None:
    fuzzer.run(
        check_name, st.text(max_size=6) | st.characters() | st.sampled_from(["7", "٣", "\ud800", "a\nb", "x" * 201]), count=200
    )


def check_name(name: str) -> None:
    plan = parse_query(as_json(PLAN), SCHEMA)
    try:
        state = install(State(), plan, name, SCHEMA)
    except InputError as e:
        assert e.problems
        return
    assert state.queries[0].name == name
    assert json.loads(json.dumps(state.to_json(), ensure_ascii=False).encode())["queries"][0]["name"] == name
