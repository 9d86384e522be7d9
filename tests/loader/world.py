"""Everything that the command needs around it: real bus files, a fake coordinator, a pattern file and a data file."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from dgs_loader.cli import main

from dgs.bus.base import RECORDS
from dgs.bus.local import LocalBus
from dgs.codec.entries import decode_entry
from dgs.core.layout import Layouts
from dgs.core.records import RecordBatch
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex, Position
from tests.loader.conftest import PATTERN, SCHEMA, Record, records_of
from tests.loader.coordinator import FakeCoordinator

P = 3
GOOD = "user,1,10,0.5:1\nuser,2,20,1:2\nu2i,1,7,30,0.5\ni2i,7,8,1,x,40\n"


class World:
    """A folder with a bus, a pattern file and a data file, a coordinator, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bus").mkdir()
        self.bus = LocalBus(folder / "bus")
        asyncio.run(self.bus.ensure(RECORDS, P))
        self.coordinator = FakeCoordinator(SCHEMA, f"local://{folder / 'bus'}", P)
        (folder / "p.pattern").write_text(PATTERN)
        self.data(GOOD)

    def data(self, text: str | bytes) -> None:
        (self.folder / "d.csv").write_bytes(text if isinstance(text, bytes) else text.encode())

    def arguments(self, *more: str) -> list[str]:
        files = ["--pattern-file", str(self.folder / "p.pattern"), "--data-file", str(self.folder / "d.csv")]
        return ["--dgs-service-host", self.coordinator.url, *files, *more]

    def run(self, *more: str) -> Result:
        return CliRunner().invoke(main, self.arguments(*more))

    def start(self, *more: str, stdin: int | None = None) -> "subprocess.Popen[str]":
        # Tests that run in the background of a shell have interrupts ignored, and so would their children.
        listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        command = [sys.executable, "-c", f"{listen}; from dgs_loader.cli import main; main()", *self.arguments(*more)]
        return subprocess.Popen(command, cwd=self.folder, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def records(self) -> list[Record]:
        async def read() -> list[Record]:
            bus = LocalBus(self.folder / "bus")
            found: list[Record] = []
            layouts = Layouts.from_json(Schema.parse(json.dumps(SCHEMA)), self.coordinator.dimensions)
            for p in range(P):
                for e in await bus.read(RECORDS, PartitionIndex(p), Position(0), max_bytes=1 << 30, wait_s=0):
                    batch = decode_entry(e.data)
                    assert isinstance(batch, RecordBatch)
                    found += records_of(batch, layouts)
            await bus.close()
            return found

        return asyncio.run(read())

    def ends(self) -> set[str]:
        async def read() -> set[str]:
            bus = LocalBus(self.folder / "bus")
            ends = {f"4:{p}:{await bus.end(RECORDS, PartitionIndex(p))}" for p in range(P)}
            await bus.close()
            return ends

        return asyncio.run(read())
