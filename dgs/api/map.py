"""The partition map: which processes answer for which seeds. Clients that go straight ask for it, now and then.

Every frontend tells it from what it heard last, so it is there while the coordinator is down.
"""

from collections.abc import Callable, Mapping, Sequence

from fastapi import APIRouter

from dgs.api.models import HashDescription, PartitionMap
from dgs.api.openapi import problems
from dgs.core.deployment import Deployment

MAP = "/cluster/map"
MIX = (
    "x += 0x9E3779B97F4A7C15; x = (x ^ x>>30) * 0xBF58476D1CE4E5B9; x = (x ^ x>>27) * 0x94D049BB133111EB; "
    "x ^ x>>31; ids as two's complement"
)


def map_router(deployment: Deployment, owners: Callable[[], Mapping[int, Sequence[str]]]) -> APIRouter:
    """Return the route.

    Args:
        deployment: what is fixed.
        owners: returns by serving partition the URLs of those who answer for it, as far as is known.
    """
    router = APIRouter(tags=["control"], responses=problems(503))

    @router.get(MAP, summary="Who answers for which seeds")
    async def partition_map() -> PartitionMap:
        """Tell where each serving partition may be asked; any other frontend answers for its seeds, too, a hop later."""
        known = owners()
        return PartitionMap(
            generation=deployment.generation,
            serving_partitions=deployment.serving_partitions,
            hash=hash_description(deployment),
            owners=[sorted(known.get(s, ())) for s in range(deployment.serving_partitions)],
        )

    return router


def hash_description(deployment: Deployment) -> HashDescription:
    """Return how the owner of a vertex is found."""
    return HashDescription(
        mix=MIX,
        record_partition=f"mix(vid) mod {deployment.partitions}",
        serving_partition=f"mix(vid) mod {deployment.serving_partitions}",
    )
