"""The two topics of a deployment; whoever comes first makes them."""

from dgs.bus.base import RECORDS, SAMPLES, Bus
from dgs.core.deployment import Deployment


async def ensure_topics(bus: Bus, deployment: Deployment) -> None:
    """Make both topics, or check that they are this deployment's.

    Raises:
        StateError: they are another deployment's, or have other numbers of partitions.
    """
    await bus.ensure(RECORDS, deployment.partitions, deployment.log_id)
    await bus.ensure(SAMPLES, deployment.serving_partitions, deployment.log_id)
