"""What a sampler partition refuses: records that no loader of its deployment would have sent there. Its tables rely on it."""

import numpy as np

from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError
from dgs.core.layout import Layouts
from dgs.core.partition import partitions_of
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.types import PartitionIndex


def check_records(batch: RecordBatch, layouts: Layouts, deployment: Deployment, partition: PartitionIndex) -> None:
    """Check all records of an entry under the dimensions that are fixed before it.

    Raises:
        CodecError: the schema has no such type, a payload is of another layout, or a vertex belongs to another partition.
    """
    for group in batch.groups:
        _check(group, len(batch.strings), layouts, deployment, partition)


def _check(
    group: VertexRecords | EdgeRecords, strings: int, layouts: Layouts, deployment: Deployment, partition: PartitionIndex
) -> None:
    if isinstance(group, EdgeRecords):
        layout, owners = layouts.edge.get(group.etype), group.src
        if layout is None or group.dst_type not in deployment.schema.destinations(group.etype, group.src_type):
            raise CodecError(f"the schema has no edges of type {group.etype} from {group.src_type} to {group.dst_type}")
    else:
        layout, owners = layouts.vertex.get(group.vtype), group.ids
        if layout is None:
            raise CodecError(f"the schema has no vertices of type {group.vtype}")
    if group.payload.shape[1] not in layout.widths:
        raise CodecError(
            f"payloads of {layout.element.name!r} have {group.payload.shape[1]} bytes, {layout.width} are expected: "
            "the dimension of one of its lists was not confirmed"
        )
    foreign = np.flatnonzero(partitions_of(owners, deployment.partitions) != partition)
    if len(foreign):
        raise CodecError(f"vertex {owners[foreign[0]]} does not belong to partition {partition}")
    for at in layout.string_offsets:
        if at < group.payload.shape[1]:
            references = np.ascontiguousarray(group.payload[:, at : at + 8]).view(np.uint64)
            if references.max(initial=0) > strings:
                raise CodecError("a string reference leads beyond the entry's strings")
