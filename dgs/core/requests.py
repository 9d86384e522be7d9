"""Requests: what a serving partition asks of a sampler partition, as items of the channel from the first to the second."""

import numpy as np

SUBSCRIBE, UNSUBSCRIBE, PING = 1, 2, 3
"""Feed me this row, beginning with all of it; stop feeding it; send this barrier mark back to me."""

REQUEST = np.dtype(
    [
        ("kind", "<u4"),
        ("operator", "<i4"),  # of a ping: the round
        ("vertex", "<i8"),  # of a ping: the barrier's id
        ("count", "<i8"),  # of a ping: rounds
    ]
)
"""One request; 24 bytes."""
