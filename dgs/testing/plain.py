"""Ego-graphs as plain Python values, to be compared with what the oracle expects."""

from collections import defaultdict
from typing import Any

from dgs.core.egograph import NOT_LOOKED_FOR, EgoGraph, Texts
from dgs.core.layout import Layout, Layouts
from dgs.core.schema import TIMESTAMP, ValueType
from dgs.core.types import Bytes
from dgs.testing.oracle import Expected, SampledEdge, frozen


def attributes_of(payload: Bytes, layout: Layout, texts: Texts) -> dict[str, Any]:
    """Return the attributes of one payload, uint8 [width]."""
    found: dict[str, Any] = {}
    for name, laid_out in layout.fields.items():
        if layout.present(payload[None, :], name)[0]:
            value = layout.column(payload[None, :], name)[0]
            is_text = laid_out.attribute.value_type is ValueType.STRING
            found[name] = texts[int(value)].decode() if is_text else value.tolist()
    return found


def plain(ego: EgoGraph, layouts: Layouts) -> Expected:
    """Return an ego-graph in the oracle's form.

    Raises:
        AssertionError: it lists a vertex twice, or edges of a source apart.
    """
    result = Expected()
    for vtype, vertices in ego.vertices.items():
        layout = layouts.vertex[vtype]
        assert len(set(vertices.ids.tolist())) == len(vertices.ids)
        for i, vertex in enumerate(vertices.ids.tolist()):
            known = vertices.known[i]
            record = (int(vertices.timestamps[i]), frozen(attributes_of(vertices.payload[i], layout, ego.strings)))
            result.vertices[vtype, vertex] = None if known == NOT_LOOKED_FOR else record if known else ()
            assert known == 1 or not vertices.payload[i].any()
    slots: dict[int, dict[int, list[tuple[int, SampledEdge]]]] = defaultdict(lambda: defaultdict(list))
    for edges in ego.edges:
        assert edges.node.etype is not None
        layout = layouts.edge[edges.node.etype]
        assert TIMESTAMP not in layout.fields
        sources = ego.vertices[edges.node.vtype].ids[edges.src].tolist() if len(edges.src) else []
        destinations = ego.vertices[edges.dst_type].ids[edges.dst].tolist() if len(edges.dst) else []
        for i, (src, dst) in enumerate(zip(sources, destinations, strict=True)):
            own = frozen(attributes_of(edges.payload[i], layout, ego.strings))
            slot = SampledEdge(edges.dst_type, dst, int(edges.timestamps[i]), own)
            slots[edges.node.id][src].append((int(edges.scores[i]), slot))
    for node, rows in slots.items():
        for src, found in rows.items():
            scores = [score for score, _ in found]
            if len({slot.dst_type for _, slot in found}) == 1:
                assert scores == sorted(scores, reverse=True)
            result.rows[node][src] = sorted((slot for _, slot in found), key=lambda slot: slot.dst_type)
    return result
