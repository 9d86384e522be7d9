"""Uploads in a process of low priority, so that those who serve wait for them neither for a core nor for the interpreter's lock.

The child is `python -m dgs.store.upload_process`. It is started when there is something to do, and ends by itself when there was
nothing for a while, and with its parent, however that ends. Requests and answers are lines of JSON on its standard streams:

    {"hash": path, "bytes": n}                 -> {"sha256": hex}
    {"send": path, "file": FileRef.to_json()}  -> {}
    what fails                                 -> {"error": arguments of the OSError}, or {"damaged": text}
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from dgs.core.errors import CodecError
from dgs.store.destination import Destination
from dgs.store.file_ref import FileRef
from dgs.store.uploads import Uploader
from dgs.supervisor import die_with_parent

NICENESS = 15
"""A thirtieth of a core beside others who want all of it, and all that they leave."""
IDLE_S = 30.0
"""A child without a request for so long ends."""


class UploadProcess:
    """See `dgs.store.uploads.Uploads`. One call at a time, but for `stop`."""

    def __init__(self, destination: Destination, *, idle_s: float = IDLE_S) -> None:
        self._destination = destination
        self._idle_s = idle_s
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def hash(self, source: Path, nbytes: int) -> str:
        """See `Uploads.hash`."""
        return str(self._ask({"hash": str(source), "bytes": nbytes})["sha256"])

    def send(self, source: Path, ref: FileRef) -> None:
        """See `Uploads.send`."""
        self._ask({"send": str(source), "file": ref.to_json()})

    def stop(self) -> None:
        """See `Uploads.stop`."""
        self._stopped = True
        if (child := self._child) is not None:
            child.kill()
        with self._turn:  # whoever has it fails now
            self._ended()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._turn:
            document = self._answered(json.dumps(request).encode() + b"\n")
        if "error" in document:
            raise OSError(*document["error"])
        if "damaged" in document:
            raise CodecError(document["damaged"])
        return document

    def _answered(self, line: bytes) -> dict[str, Any]:
        """Return the answer to a request, of a new child if the one that there was has ended by itself."""
        while True:
            if self._stopped:
                raise OSError("the process is stopping")
            if self._child is None:
                self._child = self._started()
                continue  # it may have been stopped meanwhile
            if answer := _exchange(self._child, line):
                document: dict[str, Any] = json.loads(answer)
                return document
            status = self._ended()
            if status and not self._stopped:
                raise OSError(f"the process that hashes and sends files has ended with status {status}; the log may say why")

    def _ended(self) -> int:
        """Let go of a child that ends now; return its status."""
        child, self._child = self._child, None
        if child is None:
            return 0
        with child:
            return child.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        destination = json.dumps({"url": self._destination.url, "free_min_bytes": self._destination.free_min_bytes})
        command = [sys.executable, "-P", "-m", "dgs.store.upload_process", str(os.getpid()), str(self._idle_s), destination]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def _exchange(child: "subprocess.Popen[bytes]", line: bytes) -> bytes:
    """Return the answer to a request; nothing where the child has ended."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):
        child.stdin.write(line)
        return child.stdout.readline()
    return b""


def _answer(uploader: Uploader, request: dict[str, Any]) -> dict[str, Any]:
    try:
        if "hash" in request:
            return {"sha256": uploader.hash(Path(request["hash"]), request["bytes"])}
        uploader.send(Path(request["send"]), FileRef.from_json(request["file"]))
    except CodecError as e:
        return {"damaged": str(e)}
    except OSError as e:
        return {"error": [str(e)] if e.errno is None else [e.errno, e.strerror, e.filename]}
    return {}


def main() -> None:
    """Answer requests; arguments are the parent's process id, how many seconds without one are the end, and the destination."""
    parent, idle_s, destination = int(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent says when to stop
    os.nice(NICENESS)
    uploader = Uploader(Destination(**destination))
    while select.select([sys.stdin], [], [], idle_s)[0] and (line := sys.stdin.readline()):
        sys.stdout.write(json.dumps(_answer(uploader, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
