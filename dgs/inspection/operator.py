"""What an operator samples, and for which queries: the part that every view of rows begins with."""

from typing import Any

from dgs.core.catalog import Catalog
from dgs.core.operators import Operator


def operator_about(operator: Operator, catalog: Catalog) -> dict[str, Any]:
    """Return it as JSON values; `samples`, `strategy` and `fanout` are those of edge operators."""
    schema = catalog.schema
    about: dict[str, Any] = {
        "operator": operator.id,
        "of": schema.vertex_types[operator.vtype].name,
        "queries": [q.name for q in catalog.operators.queries if operator.id in q.operator_of.values()],
    }
    if operator.etype is not None:
        edge = schema.edge_types[operator.etype].name
        about |= {"samples": edge, "strategy": operator.strategy.label, "fanout": operator.fanout}
    return about
