"""Blocks of lines to record batches, whole columns at a time.

Each type's lines become arrays; a line that is anything but plain is left to the exact parser, which either knows its value or says
why the line cannot be loaded. Both give the same records for the same lines. Blank lines are nothing: neither records nor dead
letters. The parser is pure: it never reads files and sends nothing; the pipeline calls it.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from dgs.core.errors import RecordError
from dgs.core.layout import Dimension, Layout, Layouts
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.schema import TIMESTAMP, WEIGHT, Attribute, ValueType
from dgs.core.types import AnyArray, Bools, Bytes, Int64s
from dgs_loader.dead_letters import DeadLetter
from dgs_loader.escape import unescape
from dgs_loader.exact import Row, parse_decimal, parse_integer, parse_line
from dgs_loader.lines import Lines
from dgs_loader.numerals import Numerals
from dgs_loader.pattern import Pattern, PatternFile
from dgs_loader.reader import LINE_BYTES_MAX, Block

_PAYLOAD_BYTES_MAX = 64 << 20
"""Payloads that one call may make. Only types with huge lists, most of them absent, come near it."""
_INT32 = np.iinfo(np.int32)


class Parsed(NamedTuple):
    """What a block held: its records, types in the order of the pattern file, and its dead letters in the order of lines."""

    batch: RecordBatch
    letters: list[DeadLetter]


class Parser:
    """Parses the blocks of one input.

    Args:
        file: the patterns.
        layouts: where values go; set again by the caller when a dimension was confirmed.
        delimiter, list_delimiter: one ASCII character each.
        reversed_edges: ids of edge types whose edges are sent the other way round, too.
        escaped: texts are escaped (`dgs_loader.escape`).
    """

    def __init__(
        self,
        file: PatternFile,
        layouts: Layouts,
        *,
        delimiter: str = ",",
        list_delimiter: str = ":",
        reversed_edges: Collection[int] = (),
        escaped: bool = False,
    ) -> None:
        self.layouts = layouts
        self._patterns = {name.encode(): p for name, p in file.patterns.items()}
        self._delimiter = delimiter.encode("ascii")
        self._list_delimiter = list_delimiter.encode("ascii")
        self._reversed = frozenset(reversed_edges)
        self._escaped = escaped

    @property
    def lines_max(self) -> int:
        """How many lines a block may have, so that memory stays bounded."""
        widest = max(self._layout(p).width for p in self._patterns.values())
        return max(1, _PAYLOAD_BYTES_MAX // widest)

    def unknown_dimensions(self, block: Block) -> list[Dimension]:
        """Return what the block's first records say about lists whose dimensions are not confirmed yet."""
        found: list[Dimension] = []
        unknown = [(n, p) for n, p in self._patterns.items() if self._unknown_lists(p)]
        if not unknown or block.cut:
            return found
        lines = Lines(block, self._delimiter)
        for name, pattern in unknown:
            rows, ends = lines.with_columns(pattern.columns, lines.named(name, self._plain(lines)))
            for place, attribute in self._unknown_lists(pattern):
                a, b = lines.fields(1 + len(pattern.id_columns) + place, pattern.columns, rows, ends)
                for line in rows[b > a].tolist():
                    try:
                        value = self._exact(lines.line(line)).values[place]
                    except RecordError:
                        continue  # it will be a dead letter, and has no say
                    assert isinstance(value, list)
                    found.append(Dimension(pattern.kind, pattern.element.id, attribute.id, len(value)))
                    break
        return found

    def parse(self, block: Block) -> Parsed:
        """Return the records and the dead letters of a block of at most `lines_max` lines."""
        if block.cut:
            reason = f"longer than {LINE_BYTES_MAX >> 20} MiB; only its beginning is kept here"
            return Parsed(RecordBatch(()), [DeadLetter(block.first_line, reason, block.data[:-1][:1000])])
        lines = Lines(block, self._delimiter)
        columns = _Columns(lines, self._list_delimiter)
        groups: list[VertexRecords | EdgeRecords] = []
        strings: list[bytes] = []
        left = np.zeros(len(lines), np.bool_)
        left[self._plain(lines)] = True
        refused = lines.ends > lines.starts
        for name, pattern in self._patterns.items():
            named = lines.named(name, np.flatnonzero(left))
            left[named] = False
            rows, ends = lines.with_columns(pattern.columns, named)
            if len(rows):
                kept = self._group(pattern, columns, rows, ends, groups, strings)
                refused[rows[kept]] = False
        letters = [self._letter(lines, line) for line in np.flatnonzero(refused).tolist()]
        return Parsed(RecordBatch(tuple(groups), strings), letters)

    def _group(
        self,
        pattern: Pattern,
        columns: "_Columns",
        rows: Int64s,
        ends: Int64s,
        groups: list[VertexRecords | EdgeRecords],
        strings: list[bytes],
    ) -> Bools:
        """Add the records of one type to `groups`; return which of the rows they are."""
        layout = self._layout(pattern)
        is_edge = pattern.kind == "edge"
        ok = np.ones(len(rows), np.bool_)
        fields = [columns.lines.fields(number, pattern.columns, rows, ends) for number in range(1, pattern.columns)]
        ids: list[Int64s] = []
        for a, b in fields[: len(pattern.id_columns)]:
            values, right = columns.numbers(a, b, ValueType.INT64)
            ids.append(values)
            ok &= right
        read: dict[str, tuple[AnyArray, Bools]] = {}
        texts: dict[str, tuple[Int64s, Int64s]] = {}
        for attribute, (a, b) in zip(pattern.attributes, fields[len(pattern.id_columns) :], strict=True):
            present = b > a
            if attribute.value_type is ValueType.STRING:
                texts[attribute.name] = (a, b)
                read[attribute.name] = (a, present)
                continue
            if attribute.value_type.is_list:
                place = layout.fields.get(attribute.name)
                if place is None:  # nobody has a valid list yet, or its dimension would be known
                    ok &= ~present
                    continue
                values, right = columns.lists(a, b, place.length, ValueType(attribute.value_type - 1))
            else:
                values, right = columns.numbers(a, b, attribute.value_type)
                if is_edge and attribute.name == WEIGHT:
                    right &= ~(values < 0)
            ok &= right if is_edge and attribute.name == TIMESTAMP else right | ~present
            read[attribute.name] = (values, present)
        kept: Int64s | slice = slice(None) if ok.all() else np.flatnonzero(ok)
        count = int(np.count_nonzero(ok))
        if not count:
            return ok
        packed: dict[str, tuple[AnyArray, Bools | None]] = {}
        for name, (values, present) in read.items():
            here = present[kept]
            if name in texts:
                a, b = texts[name]
                values = np.zeros(count, np.uint64)
                values[here] = len(strings) + 1 + np.arange(np.count_nonzero(here))
                found = columns.lines.slices(a[kept][here], b[kept][here])
                strings += map(unescape, found) if self._escaped else found
                packed[name] = (values, here)
            else:
                packed[name] = (values[kept], None if here.all() else here)
        payload = layout.pack(count, packed)
        timestamps = np.zeros(count, np.int64)
        if TIMESTAMP in packed:
            values, some = packed[TIMESTAMP]
            timestamps = values if some is None else np.where(some, values, 0)
        if is_edge:
            groups += self._edges(pattern, ids[0][kept], ids[1][kept], timestamps, payload)
        else:
            groups.append(VertexRecords(pattern.element.id, ids[0][kept], timestamps, payload))
        return ok

    def _edges(self, pattern: Pattern, src: Int64s, dst: Int64s, timestamps: Int64s, payload: Bytes) -> list[EdgeRecords]:
        etype, src_type, dst_type = pattern.element.id, pattern.src_type, pattern.dst_type
        if etype not in self._reversed:
            return [EdgeRecords(etype, src_type, dst_type, src, dst, timestamps, payload)]
        if src_type != dst_type:
            forward = EdgeRecords(etype, src_type, dst_type, src, dst, timestamps, payload)
            return [forward, EdgeRecords(etype, dst_type, src_type, dst, src, timestamps, payload)]
        # Both ways are records of one type, and the later line of an edge must win: they take turns, line by line.
        both, back = np.stack((src, dst), 1).ravel(), np.stack((dst, src), 1).ravel()
        return [EdgeRecords(etype, src_type, dst_type, both, back, timestamps.repeat(2), payload.repeat(2, 0))]

    def _layout(self, pattern: Pattern) -> Layout:
        return (self.layouts.edge if pattern.kind == "edge" else self.layouts.vertex)[pattern.element.id]

    def _unknown_lists(self, pattern: Pattern) -> list[tuple[int, Attribute]]:
        fields = self._layout(pattern).fields
        return [(i, a) for i, a in enumerate(pattern.attributes) if a.value_type.is_list and a.name not in fields]

    def _plain(self, lines: Lines) -> Int64s:
        """Return the lines that are neither blank nor broken."""
        plain = lines.ends > lines.starts
        plain[list(lines.broken)] = False
        return np.flatnonzero(plain)

    def _exact(self, line: bytes) -> Row:
        return parse_line(line, self._patterns, self.layouts, delimiter=self._delimiter, list_delimiter=self._list_delimiter)

    def _letter(self, lines: Lines, line: int) -> DeadLetter:
        text = lines.line(line)
        try:
            row = self._exact(text)
        except RecordError as e:
            return DeadLetter(lines.number(line), str(e), text)
        raise AssertionError(f"the parsers disagree about line {lines.number(line)}: {text!r} is {row}")


class _Columns:
    """Reads the values of columns of one block. Fields are given by offsets, int64 [n]; empty ones are never right."""

    def __init__(self, lines: Lines, list_delimiter: bytes) -> None:
        self.lines = lines
        self._numerals = Numerals(lines.data)
        self._list_delimiter = list_delimiter
        self._list_delimiters: Int64s | None = None

    def numbers(self, starts: Int64s, ends: Int64s, value_type: ValueType) -> tuple[AnyArray, Bools]:
        """Return values [n] of this type, and which of them are right."""
        if value_type.is_float:
            return self._floats(starts, ends, value_type)
        values, ok = self._numerals.integers(starts, ends)
        for i in np.flatnonzero(~ok & (ends > starts)).tolist():
            try:
                values[i] = parse_integer(self.lines.data[starts[i] : ends[i]], ValueType.INT64)
                ok[i] = True
            except RecordError:
                pass
        if value_type is ValueType.INT32:
            ok &= (values >= _INT32.min) & (values <= _INT32.max)
            return values.astype(np.int32), ok
        return values, ok

    def _floats(self, starts: Int64s, ends: Int64s, value_type: ValueType) -> tuple[AnyArray, Bools]:
        values, ok, long = self._numerals.decimals(starts, ends)
        if long.any():
            values[long] = [float(text) for text in self.lines.slices(starts[long], ends[long])]
            ok |= long
        for i in np.flatnonzero(~ok & (ends > starts)).tolist():
            try:
                values[i] = parse_decimal(self.lines.data[starts[i] : ends[i]], ValueType.FLOAT64)
                ok[i] = True
            except RecordError:
                pass
        if value_type is ValueType.FLOAT64:
            return values, ok
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        return narrow, ok & np.isfinite(narrow)

    def lists(self, starts: Int64s, ends: Int64s, dim: int, element_type: ValueType) -> tuple[AnyArray, Bools]:
        """Return lists [n, dim], and which of them are right."""
        if self._list_delimiters is None:
            self._list_delimiters = np.flatnonzero(np.frombuffer(self.lines.data, np.uint8) == self._list_delimiter[0])
        found = self._list_delimiters
        first = np.searchsorted(found, starts)
        ok = (np.searchsorted(found, ends) - first == dim - 1) & (ends > starts)
        rows = np.flatnonzero(ok)
        inner = found[first[rows, None] + np.arange(dim - 1)]
        values, right = self.numbers(
            np.concatenate((starts[rows, None], inner + 1), 1).ravel(),
            np.concatenate((inner, ends[rows, None]), 1).ravel(),
            element_type,
        )
        ok[rows] = right.reshape(len(rows), dim).all(1)
        if len(rows) == len(starts):
            return values.reshape(-1, dim), ok
        lists = np.zeros((len(starts), dim), values.dtype)
        lists[rows] = values.reshape(-1, dim)
        return lists, ok
