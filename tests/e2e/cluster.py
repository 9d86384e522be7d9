"""A cluster on this host as real processes: `dgs cluster up`, or each process started by hand, and what tests ask of it."""

import http.client
import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar

from tests.e2e.processes import SAMPLER
from tests.e2e.service import Service


class Cluster(Service):
    """One `dgs cluster up` after the other."""

    COMMAND: ClassVar[tuple[str, ...]] = ("cluster", "up")

    def __init__(self, folder: Path, *arguments: object, frontends: int = 2, copies: int = 1) -> None:
        super().__init__(folder, *arguments, "--frontends", frontends, "--copies", copies, "--samplers", 2)
        self.frontends, self.copies = frontends, copies

    def caught_up(self) -> bool:
        """Whether every copy of every serving partition answers, and has read again what stood in its log when it started."""
        try:
            cluster = self.cluster()
        except (OSError, http.client.HTTPException, AssertionError):
            return False
        up = [m for m in cluster["members"] if m["up"] and m["serving"]]
        copies = [c for s in cluster["serving"] for c in s["copies"] if c["up"]]
        return len(up) == self.frontends and all(c["answers"] and c["caught_up"] for c in copies)

    def cluster(self) -> dict[str, Any]:
        """Return what /cluster tells."""
        reply = self.get("/cluster", limit_s=5.0)
        assert reply.status == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def urls(self) -> list[str]:
        """Return where each frontend answers alone."""
        return [m["url"] for m in self.cluster()["members"] if m["up"] and m["serving"]]

    def samplers_up(self) -> list[int]:
        """Return by sampler partition how many copies are up."""
        return [len([c for c in s["copies"] if c["up"]]) for s in self.cluster()["samplers"]]

    def writers(self) -> list[int]:
        """Return by sampler partition how many copies write."""
        return [len([c for c in s["copies"] if c["up"] and not c["stands_by"]]) for s in self.cluster()["samplers"]]

    def first_samplers(self) -> list[int]:
        """Return the ids of the processes of samplers that are no stand-bys."""
        return [pid for pid in self.pids(SAMPLER) if not _is_standby(pid)]

    def attempts(self, vid: int) -> int:
        """Return how often a client has to ask for a seed until it is answered."""
        for attempt in range(1, 4):
            with suppress(OSError, http.client.HTTPException):
                if self.get(f"/samples?vid={vid}", limit_s=5.0).status == 200:
                    return attempt
        raise AssertionError(f"no answer for seed {vid}")

    def ask(self, url: str, vids: list[int], accept: str = "application/json") -> bytes:
        """Ask one frontend for seeds."""
        body = json.dumps({"vids": vids}).encode()
        return self.fetch(url, "/samples", body, {"content-type": "application/json", "accept": accept})

    def fetch(self, url: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        """Return what one process answers."""
        with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
            connection.request("GET" if body is None else "POST", path, body, headers or {})
            with connection.getresponse() as answer:
                content = answer.read()
                assert answer.status == 200, content
                return content


def _is_standby(pid: int) -> bool:
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return any(v.startswith(b"DGS_STANDBY_AFTER_S=1") for v in environment)
