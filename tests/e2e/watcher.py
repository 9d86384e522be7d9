"""Somebody who asks a service all the time while others kill it."""

import http.client
import threading
from collections.abc import Iterable
from typing import Any

from dgs.core.partition import partition_of
from tests.e2e.service import Service


class Watcher:
    """Asks for some seeds all the time, and keeps what must never go back: positions and watermarks, by serving partition.

    A watermark may go back when a record partition gets its first data, so all of them are to have some before.
    """

    def __init__(self, service: Service, vids: Iterable[int], serving_partitions: int = 2) -> None:
        self.seen = 0
        self.backward: list[str] = []
        self._service = service
        self._vids = list({partition_of(v, serving_partitions): v for v in vids}.values())
        self._last: dict[int, list[int]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            for vid in self._vids:
                try:
                    reply = self._service.get(f"/samples?vid={vid}", limit_s=2.0)
                except (OSError, http.client.HTTPException):
                    continue
                if reply.status == 200:
                    self._take(vid, reply.json())

    def _take(self, vid: int, answer: dict[str, Any]) -> None:
        now = [*answer["positions"], -(1 << 63) if answer["watermark"] is None else answer["watermark"]]
        before = self._last.get(vid, now)
        if any(a < b for a, b in zip(now, before, strict=True)):
            self.backward.append(f"seed {vid}: {before}, then {now}")
        self._last[vid] = now
        self.seen += 1
