"""A process that writes batches into a RocksStore until it is killed: batch n puts n under every key. Run by tests."""

import sys
from pathlib import Path

from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.store.rocks import RocksStore

KEYS = 2000


def batch(n: int) -> Batch:
    """Batch number n."""
    value = n.to_bytes(8, "big") * 16
    return Batch(Position(n), b"meta %d" % n, {b"k%d" % i: value for i in range(KEYS)})


def main(folder: str) -> None:
    """Write, and tell the number of every batch that is written."""
    store, n = RocksStore(Path(folder)), 0
    while True:
        n += 1
        store.write(batch(n))
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
