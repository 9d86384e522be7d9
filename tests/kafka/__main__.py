"""`make kafka-up` and `make kafka-down`: one broker on loopback to try things with, kept in `.kafka/cluster`."""

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.kafka.cluster import Cluster
from tests.kafka.jars import HOME, MissingError

FOLDER = HOME / "cluster"
PID = FOLDER / "pid"


def up() -> None:
    """Start it anew."""
    down()
    shutil.rmtree(FOLDER, ignore_errors=True)
    cluster = Cluster.made(FOLDER, 1)
    cluster.start(outlives=True)
    process = cluster.brokers[0].process
    assert process is not None, "started"
    PID.write_text(f"{process.pid}\n")
    process.returncode = 0  # it is not ours to wait for
    sys.stdout.write(f"{cluster.url()}\n")


def down() -> None:
    """Kill it."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int(PID.read_text())
        if b"kafka.Kafka" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
        PID.unlink()


if __name__ == "__main__":
    try:
        {"up": up, "down": down}[sys.argv[1]]()
    except MissingError as e:
        sys.exit(str(e))
