"""A tiny coordinator that speaks what loaders speak, with switches for what can go wrong."""

import json
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from dgs.coordinator.barriers import set_barrier, view
from dgs.coordinator.state import State
from dgs.core.errors import ConflictError


class FakeCoordinator:
    """Listens on a free port of the loopback once started; the port stays the same over restarts.

    Attributes:
        more: what the init info holds besides.
        dimensions: those confirmed so far.
        lag: what `/lag` answers; None answers 404, as a service that is older does.
        lags: answers before that one, each given once.
        other_loader: dimension that another loader "proposed first", by (kind, type, attribute).
        state: barriers, by the coordinator's own rules.
        refused: names of barriers that others set at the moment at which they are posted.
        not_ready: how many requests are answered 503 first.
        drops: how many requests are cut off before the answer, but after they were acted on.
        requests: (method, path with query, body) of everything that was acted on.
    """

    def __init__(self, schema: dict[str, Any], bus: str, partitions: int = 3, generation: int = 4) -> None:
        self.schema, self.bus, self.partitions, self.generation = schema, bus, partitions, generation
        self.router = list(range(partitions))
        self.more: dict[str, Any] = {}
        self.dimensions: list[dict[str, Any]] = []
        self.lag: dict[str, Any] | None = {"lag_bytes": [0] * partitions, "lag_bytes_max": 64 << 20}
        self.lags: list[dict[str, Any]] = []
        self.other_loader: dict[tuple[str, int, int], int] = {}
        self.state = State()
        self.refused: set[str] = set()
        self.not_ready = 0
        self.drops = 0
        self.requests: list[tuple[str, str, str]] = []
        self._server: ThreadingHTTPServer | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        coordinator = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                coordinator._handle(self)

            def do_POST(self) -> None:
                coordinator._handle(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def posted(self, path: str) -> list[str]:
        return [body for method, p, body in self.requests if method == "POST" and p == path]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        if handler.server is not self._server:  # stopped, and this is a connection that was kept alive
            handler.close_connection = True
            return
        if self.not_ready:
            self.not_ready -= 1
            status, kind, text = 503, "application/problem+json", json.dumps({"title": "Not ready", "detail": "starting"})
        else:
            self.requests.append((handler.command, handler.path, body))
            status, kind, text = self._answer(handler.command, handler.path, body)
        if self.drops:
            self.drops -= 1
            handler.close_connection = True
            return
        data = text.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _answer(self, method: str, path: str, body: str) -> tuple[int, str, str]:
        parts = urlsplit(path)
        match method, parts.path:
            case "GET", "/admin/init-info/dataloader":
                return 200, "application/json", json.dumps(self.init())
            case "GET", "/lag" if self.lag is not None:
                return 200, "application/json", json.dumps(self.lags.pop(0) if self.lags else self.lag)
            case "POST", "/dimensions":
                return 200, "application/json", json.dumps({"dimensions": self._confirm(json.loads(body))})
            case "GET", barrier if barrier.startswith("/barriers/"):
                return 200, "application/json", json.dumps(self.barrier(unquote(barrier.removeprefix("/barriers/"))))
            case "POST", barrier if barrier.startswith("/barriers/"):
                name = unquote(barrier.removeprefix("/barriers/"))
                if name in self.refused:
                    self.set_barrier(name, 1, 77)
                try:
                    self.set_barrier(name, **json.loads(body))
                except ConflictError as e:
                    return 409, "application/problem+json", json.dumps({"title": "Conflict", "detail": str(e)})
                return 200, "application/json", json.dumps(self.barrier(name))
        return 404, "application/problem+json", json.dumps({"title": "Not found", "detail": f"no {path}"})

    def barrier(self, name: str) -> dict[str, Any]:
        found = view(self.state, name)
        return {"name": name, "state": str(found.state), "count": found.count, "loaders": list(found.loaders)}

    def set_barrier(self, name: str, count: int, loader_id: int) -> None:
        self.state = set_barrier(self.state, name, count, loader_id, rounds=1, serving_partitions=1)
        self.state = replace(self.state, written=self.state.last)

    def init(self) -> dict[str, Any]:
        return {
            "downstream": {
                "kafka": {"brokers": [], "topic": "record-batches", "partitions": self.partitions},
                "partition": {"data_partition_num": len(self.router), "kafka_router": self.router},
            },
            "schema": self.schema,
            "bus": self.bus,
            "generation": self.generation,
            "partitions": self.partitions,
            "dimensions": self.dimensions,
            **self.more,
        }

    def _confirm(self, proposal: dict[str, Any]) -> list[dict[str, Any]]:
        key = (proposal["kind"], proposal["type"], proposal["attribute"])
        if all((d["kind"], d["type"], d["attribute"]) != key for d in self.dimensions):
            self.dimensions.append({**proposal, "dim": self.other_loader.get(key, proposal["dim"])})
        return self.dimensions
