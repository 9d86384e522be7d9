"""Columns of attributes: the values of one attribute of many vertices or edges, and which of them are there.

Numbers are viewed in the bytes of the message, never copied and never written to. Tables of vertices and edges hold columns; nobody
else makes them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from dgs.core.errors import CodecError
from dgs.core.schema import ValueType
from dgs.core.types import AnyArray, Bools, Int64s
from dgs.wire.samples_pb2 import Column as ColumnMessage


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The values of one attribute, one per row.

    Attributes:
        values: [n] of a scalar, [n, length] of a list, in the attribute's own dtype (int32, int64, float32 or float64), zero where
            absent; of texts an object array [n] of str, None where absent. A list whose length nobody knows yet has length 0.
        present: bool [n]; None where all rows have it.
    """

    values: AnyArray
    present: Bools | None = None

    def take(self, rows: Int64s) -> "Column":
        """Return these rows, in this order."""
        return Column(self.values[rows], None if self.present is None else self.present[rows])

    def only(self, rows: Bools) -> "Column":
        """Return the same number of rows, absent where `rows`, bool [n], says no."""
        values = self.values.copy()
        values[~rows] = None if values.dtype == object else 0
        return Column(values, rows if self.present is None else rows & self.present)

    @property
    def there(self) -> Bools:
        """Which rows have it, bool [n]."""
        return np.ones(len(self.values), np.bool_) if self.present is None else self.present

    def to_list(self) -> list[Any]:
        """Return plain values, None where absent; of float32 those with the fewest digits, as JSON answers have them."""
        values = self.values
        if values.dtype == np.float32:
            values = values.astype(np.str_).astype(np.float64)
        plain: list[Any] = values.tolist()
        if self.present is not None:
            for row in np.flatnonzero(~self.present).tolist():
                plain[row] = None
        return plain


def joined(columns: Sequence[Column]) -> Column:
    """Return the rows of several columns of one attribute, one after the other; at least one column is given."""
    parts = [c.values for c in columns]
    if parts[0].ndim == 2:  # one that lacks it everywhere may not know its length
        length = max(p.shape[1] for p in parts)
        parts = [p if p.shape[1] == length else np.zeros((len(p), length), p.dtype) for p in parts]
    present = None if all(c.present is None for c in columns) else np.concatenate([c.there for c in columns])
    return Column(np.concatenate(parts), present)


class Columns(Mapping[str, Column]):
    """Columns by name, in the schema's order; each is made when it is first asked for.

    Args:
        makers: by name, what makes the column.
        whose: whose columns these are, for errors.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Column]], whose: str) -> None:
        self._makers = makers
        self._whose = whose
        self._made: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        found = self._made.get(name)
        if found is None:
            try:
                make = self._makers[name]
            except KeyError:
                raise KeyError(f"{self._whose} has no attribute {name!r}; it has {', '.join(self._makers) or 'none'}") from None
            found = self._made[name] = make()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def map(self, change: Callable[[Column], Column]) -> "Columns":
        """Return columns of which each is changed when it is first asked for."""
        return Columns({name: partial(self._changed, name, change) for name in self}, self._whose)

    def _changed(self, name: str, change: Callable[[Column], Column]) -> Column:
        return change(self[name])


def read_columns(messages: Sequence[ColumnMessage], rows: int, whose: str) -> Columns:
    """Return the columns of a table with so many rows; those of types that this reader does not know are left out.

    Raises, when the column is first asked for:
        CodecError: it has another number of rows.
    """
    known = [m for m in messages if 0 < m.type <= len(ValueType)]
    return Columns({m.name: partial(_read, m, rows, whose) for m in known}, whose)


def array_of(data: bytes, dtype: str, rows: int, what: str) -> AnyArray:
    """View so many elements in bytes.

    Raises:
        CodecError: it is another number.
    """
    if len(data) != rows * np.dtype(dtype).itemsize:
        raise CodecError(f"{what}: {len(data)} bytes are not {rows} values of type {dtype}; the answer is damaged")
    return np.frombuffer(data, dtype)


def _read(message: ColumnMessage, rows: int, whose: str) -> Column:
    value_type, what = ValueType(message.type - 1), f"{whose}, attribute {message.name!r}"
    if message.absent:
        nothing: Bools = np.zeros(rows, np.bool_)
        if value_type is ValueType.STRING:
            return Column(np.full(rows, None, object), nothing)
        return Column(np.zeros((rows, message.length) if value_type.is_list else rows, value_type.dtype), nothing)
    present = array_of(message.present, "?", rows, what) if message.present else None
    if value_type is ValueType.STRING:
        return Column(_texts(message, rows, present, what), present)
    values = array_of(message.values, value_type.dtype, rows * message.length, what)
    return Column(values.reshape(rows, message.length) if value_type.is_list else values, present)


def _texts(message: ColumnMessage, rows: int, present: Bools | None, what: str) -> AnyArray:
    offsets = array_of(message.offsets, "<u4", rows + 1, what).tolist()
    texts = np.empty(rows, object)
    data = message.values
    texts[:] = [data[a:b].decode("utf-8", "replace") for a, b in pairwise(offsets)]
    if present is not None:
        texts[~present] = None
    return texts
