"""Payloads: what is packed comes out again, for every value type, with anything absent, under layouts that grow."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.layout import Dimension, Layout, Layouts
from dgs.core.schema import Attribute, ElementType, ValueType
from tests.core.making import SCHEMA

STATED = {ValueType.INT32_LIST: 3, ValueType.FLOAT64_LIST: 1}
"""Lists whose dimension the schema states; those of the other types are confirmed later."""
ELEMENT = ElementType(
    5,
    "everything",
    (
        Attribute(0, "timestamp", ValueType.INT64),
        *(Attribute(10 + t, t.name, t, STATED.get(t)) for t in ValueType),
    ),
)
LATE = [Dimension("edge", 5, 10 + ValueType.FLOAT32_LIST, 4), Dimension("edge", 5, 10 + ValueType.INT64_LIST, 2)]
LAYOUTS = [Layout(ELEMENT, LATE[:n]) for n in range(3)]

NUMBERS: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    ValueType.INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    ValueType.FLOAT32: st.floats(width=32, allow_nan=False),
    ValueType.FLOAT64: st.floats(allow_nan=False),
    ValueType.STRING: st.integers(0, (1 << 64) - 1),
}


@st.composite
def columns(draw: st.DrawFn, layout: Layout, count: int) -> dict[str, list[Any]]:
    """Values of some attributes, None where one is absent."""
    found: dict[str, list[Any]] = {}
    for name, field in layout.fields.items():
        if draw(st.booleans()):
            t = field.attribute.value_type
            numbers = NUMBERS[ValueType(t - 1) if t.is_list else t]
            values = st.lists(numbers, min_size=field.length, max_size=field.length) if t.is_list else numbers
            found[name] = draw(st.lists(st.none() | values, min_size=count, max_size=count))
    return found


def packed(layout: Layout, count: int, values: dict[str, list[Any]], timestamps: bool = True) -> Any:
    arrays: dict[str, Any] = {"timestamp": (np.zeros(count), None)} if timestamps else {}
    for name, column in values.items():
        field = layout.fields[name]
        zero: Any = [0] * field.length if field.attribute.value_type.is_list else 0
        present = np.array([v is not None for v in column], np.bool_)
        filled = np.array([zero if v is None else v for v in column], field.attribute.value_type.dtype)
        arrays[name] = filled, present
    return layout.pack(count, arrays)


def unpacked(layout: Layout, payload: Any, names: list[str]) -> dict[str, list[Any]]:
    return {
        name: [
            v if there else None
            for v, there in zip(layout.column(payload, name).tolist(), layout.present(payload, name), strict=True)
        ]
        for name in names
    }


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(LAYOUTS), st.integers(0, 4))
def test_what_is_packed_comes_out_again(data: st.DataObject, layout: Layout, count: int) -> None:
    values = data.draw(columns(layout, count))
    payload = packed(layout, count, values)
    assert payload.shape == (count, layout.width)
    assert unpacked(layout, payload, list(values)) == values
    assert layout.present(payload, "timestamp").all()
    for name in set(layout.fields) - set(values):
        assert not layout.present(payload, name).any()
        assert not layout.column(payload, name).any()
    for name, column in values.items():
        absent = [i for i, v in enumerate(column) if v is None]
        assert not layout.column(payload, name)[absent].any(), "absent values are zero bytes"


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([(0, 1), (0, 2), (1, 2), (2, 2)]), st.integers(0, 3))
def test_a_payload_of_an_older_layout_is_the_beginning_of_a_newer_one(
    data: st.DataObject, versions: tuple[int, int], count: int
) -> None:
    old, new = (LAYOUTS[v] for v in versions)
    values = data.draw(columns(old, count))
    payload = packed(old, count, values)
    wide = new.widen(payload)
    assert wide.tobytes() == packed(new, count, values).tobytes()
    assert wide[:, : old.width].tobytes() == payload.tobytes()
    assert unpacked(new, wide, list(values)) == values
    for name in set(new.fields) - set(old.fields):
        assert not new.present(wide, name).any()


def test_fields_follow_each_other_without_gaps_late_lists_in_the_order_of_confirmation() -> None:
    layout = LAYOUTS[2]
    end = math.ceil(len(ELEMENT.attributes) / 8)
    for field in layout.fields.values():
        assert field.offset == end
        end = field.end
        assert field.end - field.offset == field.length * np.dtype(field.attribute.value_type.dtype).itemsize
    assert layout.width == end
    assert list(layout.fields)[-2:] == ["FLOAT32_LIST", "INT64_LIST"]
    assert [list(x.fields) for x in LAYOUTS] == [list(layout.fields)[: len(layout.fields) - n] for n in (2, 1, 0)]
    assert layout.string_offsets == (layout.fields["STRING"].offset,)
    assert [sorted(x.widths) for x in LAYOUTS] == [[x.width for x in LAYOUTS[: n + 1]] for n in range(3)]


def test_a_bit_says_whether_there_was_a_timestamp_whose_value_stands_elsewhere() -> None:
    layout = LAYOUTS[0]
    assert "timestamp" not in layout.fields
    payload = layout.pack(3, {"timestamp": (np.arange(3), np.array([True, False, True]))})
    assert layout.present(payload, "timestamp").tolist() == [True, False, True]
    assert payload[:, 1:].any() == False  # noqa: E712 - a numpy bool


def test_a_list_without_a_dimension_keeps_only_its_bit() -> None:
    layout = LAYOUTS[0]
    payload = layout.pack(2, {"INT64_LIST": (np.zeros((2, 7)), np.array([True, False]))})
    assert layout.present(payload, "INT64_LIST").tolist() == [True, False]
    assert payload.shape == (2, layout.width)


@pytest.mark.parametrize("attributes", [(), (Attribute(0, "timestamp", ValueType.INT64),)])
def test_a_type_without_values_has_payloads_of_one_byte(attributes: tuple[Attribute, ...]) -> None:
    layout = Layout(ElementType(0, "bare", attributes))
    assert layout.width == 1
    assert layout.pack(2, {}).tolist() == [[0], [0]]


def test_a_wrong_dimension_is_no_payload() -> None:
    with pytest.raises(ValueError, match="reshape"):
        LAYOUTS[0].pack(2, {"INT32_LIST": (np.zeros((2, 4)), None)})


def test_layouts_of_a_schema_grow_by_confirmed_dimensions() -> None:
    bare = Layouts(SCHEMA)
    dimension = Dimension("vertex", 0, 2, 5)
    grown = bare.confirmed(dimension)
    assert grown.dims == (dimension,)
    assert "vec" not in bare.vertex[0].fields
    assert grown.vertex[0].fields["vec"].length == 5
    assert "vec" not in grown.vertex[1].fields, "the dimension of a list is a matter of each type"
    assert grown.edge[2].width == bare.edge[2].width
    again = Layouts.from_json(SCHEMA, json.loads(json.dumps(grown.to_json())))
    assert again.dims == grown.dims
    assert again.vertex[0].fields == grown.vertex[0].fields
