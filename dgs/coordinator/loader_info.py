"""What a loader is told before it begins: the reference's keys, for the topic's shape, and ours beside them.

How to be let in by Kafka's brokers is not among it: a loader has that from its own environment.
"""

from typing import Any

from dgs.bus.base import RECORDS
from dgs.bus.limits import AppendLimits
from dgs.bus.open import kafka_address
from dgs.core.deployment import Deployment
from dgs.core.layout import Layouts


def loader_info(deployment: Deployment, layouts: Layouts, *, bus_url: str, fsync: str, limits: AppendLimits) -> dict[str, Any]:
    """Return the JSON values of `/admin/init-info/dataloader`."""
    partitions = deployment.partitions
    address = kafka_address(bus_url)
    brokers, topic = ([], RECORDS) if address is None else (list(address.brokers), address.topic(RECORDS))
    return {
        "downstream": {
            "kafka": {"brokers": brokers, "topic": topic, "partitions": partitions},
            "partition": {"data_partition_num": partitions, "kafka_router": list(range(partitions))},
        },
        "schema": deployment.schema.document,
        "bus": bus_url,
        "log_id": deployment.log_id,
        "fsync": fsync,
        "log_bytes_max": limits.log_bytes_max,
        "disk_free_min_bytes": limits.disk_free_min_bytes,
        "generation": deployment.generation,
        "partitions": partitions,
        "dimensions": layouts.to_json(),
    }
