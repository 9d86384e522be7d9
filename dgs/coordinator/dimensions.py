"""Dimensions of list attributes that the schema leaves open: the first proposal wins. Pure functions over the state."""

from dataclasses import replace

from dgs.coordinator.state import FixedDimension, State
from dgs.core.errors import InputError
from dgs.core.layout import Dimension
from dgs.core.schema import DIM_MAX, Schema


def propose(state: State, wanted: Dimension, schema: Schema) -> State:
    """Return the state with an order for this dimension, or the same state where the attribute has one already.

    Raises:
        InputError: there is no such attribute, its dimension cannot be proposed, or the dimension is out of range.
    """
    if wanted.kind not in ("vertex", "edge"):
        raise InputError(f"kind is vertex or edge, not {wanted.kind!r}")
    element = (schema.vertex_types if wanted.kind == "vertex" else schema.edge_types).get(wanted.type)
    if element is None:
        raise InputError(f"the schema has no {wanted.kind} type {wanted.type}")
    attribute = next((a for a in element.attributes if a.id == wanted.attribute), None)
    if attribute is None:
        raise InputError(f"the {wanted.kind} type {element.name!r} has no attribute {wanted.attribute}")
    if not attribute.value_type.is_list:
        raise InputError(f"{attribute.name!r} of {element.name!r} is {attribute.value_type.name}: it has no dimension")
    if attribute.dim is not None:
        raise InputError(f"the schema fixes the dimension of {attribute.name!r} to {attribute.dim}")
    if not 1 <= wanted.dim <= DIM_MAX:
        raise InputError(f"a dimension is an integer from 1 to {DIM_MAX}, not {wanted.dim}")
    key = (wanted.kind, wanted.type, wanted.attribute)
    if any((d.dimension.kind, d.dimension.type, d.dimension.attribute) == key for d in state.dimensions):
        return state
    order = FixedDimension(state.last + 1, wanted)
    return replace(state, last=order.number, dimensions=(*state.dimensions, order))
