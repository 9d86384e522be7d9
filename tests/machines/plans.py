"""Hypothesis strategies: any plan of one to four operators over the test schema, and any history of records."""

from typing import Any

from hypothesis import strategies as st

from dgs.core.strategies import Strategy
from tests.machines.graph import JOINS, SCHEMA, Edge, Raw, Vertex


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """An install-query document: a DAG of one to four operators below a SOURCE."""
    seed_type = draw(st.sampled_from(sorted(SCHEMA.vertex_types)))
    nodes: list[dict[str, Any]] = [
        {"id": 0, "kind": "SOURCE", "type": "VERTEX", "params": [{"key": "vtype", "value": seed_type}], "links": []}
    ]
    gives = {0: {seed_type}}
    for number in range(1, draw(st.integers(1, 4)) + 1):
        upstream = draw(st.sampled_from(sorted(gives)))
        vtype = draw(st.sampled_from(sorted(gives[upstream])))
        params: dict[str, Any] = {"vtype": vtype}
        out = sorted({e for e, s, _ in JOINS if s == vtype})
        edge = number == 1 or draw(st.booleans())
        if edge:
            strategy = draw(st.sampled_from(list(Strategy)))
            params |= {"etype": draw(st.sampled_from(out)), "strategy": strategy.label, "fanout": draw(st.integers(1, 3))}
            params["seed"] = draw(st.integers(0, 1))
            if strategy is Strategy.TIME_DECAY:
                params["half_life"] = draw(st.sampled_from([1, 3.5]))
            gives[number] = {d for e, s, d in JOINS if (e, s) == (params["etype"], vtype)}
        else:
            params["versions"] = 1
        kind = "EDGE_SAMPLER" if edge else "VERTEX_SAMPLER"
        pairs = [{"key": k, "value": v} for k, v in params.items()]
        nodes.append({"id": number, "kind": kind, "type": "EDGE" if edge else "VERTEX", "params": pairs, "links": []})
        others = [u for u in sorted(gives) if u not in (upstream, number) and vtype in gives[u] and draw(st.booleans())]
        for u in [upstream, *others]:
            nodes[u]["links"].append({"node": number, "src_output": int(u != 0), "dst_input": 0})
    return {"priority": 0, "query_plan": {"plan_nodes": nodes}, "query_id": 0}


IDS = st.integers(-3, 4)
TIMESTAMPS = st.integers(-2, 6)


@st.composite
def records(draw: st.DrawFn) -> Raw:
    """One raw record; few ids, timestamps and weights, so that upserts, ties and late data are common."""
    if draw(st.integers(0, 3)) == 0:
        return Vertex(draw(st.sampled_from([0, 1])), draw(IDS), draw(TIMESTAMPS), draw(st.integers(0, 5)))
    etype, src_type, dst_type = draw(st.sampled_from(JOINS))
    weight = draw(st.sampled_from([None, 0.0, 0.5, 1.0, 2.0, 8.0]))
    name = draw(st.sampled_from([None, "", "x", "yy"])) if etype == 0 else None
    return Edge(etype, src_type, draw(IDS), dst_type, draw(IDS), draw(TIMESTAMPS), weight, name)


def histories() -> st.SearchStrategy[list[list[Raw]]]:
    """Batches of records."""
    return st.lists(st.lists(records(), min_size=1, max_size=6), max_size=25)
