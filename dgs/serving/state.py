"""The state of a serving partition: rows, records, needs, subscriptions and what has been seen of each channel."""

from dataclasses import dataclass, field

import numpy as np

from dgs.core.catalog import Catalog
from dgs.core.control import ControlItem
from dgs.core.deployment import Deployment
from dgs.core.features import FeatureTable
from dgs.core.kernels.index import owned_by
from dgs.core.operators import Operator
from dgs.core.rows import RowTable
from dgs.core.slab import Slab
from dgs.core.strings import StringTable
from dgs.core.types import Bytes, Int32s, Int64s, PartitionIndex, UInt64s
from dgs.core.vertices import VertexIndex


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
    """

    operator: Operator
    table: RowTable | None
    records: FeatureTable | None
    _needs: Slab = field(default_factory=lambda: Slab("<i4"))
    _states: Slab = field(default_factory=lambda: Slab("u1"))
    _numbers: Slab = field(default_factory=lambda: Slab("<u8"))
    _idle_since: Slab = field(default_factory=lambda: Slab("<i8"))
    idle: list[Int32s] = field(default_factory=list)

    def reserve(self, vertices: int, rows: int) -> None:
        """Make room for vertex rows below `vertices` and `rows` more rows of the table."""
        for slab in (self._needs, self._states, self._numbers, self._idle_since):
            slab.reserve(vertices)
        if self.table is not None:
            self.table.reserve(vertices, rows)
        if self.records is not None:
            self.records.reserve(vertices)

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
    """Everything that a serving partition knows."""

    def __init__(self, deployment: Deployment, partition: PartitionIndex) -> None:
        self.deployment = deployment
        self.partition = partition
        self.applied = 0
        self.received = [0] * deployment.partitions
        self.sent = [0] * deployment.partitions
        self.positions = [0] * deployment.partitions
        self.watermarks: list[int | None] = [None] * deployment.partitions
        self.control = 0
        self.marks: dict[tuple[int, int], set[int]] = {}
        self.catalog = Catalog.empty(deployment.schema)
        self.strings = StringTable()
        self.vertices = {vtype: VertexIndex() for vtype in deployment.schema.vertex_types}
        self.rows: dict[int, Rows] = {}

    @property
    def watermark(self) -> int | None:
        """The smallest watermark over the record partitions that have data; None before any data."""
        return min((w for w in self.watermarks if w is not None), default=None)

    def fed(self, operator: Operator, ids: Int64s) -> Int32s:
        """Return 1 for vertices whose rows are sent without asking: possible seeds of this partition."""
        fed: Int32s = np.zeros(len(ids), np.int32)
        if operator.fed:
            owned_by(ids, np.uint64(self.deployment.serving_partitions), np.uint64(self.partition), fed)
        return fed

    def take_control(self, item: ControlItem) -> None:
        """Change the catalog by a control item; widen tables and make those of new operators."""
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

    def sweep_strings(self) -> None:
        """Forget texts that no row refers to, once there are many."""
        if self.strings.wants_sweep:
            live = []
            for rows in self.rows.values():
                live += rows.table.references(self.catalog.layout(rows.operator)) if rows.table is not None else []
                live += rows.records.references() if rows.records is not None else []
            self.strings.sweep(live)
