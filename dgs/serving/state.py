"""The state of a serving partition: rows, records, needs, subscriptions and what has been seen of each channel."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dgs.core.catalog import Catalog
from dgs.core.control import ControlItem
from dgs.core.deployment import Deployment
from dgs.core.features import FeatureTable
from dgs.core.image import Part
from dgs.core.kernels.index import owned_by
from dgs.core.kernels.replica import NONE, PENDING
from dgs.core.operators import Operator
from dgs.core.rows import USED, RowTable
from dgs.core.slab import Slab
from dgs.core.strings import StringTable
from dgs.core.types import Bytes, Int32s, Int64s, PartitionIndex, UInt64s
from dgs.core.vertices import VertexIndex
from dgs.serving.image import RowsImage, StateImage

SWEEP_ROWS, SWEEP_TEXTS = 4096, 16384
"""A step of a sweep of texts looks at so many slots or records, or at so many texts, at most."""


@dataclass(slots=True)
class Rows:
    """The rows of one operator, and who needs them; arrays are by vertex row of the operator's vertex type.

    Attributes:
        table: of an edge operator.
        records: of a vertex operator.
        needs: int32: slots, over all upstream operators, that name the vertex; not counted for rows that are fed.
        states: uint8: NONE, SUBSCRIBED or PENDING, see `dgs.core.kernels.replica`.
        numbers: uint64: number of the subscribe that the row waits for or was brought by.
        idle_since: int64: items applied when the need last fell to 0.
        idle: vertex rows whose need fell to 0, to look at in a sweep.
        pending: how many rows are PENDING.
        image: who has to hear of rows before they change; None unless a snapshot is under way.
    """

    operator: Operator
    table: RowTable | None
    records: FeatureTable | None
    _needs: Slab = field(default_factory=lambda: Slab("<i4"))
    _states: Slab = field(default_factory=lambda: Slab("u1"))
    _numbers: Slab = field(default_factory=lambda: Slab("<u8"))
    _idle_since: Slab = field(default_factory=lambda: Slab("<i8"))
    idle: list[Int32s] = field(default_factory=list)
    pending: int = 0
    image: RowsImage | None = None

    def reserve(self, vertices: int, rows: int) -> None:
        """Make room for vertex rows below `vertices` and `rows` more rows of the table."""
        for slab in (self._needs, self._states, self._numbers, self._idle_since):
            slab.reserve(vertices)
        if self.table is not None:
            self.table.reserve(vertices, rows)
        if self.records is not None:
            self.records.reserve(vertices)

    def parts(self, vertices: int) -> dict[str, Part]:
        """Return what has to be kept to have these rows again, for vertex rows below `vertices`; see `restored`."""
        own = {"needs": self._needs, "states": self._states, "numbers": self._numbers, "idle_since": self._idle_since}
        parts = {name: Part(slab, min(vertices, len(slab.array))) for name, slab in own.items()}
        for storage in (self.table, self.records):
            parts |= storage.parts(vertices) if storage is not None else {}
        return parts

    def restored(self) -> None:
        """Make what follows from the parts, once they are what they were; errors as `RowTable.restored`."""
        if self.table is not None:
            self.table.restored()
        n = min(len(self.states), len(self.needs))
        self.idle = [np.flatnonzero((self.states[:n] != NONE) & (self.needs[:n] == 0)).astype(np.int32)]
        self.pending = int(np.count_nonzero(self.states == PENDING))

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        own = sum(slab.nbytes for slab in (self._needs, self._states, self._numbers, self._idle_since))
        return own + sum(part.nbytes for part in (self.table, self.records) if part is not None)

    @property
    def needs(self) -> Int32s:
        """See the class."""
        return self._needs.array

    @property
    def states(self) -> Bytes:
        """See the class."""
        return self._states.array

    @property
    def numbers(self) -> UInt64s:
        """See the class."""
        return self._numbers.array

    @property
    def idle_since(self) -> Int64s:
        """See the class."""
        return self._idle_since.array


class ServingState:
    """Everything that a serving partition knows.

    Attributes:
        applied: items that have been applied.
        received, sent: per sampler partition, the last number that was applied, and the last that was emitted.
        positions, watermarks: per sampler partition, what its last note that counts has said.
        marks: by barrier and round, the sampler partitions whose marks have come.
        barrier: id of the newest barrier whose last round is done; ids ascend in the order of the log. 0 before the first.
        control, kept_control: number of the last control item, and all that have acted, from which the catalog follows.
        image: the one that is being taken; see `dgs.serving.image`.
    """

    def __init__(self, deployment: Deployment, partition: PartitionIndex) -> None:
        self.deployment = deployment
        self.partition = partition
        self.applied = 0
        self.received = [0] * deployment.partitions
        self.sent = [0] * deployment.partitions
        self.positions = deployment.begins
        self.watermarks: list[int | None] = [None] * deployment.partitions
        self.control = 0
        self.kept_control: list[ControlItem] = []
        self.marks: dict[tuple[int, int], set[int]] = {}
        self.barrier = 0
        self.catalog = Catalog.empty(deployment.schema)
        self.strings = StringTable()
        self.vertices = {vtype: VertexIndex() for vtype in deployment.schema.vertex_types}
        self.rows: dict[int, Rows] = {}
        self.image: StateImage | None = None
        self._sweep: Iterator[UInt64s] | None = None

    @property
    def watermark(self) -> int | None:
        """The smallest watermark over the record partitions that have data; None before any data."""
        return min((w for w in self.watermarks if w is not None), default=None)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that vertices, rows and records take; texts are not among them."""
        return sum(index.nbytes for index in self.vertices.values()) + sum(rows.nbytes for rows in self.rows.values())

    @property
    def rows_pending(self) -> int:
        """How many rows have been asked for and have not arrived."""
        return sum(rows.pending for rows in self.rows.values())

    def fed(self, operator: Operator, ids: Int64s) -> Int32s:
        """Return 1 for vertices whose rows are sent without asking: possible seeds of this partition."""
        fed: Int32s = np.zeros(len(ids), np.int32)
        if operator.fed:
            owned_by(ids, np.uint64(self.deployment.serving_partitions), np.uint64(self.partition), fed)
        return fed

    def take_control(self, item: ControlItem) -> None:
        """Change the catalog by a control item; widen tables and make those of new operators."""
        if self.image is not None:
            self.image.abandon()
        self.control = item.number
        self.kept_control.append(item)
        self.catalog = self.catalog.taken(item)
        for operator in self.catalog.operators.operators:
            rows, layout = self.rows.get(operator.id), self.catalog.layout(operator)
            if rows is None:
                table = None if operator.etype is None else RowTable(operator.fanout, layout.width)
                records = FeatureTable(layout) if operator.etype is None else None
                self.rows[operator.id] = Rows(operator, table, records)
                continue
            rows.operator = operator
            if rows.table is not None:
                rows.table.widen(layout.width)
            if rows.records is not None:
                rows.records.widen(layout)

    def parts(self) -> dict[str, Part]:
        """Return all arrays that have to be kept to have this state again, by names that a snapshot can use."""
        parts = {f"vertices/{vtype}": index.part() for vtype, index in self.vertices.items()}
        for number, rows in self.rows.items():
            used = self.vertices[rows.operator.vtype].used
            parts |= {f"rows/{number}/{name}": part for name, part in rows.parts(used).items()}
        return parts

    def sweep_strings(self) -> None:
        """Take a step towards forgetting texts that no row refers to, if there are many; never while an image needs them all."""
        strings = self.strings
        if self.image is not None:
            return
        if self._sweep is None and strings.wants_sweep:
            strings.begin_sweep()
            self._sweep = self._references()
        if self._sweep is None:
            return
        references = next(self._sweep, None)
        if references is not None:
            strings.mark(references)
        else:
            strings.forget(SWEEP_TEXTS)
            if not strings.sweeping:
                self._sweep = None

    def _references(self) -> Iterator[UInt64s]:
        """Yield the string references of all rows in steps. Rows may change in between: what they get then is new, or their own."""
        for rows in list(self.rows.values()):
            begin = 0
            while begin < self._rows_end(rows):
                if rows.table is not None:
                    layout, end = self.catalog.layout(rows.operator), begin + max(1, SWEEP_ROWS // rows.table.fanout)
                    found = rows.table.references(layout, begin, end) if layout.string_offsets else []
                else:
                    assert rows.records is not None, "rows of neither kind"
                    end = begin + SWEEP_ROWS
                    found = rows.records.references(begin, end)
                if not found:
                    break
                yield np.concatenate(found)
                begin = end

    def _rows_end(self, rows: Rows) -> int:
        return int(rows.table.cursors[USED]) if rows.table is not None else self.vertices[rows.operator.vtype].used
