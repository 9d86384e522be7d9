"""Ingest through the whole durable path, and the floor of the same machine in the same run.

Ours: `dgs up` (frontend and sampler processes), `dgs-loader` beside it, from the start of the loader until the barrier behind the
data is READY: parsed, logged, sampled, committed, applied and servable. Floor: one process that does nothing but put each of the
same edges into RocksDB, in sorted batches, with the same keys and values as history has: less than that no durable path can do.

usage: python perf/ingest.py [--edges N] [--rounds N]
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from dgs_client.connection import Connection

from dgs.codec.keys import HISTORY_BYTES, history_keys
from dgs.codec.values import encode_payloads
from dgs.core.layout import Layout
from dgs.core.records import EdgeRecords
from dgs.core.schema import Schema
from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.store.rocks import RocksStore

BIN = Path(sys.executable).parent
USERS, ITEMS = 100_000, 20_000
FLOOR_BATCH = 4096
SCHEMAS = Path(__file__).parents[1] / "schemas" / "u2i"


def edges(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, items and timestamps: both ends zipf-like, time rising."""
    rng = np.random.default_rng(seed)
    users = (USERS * rng.random(count) ** 2).astype(np.int64)
    items = (ITEMS * rng.random(count) ** 3).astype(np.int64)
    return users, items, np.arange(count, dtype=np.int64)


def write_input(folder: Path, count: int) -> None:
    """Write a pattern and a data file of u2i and i2i edges, half each."""
    (folder / "pattern").write_text(
        "#EDGE:u2i,#SRC:user,#DST:item,timestamp,weight\n#EDGE:i2i,#SRC:item,#DST:item,timestamp,weight\n"
    )
    users, items, times = edges(count // 2, 1)
    others = edges(count // 2, 2)[1]
    with (folder / "data").open("w") as file:
        for u, i, o, t in zip(users.tolist(), items.tolist(), others.tolist(), times.tolist(), strict=True):
            file.write(f"u2i,{u},{i},{t},1.5\ni2i,{i},{o},{t},0.5\n")


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def cpu_seconds(pids: list[int]) -> float:
    """CPU time that processes have used so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def ours(folder: Path, count: int) -> dict[str, float]:
    """Return edges a second through the whole path, and the CPU time of its parts in microseconds an edge."""
    state, port = folder / "state", free_port()
    server = f"127.0.0.1:{port}"
    command = [
        "up",
        "--schema",
        SCHEMAS / "schema.json",
        "--query",
        SCHEMAS / "query.json",
        "--data-dir",
        state,
        "--port",
        str(port),
    ]
    up = subprocess.Popen([str(part) for part in (BIN / "dgs", *command)], stderr=subprocess.DEVNULL)
    try:
        connection = Connection(server)
        connection.get("/readyz")
        children = [int(p) for p in Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()]
        before, began = cpu_seconds(children), time.monotonic()
        loader: list[str | Path] = [
            BIN / "dgs-loader",
            "--dgs-service-host",
            server,
            "--pattern-file",
            folder / "pattern",
            "--data-file",
            folder / "data",
        ]
        subprocess.run([*loader, "--barrier", "loaded"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        loaded = time.monotonic() - began
        subprocess.run(
            [BIN / "dgs", "barrier", "wait", "loaded", "--server", server, "--timeout", "300"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - began
        return {
            "edges/s": count / seconds,
            "seconds": seconds,
            "loader seconds": loaded,
            "service CPU us/edge": (cpu_seconds(children) - before) / count * 1e6,
        }
    finally:
        up.terminate()
        up.wait(30)


def floor(folder: Path, count: int) -> float:
    """Return how many of the same edges a second one process puts into RocksDB."""
    schema = Schema.parse((SCHEMAS / "schema.json").read_text())
    layout = Layout(schema.edge_names["u2i"])
    users, items, times = edges(count, 1)
    payload = layout.pack(count, {"weight": (np.full(count, 1.5, np.float32), None)})
    store = RocksStore(folder / "floor")
    began = time.monotonic()
    for at in range(0, count, FLOOR_BATCH):
        part = slice(at, at + FLOOR_BATCH)
        own = EdgeRecords(2, 0, 1, users[part], items[part], times[part], payload[part])
        keys, values = history_keys(own), encode_payloads(own.payload, None)
        puts = {keys[i * HISTORY_BYTES : (i + 1) * HISTORY_BYTES]: v for i, v in enumerate(values)}
        store.write(Batch(Position(at + 1), b"", puts))
    seconds = time.monotonic() - began
    store.close()
    return count / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dgs-perf-"))
    try:
        write_input(folder, arguments.edges)
        print(f"{os.cpu_count()} cores, {arguments.edges} edges, load {os.getloadavg()[0]:.1f}")
        for _ in range(arguments.rounds):
            least = floor(folder, arguments.edges)
            found = ours(folder, arguments.edges)
            shutil.rmtree(folder / "state")
            shutil.rmtree(folder / "floor")
            print(json.dumps({k: round(v, 2) for k, v in found.items()}))
            print(f"ours {found['edges/s']:,.0f} edges/s   floor {least:,.0f} edges/s   ratio {found['edges/s'] / least:.2f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
