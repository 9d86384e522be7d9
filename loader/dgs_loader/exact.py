"""One line at a time, by the letter: what a line means, or why it cannot be loaded.

These functions are the definition of the data format; the fast parser must agree with them on every line and asks them for the
reasons. Numbers are decimal, with an optional sign, and may have spaces around them; there is no hexadecimal, no `1_000`, no NaN
and no infinity. Nothing here knows of blocks or numpy.
"""

import re
import struct
from collections.abc import Mapping
from typing import NamedTuple

from dgs.core.errors import RecordError
from dgs.core.layout import Layouts
from dgs.core.schema import DIM_MAX, TIMESTAMP, WEIGHT, Attribute, ValueType
from dgs_loader.pattern import Pattern

Value = int | float | bytes | list[int | float]

_INTEGER = re.compile(rb" *([+-]?)0*([0-9]+) *")
_DECIMAL = re.compile(rb" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")
_NOT_FINITE = re.compile(rb" *[+-]?(nan|inf|infinity) *", re.IGNORECASE)
_SHOWN = 60
_RANGES = {ValueType.INT32: (-(2**31), 2**31 - 1), ValueType.INT64: (-(2**63), 2**63 - 1)}


class Row(NamedTuple):
    """What a line means: its pattern, its ids, and a value or None (absent) for each attribute of the pattern."""

    pattern: Pattern
    ids: tuple[int, ...]
    values: tuple[Value | None, ...]


def parse_line(line: bytes, patterns: Mapping[bytes, Pattern], layouts: Layouts, *, delimiter: bytes, list_delimiter: bytes) -> Row:
    """Return what a line (without its end) means. A list whose dimension is not confirmed yet may have any length.

    Raises:
        RecordError: it cannot be loaded; the message names the column and the value.
    """
    try:
        line.decode()
    except UnicodeDecodeError as e:
        raise RecordError(f"not UTF-8 (byte {e.start + 1})") from None
    fields = line.split(delimiter)
    pattern = patterns.get(fields[0])
    if pattern is None:
        known = ", ".join(sorted(name.decode() for name in patterns))
        raise RecordError(f"unknown type {_shown(fields[0])} in column 1; the pattern file has {known}")
    if len(fields) == pattern.columns + 1 and not fields[-1]:
        fields.pop()
    if len(fields) != pattern.columns:
        raise RecordError(f"{len(fields)} columns; the pattern of {pattern.element.name!r} has {pattern.columns}")
    columns = iter(enumerate(fields[1:], 2))
    ids = []
    for name in pattern.id_columns:
        number, field = next(columns)
        try:
            ids.append(parse_integer(field, ValueType.INT64))
        except RecordError as e:
            raise RecordError(f"{pattern.place(number, name)}: {e}") from None
    values: list[Value | None] = []
    for attribute, (number, field) in zip(pattern.attributes, columns, strict=True):
        try:
            values.append(_parse_value(field, attribute, pattern, layouts, list_delimiter))
        except RecordError as e:
            raise RecordError(f"{pattern.place(number, attribute.name)}: {e}") from None
    return Row(pattern, tuple(ids), tuple(values))


def parse_integer(field: bytes, value_type: ValueType) -> int:
    """Return an integer of an INT32 or INT64 value or list element.

    Raises:
        RecordError: it is no integer, or out of range.
    """
    match = _INTEGER.fullmatch(field)
    if match is None:
        raise RecordError(f"{_shown(field)} is not an integer" if field else "no value")
    low, high = _RANGES[value_type]
    # Python refuses to read thousands of digits, and twenty are too many already.
    value = int(match[1] + match[2]) if len(match[2]) < 20 else high + 1
    if not low <= value <= high:
        raise RecordError(f"{_shown(field)} is out of the range of {value_type.name}")
    return value


def parse_decimal(field: bytes, value_type: ValueType) -> float:
    """Return a FLOAT32 (rounded to it) or FLOAT64 value or list element.

    Raises:
        RecordError: it is no number, or not finite in this type.
    """
    if _DECIMAL.fullmatch(field) is None:
        if _NOT_FINITE.fullmatch(field):
            raise RecordError(f"{_shown(field)} is not a finite number")
        raise RecordError(f"{_shown(field)} is not a number" if field else "no value")
    value = float(field)
    if value_type is ValueType.FLOAT32:
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            value = float("inf")
    if value in (float("inf"), float("-inf")):
        raise RecordError(f"{_shown(field)} is out of the range of {value_type.name}")
    return value


def _parse_value(field: bytes, attribute: Attribute, pattern: Pattern, layouts: Layouts, list_delimiter: bytes) -> Value | None:
    is_edge = pattern.kind == "edge"
    if not field:
        if is_edge and attribute.name == TIMESTAMP:
            raise RecordError("no value; an edge needs a timestamp")
        return None
    value_type = attribute.value_type
    if value_type is ValueType.STRING:
        return field
    if value_type.is_list:
        return _parse_list(field, attribute, _dimension(attribute, pattern, layouts), list_delimiter)
    value = _parse_number(field, value_type)
    if is_edge and attribute.name == WEIGHT and value < 0:
        raise RecordError(f"{_shown(field)} is negative")
    return value


def _parse_number(field: bytes, value_type: ValueType) -> int | float:
    return parse_decimal(field, value_type) if value_type.is_float else parse_integer(field, value_type)


def _parse_list(field: bytes, attribute: Attribute, dim: int | None, list_delimiter: bytes) -> list[int | float]:
    element_type = ValueType(attribute.value_type - 1)
    elements = field.split(list_delimiter)
    if dim is None and len(elements) > DIM_MAX:
        raise RecordError(f"{len(elements)} elements; a list has at most {DIM_MAX}")
    if dim is not None and len(elements) != dim:
        raise RecordError(f"{len(elements)} elements; the dimension is {dim}")
    values: list[int | float] = []
    for number, element in enumerate(elements, 1):
        try:
            values.append(_parse_number(element, element_type))
        except RecordError as e:
            raise RecordError(f"element {number}: {e}") from None
    return values


def _dimension(attribute: Attribute, pattern: Pattern, layouts: Layouts) -> int | None:
    layout = (layouts.edge if pattern.kind == "edge" else layouts.vertex)[pattern.element.id]
    place = layout.fields.get(attribute.name)
    return None if place is None else place.length


def _shown(field: bytes) -> str:
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
