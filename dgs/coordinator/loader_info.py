"""What a loader is told before it begins: the reference's keys, for the topic's shape, and ours beside them."""

from typing import Any

from dgs.bus.base import RECORDS
from dgs.bus.limits import AppendLimits
from dgs.core.deployment import Deployment
from dgs.core.layout import Layouts


def loader_info(deployment: Deployment, layouts: Layouts, *, bus_url: str, fsync: str, limits: AppendLimits) -> dict[str, Any]:
    """Return the JSON values of `/admin/init-info/dataloader`."""
    partitions = deployment.partitions
    return {
        "downstream": {
            "kafka": {"brokers": [], "topic": RECORDS, "partitions": partitions},
            "partition": {"data_partition_num": partitions, "kafka_router": list(range(partitions))},
        },
        "schema": deployment.schema.document,
        "bus": bus_url,
        "fsync": fsync,
        "log_bytes_max": limits.log_bytes_max,
        "disk_free_min_bytes": limits.disk_free_min_bytes,
        "generation": deployment.generation,
        "partitions": partitions,
        "dimensions": layouts.to_json(),
    }
