"""`make kafka-up` and `make kafka-down`: brokers on loopback to try things with, kept in `.kafka/cluster`."""

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.kafka.cluster import Cluster
from tests.kafka.jars import HOME, MissingError

FOLDER = HOME / "cluster"
PIDS = FOLDER / "pids"


def up(size: int) -> None:
    """Start so many anew."""
    down()
    shutil.rmtree(FOLDER, ignore_errors=True)
    cluster = Cluster.made(FOLDER, size)
    cluster.start(outlives=True)
    processes = [broker.process for broker in cluster.brokers if broker.process is not None]
    PIDS.write_text("".join(f"{process.pid}\n" for process in processes))
    for process in processes:
        process.returncode = 0  # it is not ours to wait for
    sys.stdout.write(f"{cluster.url()}\n")


def down() -> None:
    """Kill them."""
    with suppress(FileNotFoundError):
        for pid in map(int, PIDS.read_text().split()):
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"kafka.Kafka" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
        PIDS.unlink()


if __name__ == "__main__":
    try:
        if sys.argv[1] == "up":
            up(int(sys.argv[2]))
        else:
            down()
    except MissingError as e:
        sys.exit(str(e))
