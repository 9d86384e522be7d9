"""Answers of `/samples`, as JSON, compared with what the oracle expects: rows in order, attributes, known, timestamps."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from dgs.core.schema import TIMESTAMP, ElementType, Schema
from dgs.testing.oracle import Expected, Oracle, SampledEdge, frozen
from tests.e2e.inputs import Graph
from tests.e2e.service import Service

AT_ONCE = 200


def plain(answer: dict[str, Any], schema: Schema) -> Expected:
    """Return an answer in the oracle's form.

    Raises:
        AssertionError: it is no graph in columns as the documentation has it.
    """
    result = Expected()
    ids = {name: table["ids"] for name, table in answer["vertices"].items()}
    for name, table in answer["vertices"].items():
        element = schema.vertex_names[name]
        assert len(set(table["ids"])) == len(table["ids"]), "a vertex is listed twice"
        assert set(table["attrs"]) == {a.name for a in element.attributes}
        for row, (vertex, known) in enumerate(zip(table["ids"], table["known"], strict=True)):
            attributes = _row(table["attrs"], element, row)
            timestamp = attributes.get(TIMESTAMP, 0)
            assert known or not attributes, "attributes of what is not known"
            found = None if known is None else (timestamp, frozen(attributes)) if known else ()
            result.vertices[element.id, vertex] = found
    assert answer["seed"]["id"] in ids[answer["seed"]["type"]], "the seed is not listed"
    for edges in answer["edges"]:
        element, dst_type = schema.edge_names[edges["type"]], schema.vertex_names[edges["dst_type"]].id
        last = None
        for i, (s, d, timestamp) in enumerate(zip(edges["src"], edges["dst"], edges["timestamp"], strict=True)):
            src, dst = ids[edges["src_type"]][s], ids[edges["dst_type"]][d]
            rows = result.rows[edges["operator"]].setdefault(src, [])
            assert src == last or not any(slot.dst_type == dst_type for slot in rows), "the edges of a source stand apart"
            rows.append(SampledEdge(dst_type, dst, timestamp, frozen(_row(edges["attrs"], element, i))))
            last = src
    for sources in result.rows.values():
        for slots in sources.values():
            slots.sort(key=lambda slot: slot.dst_type)
    return result


def wrong(service: Service, graph: Graph, oracle: Oracle, seeds: Iterable[int]) -> list[str]:
    """Return what is wrong with the answers for these seeds, the first things first."""
    found, seeds = [], list(seeds)
    for start in range(0, len(seeds), AT_ONCE):
        part = seeds[start : start + AT_ONCE]
        for seed, answer in zip(part, service.samples(part, graph.query.name), strict=True):
            found += _differences(answer, graph, oracle, seed)
    return found[:10]


def _differences(answer: dict[str, Any], graph: Graph, oracle: Oracle, seed: int) -> list[str]:
    got, expected = plain(answer, graph.schema), oracle.ego_graph(graph.query, seed)
    seed_type = graph.schema.vertex_types[graph.query.plan.seed_type]
    known = {None: None, (): False}.get(expected.vertices[seed_type.id, seed], True)
    parts = [
        ("seed", answer["seed"], {"type": seed_type.name, "id": seed, "known": known}),
        ("query", answer["query"], {"id": graph.query.id, "name": graph.query.name, "ready": True}),
        ("pending", answer["pending"], 0),
        ("rows", {n: dict(rows) for n, rows in got.rows.items()}, {n: dict(rows) for n, rows in expected.rows.items()}),
        ("vertices", got.vertices, expected.vertices),
    ]
    return [f"seed {seed}, {what}: {has} where {wants} is expected" for what, has, wants in parts if has != wants]


def _row(columns: dict[str, list[Any]], element: ElementType, row: int) -> dict[str, Any]:
    """Return the attributes of one row; numbers that are FLOAT32 are printed with fewer digits than a float64 of them has."""
    found = {}
    for name, column in columns.items():
        if (value := column[row]) is not None:
            attribute = element.attribute(name)
            assert attribute is not None, f"{element.name} has no attribute {name}"
            is_float32 = attribute.value_type.dtype == "<f4" and attribute.value_type.is_float
            found[name] = np.asarray(value, np.float32).tolist() if is_float32 else value
    return found
