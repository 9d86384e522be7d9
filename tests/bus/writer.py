"""A process that appends to a local bus and may die on the way; `test_local.py` starts it.

It tells a batch's number on stdout once the batch was acknowledged. Every entry says who wrote it and carries a digest.
"""

import argparse
import asyncio
import os
import random
import signal
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn

from dgs.bus.base import RECORDS
from dgs.bus.local import LocalBus
from dgs.bus.tail import Tail, TailFile
from dgs.core.types import PartitionIndex


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("not reached")


def arm(fault: str, share: float) -> None:
    """From now on, die at the named step of the next append."""
    record = TailFile.write

    def torn(fd: int, parts: Sequence[bytes], offset: int) -> int:
        whole = b"".join(parts)
        os.pwrite(fd, whole[: int(len(whole) * share)], offset)
        die()

    def unpublished(self: TailFile, tail: Tail) -> None:
        if tail.end != tail.base:
            die()
        record(self, tail)

    def rolling(self: TailFile, tail: Tail) -> None:
        record(self, tail)
        if tail.end == tail.base:
            die()

    if fault == "torn":
        os.pwritev = torn  # type: ignore[assignment]
    else:
        TailFile.write = {"unpublished": unpublished, "rolling": rolling}[fault]  # type: ignore[method-assign]


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("name", type=int)
    parser.add_argument("batches", type=int)
    parser.add_argument("--fsync", default="never")
    parser.add_argument("--segment-bytes", type=int, default=1 << 20)
    parser.add_argument("--fault", default="none")
    parser.add_argument("--fault-at", type=int, default=-1)
    options = parser.parse_args()

    draw = random.Random(options.name)
    bus = LocalBus(options.root, fsync=options.fsync, segment_bytes=options.segment_bytes)
    await bus.ensure(RECORDS, 1)
    for batch in range(options.batches):
        count = draw.randint(1, 6)
        entries = []
        for part in range(count):
            body = b"%d %d %d %d " % (options.name, batch, part, count) + draw.randbytes(draw.choice([0, 30, 3000, 30_000]))
            entries.append(body + blake2b(body, digest_size=8).digest())
        if batch == options.fault_at and options.fault != "none":
            arm(options.fault, draw.random())
        await bus.append(RECORDS, PartitionIndex(0), entries)
        os.write(1, b"%d\n" % batch)
    await bus.close()


if __name__ == "__main__":
    asyncio.run(main())
