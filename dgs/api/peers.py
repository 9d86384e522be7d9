"""What frontends ask each other for, and a frontend that has nobody to ask.

Those that have are in `dgs.api.http_peers`, with a client for HTTP that takes a while to import.
"""

from collections.abc import Sequence

from dgs.api.protocols import Body
from dgs.api.request import Wanted
from dgs.core.errors import NotReadyError

SHARE = "/cluster/samples"
"""Where a frontend asks another one for its share of an answer."""
LINES = "application/x-ndjson"
"""JSON answers, one a line."""


class NoPeers:
    """There are no others: what is not here cannot be answered."""

    async def answers(self, partition: int, vids: Sequence[int], wanted: Wanted) -> list[bytes]:
        """See `Peers.answers`."""
        raise _not_here(partition)

    async def message(self, partition: int, vids: Sequence[int], places: Sequence[int], wanted: Wanted) -> Body:
        """See `Peers.message`."""
        raise _not_here(partition)


def _not_here(partition: int) -> NotReadyError:
    return NotReadyError(f"serving partition {partition} is not served here; whoever asked knows an older map; ask again")
